/** What Holdfast counts and measures, as Prometheus reads it. Times are seconds there, milliseconds here. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Metrics } from "../ports/metrics.ts";

/** A number of now; a failure to tell is NaN in the output and harms no other metric. */
type Collect<T> = () => T | Promise<T>;

interface LabelledGauge<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly Label[];
  readonly collect: Collect<Iterable<Sample<Label>>>;
}

/** A number, and the value of every label. */
export type Sample<Label extends string> = readonly [labels: Readonly<Record<Label, string>>, value: number];

export interface PrometheusMetrics extends Metrics {
  /** For the Content-Type header of `render`'s text. */
  readonly contentType: string;
  /** Registers a number that is asked for whenever somebody looks. */
  gauge(name: string, help: string, collect: Collect<number>): void;
  /** The same for several numbers, told apart by labels. */
  labelledGauge<Label extends string>(gauge: LabelledGauge<Label>): void;
  /** Everything, in Prometheus's text format. */
  render(): Promise<string>;
}

/** From 100 µs: a commit takes 180 µs, a bind mount 10 µs. */
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const TRANSACTIONS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/** Seldom enough not to wake an idle node a hundred times a second. */
const EVENT_LOOP_SAMPLE_MS = 50;

export function createMetrics(): PrometheusMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  const recorder = createRecorder(registry);

  return {
    ...recorder,
    contentType: registry.contentType,
    gauge(name, help, collect) {
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set((await attempt(collect)) ?? Number.NaN);
        },
      });
    },
    labelledGauge({ name, help, labels, collect }) {
      const gauge = new Gauge({ name, help, labelNames: labels, registers });
      // Handed over rather than set: they may be many, and the library would index and keep them until the next look.
      const getWithout = gauge.get.bind(gauge);
      gauge.get = async () => {
        const samples = (await attempt(collect)) ?? [];
        const values = Array.from(samples, ([labelValues, value]) => ({ labels: labelValues, value }));
        return { ...(await getWithout()), values };
      };
    },
    render: () => registry.metrics(),
  };
}

function createRecorder(registry: Registry): Metrics {
  const registers = [registry];
  const operations = new Counter({
    name: "holdfast_operations_total",
    help: "Operations that ended, by outcome: ok or an error code",
    labelNames: ["type", "outcome"],
    registers,
  });
  const operationSeconds = new Histogram({
    name: "holdfast_operation_duration_seconds",
    help: "Time from request to answer of an operation",
    labelNames: ["type"],
    buckets: SECONDS,
    registers,
  });
  const commits = new Counter({
    name: "holdfast_commits_total",
    help: "Commits of the checkpoint",
    registers,
  });
  const commitTransactions = new Histogram({
    name: "holdfast_commit_transactions",
    help: "Transactions that shared a commit",
    buckets: TRANSACTIONS,
    registers,
  });
  const commitSeconds = new Histogram({
    name: "holdfast_commit_duration_seconds",
    help: "Time of a commit, its sync included",
    buckets: SECONDS,
    registers,
  });
  const reconcileSeconds = new Histogram({
    name: "holdfast_reconcile_duration_seconds",
    help: "Time of a recovery or reconcile",
    labelNames: ["kind"],
    buckets: SECONDS,
    registers,
  });

  return {
    operation(type, outcome, durationMs) {
      operations.inc({ type, outcome });
      operationSeconds.observe({ type }, durationMs / 1000);
    },
    commit(transactions, durationMs) {
      commits.inc();
      commitTransactions.observe(transactions);
      commitSeconds.observe(durationMs / 1000);
    },
    reconciled(kind, durationMs) {
      reconcileSeconds.observe({ kind }, durationMs / 1000);
    },
  };
}

/** `undefined` when it fails: a node whose disk is broken must still show its other numbers. */
async function attempt<T>(collect: Collect<T>): Promise<T | undefined> {
  try {
    return await collect();
  } catch {
    return undefined;
  }
}
