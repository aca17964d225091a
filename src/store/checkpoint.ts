/**
 * The store on disk: one SQLite file under the work root's `meta`, written by a worker thread so that a slow sync never
 * stops the event loop. Reads happen once, at `open` and `reload`; afterwards memory is what people see.
 *
 * Commits are sent to the worker at once and answered in order; those that wait while it syncs share the next sync.
 * After a commit was rejected, every later one is rejected too until `reload` is called: they were decided on a memory
 * that is to be thrown away. A disk that fails to sync is answered with a new file; if that fails too, with `onFatal`.
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { HoldfastError, unreachable } from "../domain/error.ts";
import type { Change } from "../domain/records.ts";
import type { Log } from "../ports/log.ts";
import type { Metrics } from "../ports/metrics.ts";
import type { CommitOptions, NodeHeader, Store, StoreContents } from "../ports/store.ts";
import { ContentsBuilder } from "./contents.ts";
import { checkpointPaths } from "./files.ts";
import { fromWire, type Reply, type Request, type WorkerSettings } from "./messages.ts";
import type { Seal } from "./seal.ts";

const BALLAST_BYTES = 4 * 1024 * 1024;

export interface CheckpointOptions {
  /** `<work root>/meta`. */
  readonly directory: string;
  /** First start: makes the checkpoint if there is none. */
  readonly create?: { readonly header: NodeHeader };
  /** Size of the file that is given up when the disk is full; default 4 MiB, 0 for none. */
  readonly ballastBytes?: number;
  /** The store can never commit again: the process should end with its own status. Called at most once. */
  readonly onFatal: (error: HoldfastError) => void;
  readonly log: Log;
  readonly metrics?: Metrics;
}

/** Nothing is touched before `open`. */
export function openCheckpoint(options: CheckpointOptions): Store {
  return new CheckpointStore(options);
}

interface Waiting<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: HoldfastError) => void;
}

interface Loading extends Waiting<StoreContents> {
  readonly contents: ContentsBuilder;
}

class CheckpointStore implements Store {
  readonly #options: CheckpointOptions;
  /** Counts the chunks of rows taken in, for the worker to see. */
  readonly #taken = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #commits: Waiting<void>[] = [];
  readonly #loads: Loading[] = [];
  readonly #pings: Waiting<void>[] = [];
  #worker: Worker | undefined;
  #exited: Promise<void> = Promise.resolve();
  #closing = false;
  #dead: HoldfastError | undefined;

  constructor(options: CheckpointOptions) {
    this.#options = options;
  }

  open(): Promise<StoreContents> {
    this.#worker ??= this.#startWorker();
    return this.#load("open");
  }

  commit(changes: readonly Change[], options: CommitOptions): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const refusal = this.#refusal("commit");
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#send({
      kind: "commit",
      changes: changes.map(({ table, key, value }) => ({
        table,
        key,
        value: value === undefined ? undefined : JSON.stringify(value),
      })),
      durable: options.durable,
      releases: options.releases ?? false,
      labelledThrough: options.labelledThrough,
    });
    this.#commits.push({ resolve, reject });
    return promise;
  }

  reload(): Promise<StoreContents> {
    return this.#load("reload");
  }

  ping(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const refusal = this.#refusal("answer");
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#send({ kind: "ping" });
    this.#pings.push({ resolve, reject });
    return promise;
  }

  async close(): Promise<void> {
    if (!this.#closing) this.#send({ kind: "close" });
    this.#closing = true;
    await this.#exited;
  }

  #load(kind: "open" | "reload"): Promise<StoreContents> {
    const { promise, resolve, reject } = Promise.withResolvers<StoreContents>();
    const refusal = this.#refusal(kind);
    if (refusal !== undefined) return Promise.reject(refusal);
    this.#send({ kind });
    const path = checkpointPaths(this.#options.directory).checkpoint;
    this.#loads.push({ resolve, reject, contents: new ContentsBuilder(path) });
    return promise;
  }

  #refusal(action: string): HoldfastError | undefined {
    if (this.#dead !== undefined) return this.#dead;
    if (this.#worker !== undefined && !this.#closing) return undefined;
    return new HoldfastError("unavailable", `Cannot ${action}: the store is closed`);
  }

  #startWorker(): Worker {
    const workerData: WorkerSettings = {
      directory: this.#options.directory,
      create: this.#options.create?.header,
      ballastBytes: this.#options.ballastBytes ?? BALLAST_BYTES,
      taken: this.#taken.buffer as SharedArrayBuffer,
    };
    // The same extension as this file: the worker lies beside it, from source and bundled alike.
    const url = new URL(`./checkpoint-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(url, { name: "checkpoint", workerData });
    worker.on("message", (reply: Reply) => this.#receive(reply));
    worker.on("error", (cause) => this.#die("Cannot use the checkpoint: its thread failed", cause));
    this.#exited = new Promise((resolve) => {
      worker.once("exit", () => {
        if (!this.#closing) this.#die("Cannot use the checkpoint: its thread ended");
        resolve();
      });
    });
    return worker;
  }

  #send(request: Request): void {
    this.#worker?.postMessage(request);
  }

  #receive(reply: Reply): void {
    switch (reply.kind) {
      case "committed":
        this.#options.metrics?.commit(reply.count, reply.durationMs);
        for (const commit of this.#commits.splice(0, reply.count)) commit.resolve();
        return;
      case "rejected":
        for (const commit of this.#commits.splice(0, reply.count)) commit.reject(fromWire(reply.error));
        return;
      case "rows":
        this.#loads[0]?.contents.add(reply.table, reply.rows);
        // Only at the next turn, so that whatever else waits for the event loop gets in between.
        setImmediate(() => this.#takeNext());
        return;
      case "unsound":
        this.#loads[0]?.contents.refuse(reply.table, reply.key, "the checksum is wrong");
        return;
      case "loaded":
        this.#finishLoad(reply.header, reply.seal);
        return;
      case "load-failed":
        this.#loads.shift()?.reject(fromWire(reply.error));
        return;
      case "pong":
        this.#pings.shift()?.resolve();
        return;
      case "note":
        this.#options.log[reply.level](reply.fields, reply.text);
        return;
      case "fatal":
        this.#dieOf(fromWire(reply.error));
        return;
      default:
        unreachable(reply);
    }
  }

  #takeNext(): void {
    Atomics.add(this.#taken, 0, 1);
    Atomics.notify(this.#taken, 0);
  }

  #finishLoad(header: ReadonlyMap<string, string>, seal: Seal): void {
    const load = this.#loads.shift();
    if (load === undefined) return;
    try {
      load.resolve(load.contents.finish(header, seal));
    } catch (error) {
      load.reject(error as HoldfastError);
    }
  }

  #die(message: string, cause?: unknown): void {
    this.#dieOf(new HoldfastError("unavailable", message, { cause }));
  }

  #dieOf(error: HoldfastError): void {
    if (this.#dead !== undefined) return;
    this.#dead = error;
    const all = [...this.#commits.splice(0), ...this.#loads.splice(0), ...this.#pings.splice(0)];
    for (const waiting of all) waiting.reject(error);
    this.#options.onFatal(error);
  }
}
