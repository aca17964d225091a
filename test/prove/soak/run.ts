/** The course of a soak: growing and churning with kills, one long life, and the end of everything. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Evidence, Trial } from "../protocol.ts";
import { Crowd } from "./crowd.ts";
import { type Holdings, SoakNode } from "./node.ts";
import { median, newTally, percentile, type Tally } from "./tally.ts";

interface Course {
  readonly volumes: number;
  readonly killEveryMs: number;
  /** The life without a kill, in which memory and descriptors are watched. */
  readonly lifeMs: number;
  readonly sampleEveryMs: number;
}

const CLIENTS = 200;
const MOUNTS = 1_000;
const LONG: Course = { volumes: 100_000, killEveryMs: 60_000, lifeMs: 600_000, sampleEveryMs: 5_000 };
const SHORT = {
  volumesPerSecond: 40,
  volumesMax: 5_000,
  killEveryMs: 15_000,
  lifePart: 0.3,
  endPart: 0.22,
  sampleEveryMs: 500,
};
/** Kills while the number of volumes has not been reached do not count for it. */
const GROWN_PART = 0.85;
const FULL_MS = 1_500;
/** The collector looks every five seconds, and what it has begun it brings to an end. */
const DANGER_MS = 15_000;
const IDLE_MS_MAX = 20_000;
/** What a heap grows by before it is worth collecting: by experience of V8 half of what lives, and some for its young. */
const RESIDENT_FACTOR = 1.25;
const RESIDENT_MB = 32;
/** Of what lives: requests under way, and volumes that came meanwhile. */
const LIVE_MB_MORE = 16;
/** Of its life, before it is warm. */
const WARM_UP_PART = 0.2;
/** The rarest work starts its thread late; a thread comes with five descriptors, and some open a directory meanwhile. */
const FDS_MORE = 16;
const THREADS_MORE = 3;
/** Spares that lie ready for the next volumes. */
const SPARES_MAX = 8_192;
const CHECKS = 4;

export async function soakNode({ seed, budgetMs, count, interruption, progress }: Trial): Promise<Evidence> {
  const course = courseOf(budgetMs, count);
  const endMs = performance.now() + budgetMs;
  const tally = newTally();
  let figures: Evidence["figures"] = {};
  const node = await SoakNode.make(course.volumes);
  try {
    const soak = new Soak({ node, course, tally, seed, progress, interruption });
    try {
      figures = await soak.run(endMs, count);
    } finally {
      await soak.end();
    }
  } finally {
    await node.remove();
  }
  return { count: tally.operations, violations: tally.violations, figures };
}

function courseOf(budgetMs: number, count: number): Course {
  if (Number.isFinite(count)) return LONG;
  const volumes = Math.min(SHORT.volumesMax, Math.ceil((budgetMs / 1_000) * SHORT.volumesPerSecond));
  const { killEveryMs, sampleEveryMs } = SHORT;
  return {
    volumes,
    killEveryMs: Math.min(killEveryMs, budgetMs / CHECKS),
    lifeMs: budgetMs * SHORT.lifePart,
    sampleEveryMs,
  };
}

/** What it held early and late; of its heap in MB. */
interface Life {
  readonly early: Holdings;
  readonly late: Holdings;
  readonly heapEarly: number;
  readonly heapLate: number;
}

interface SoakOptions {
  readonly node: SoakNode;
  readonly course: Course;
  readonly tally: Tally;
  readonly seed: number;
  readonly progress: (line: string) => void;
  readonly interruption: AbortSignal;
}

class Soak {
  readonly #options: SoakOptions;
  readonly #crowd: Crowd;
  readonly #restartsMs: number[] = [];
  #kills = 0;
  #fills = 0;
  #peakVolumes = 0;
  #peakMounts = 0;
  #endangeredUntilMs = 0;
  #isFilling = true;
  #filling: Promise<unknown> = Promise.resolve();

  constructor(options: SoakOptions) {
    this.#options = options;
    const { node, course, seed, tally } = options;
    this.#crowd = new Crowd({
      node,
      clients: CLIENTS,
      volumesMax: course.volumes,
      mountsMax: MOUNTS,
      seed,
      tally,
      mayGo: (retiredAtMs) => retiredAtMs <= this.#endangeredUntilMs,
    });
  }

  async run(endMs: number, count: number): Promise<NonNullable<Evidence["figures"]>> {
    const { tally, course, progress } = this.#options;
    await this.#crowd.prepare();
    const before = await this.#idle();
    this.#filling = this.#fillAgain();
    this.#filling.catch(() => undefined);
    await this.#killAgain(endMs, count);
    const { early, late, heapEarly, heapLate } = await this.#liveOn(
      Math.min(course.lifeMs, Math.max(1_000, endMs - performance.now())),
    );
    this.#isFilling = false;
    await this.#filling;
    progress(`one life of ${Math.round(course.lifeMs / 1_000)} s is over, ${tally.operations} operations`);
    // What is in danger when the disk was full is not any more.
    await sleep(FULL_MS);
    await this.#crowd.clear();
    this.#crowd.close();
    progress("all is destroyed and collected");
    const after = await this.#idle(before);
    await this.#judgeRemains(before, after);
    const refusals = [...tally.refusals].map(([what, times]) => `${times} ${what}`).join(" ");
    return {
      kills: this.#kills,
      fills: this.#fills,
      unanswered: tally.unanswered,
      "volumes at most": this.#peakVolumes,
      "mounts at most": this.#peakMounts,
      "ms p99 of attach": Math.round(percentile(tally.attachMs, 0.99)),
      "ms to start at most": Math.round(Math.max(0, ...this.#restartsMs)),
      "MB alive early": heapEarly,
      "MB alive late": heapLate,
      "MB early": early.residentMb,
      "MB late": late.residentMb,
      "MB at the end": after.residentMb,
      "descriptors early": early.fds,
      "descriptors late": late.fds,
      "descriptors before and after": `${before.fds}/${after.fds}`,
      "threads before and after": `${before.threads}/${after.threads}`,
      refusals: refusals === "" ? "none" : `(${refusals})`,
    };
  }

  /** Whatever happened. */
  async end(): Promise<void> {
    this.#isFilling = false;
    this.#crowd.close();
    await this.#filling.catch(() => undefined);
  }

  async #killAgain(endMs: number, count: number): Promise<void> {
    const { course, tally, interruption, progress } = this.#options;
    const isLong = Number.isFinite(count);
    const killsEndMs = isLong ? endMs - course.lifeMs : endMs - course.lifeMs * (1 + SHORT.endPart / SHORT.lifePart);
    const isEnough = () => tally.operations >= count && this.#peakVolumes >= course.volumes * GROWN_PART;
    while (!interruption.aborted && performance.now() < killsEndMs && !isEnough()) {
      this.#crowd.begin();
      await this.#watch(course.killEveryMs);
      this.#restartsMs.push(await this.#crowd.killUnder());
      this.#kills += 1;
      const refused = [...tally.refusals.values()].reduce((sum, times) => sum + times, 0);
      progress(
        `${tally.operations} operations, ${refused} refused, ${this.#crowd.volumes} volumes, ${this.#kills} kills, ${this.#fills} fills, ${tally.violations.length} violations`,
      );
    }
  }

  /** Without a kill. What it holds early, when it has warmed up, and late. */
  async #liveOn(lifeMs: number): Promise<Life> {
    const { tally, node } = this.#options;
    this.#crowd.begin();
    await this.#watch(lifeMs * WARM_UP_PART);
    const heapEarly = await node.liveHeapMb();
    const samples = await this.#watch(lifeMs * (1 - WARM_UP_PART));
    const heapLate = await node.liveHeapMb();
    await this.#crowd.stop();
    await this.#crowd.compare();
    const quarter = Math.max(1, Math.floor(samples.length / 4));
    const [early, late] = [medians(samples.slice(0, quarter)), medians(samples.slice(-quarter))];
    if (heapLate > heapEarly + LIVE_MB_MORE)
      tally.violations.push(`what lives in its heap grows from ${heapEarly} to ${heapLate} MB`);
    const most = early.residentMb * RESIDENT_FACTOR + RESIDENT_MB;
    if (late.residentMb > most)
      tally.violations.push(`its memory grows from ${early.residentMb} to ${late.residentMb} MB`);
    if (late.fds > early.fds + FDS_MORE) {
      const kinds = await node.descriptors();
      tally.violations.push(`its descriptors grow from ${early.fds} to ${late.fds}: ${kinds}`);
    }
    if (late.threads > early.threads + THREADS_MORE)
      tally.violations.push(`its threads grow from ${early.threads} to ${late.threads}`);
    return { early, late, heapEarly, heapLate };
  }

  /** Lets them work for a time; returns what the daemon held meanwhile. */
  async #watch(durationMs: number): Promise<Holdings[]> {
    const { node, course, interruption } = this.#options;
    const samples: Holdings[] = [];
    const endMs = performance.now() + durationMs;
    while (performance.now() < endMs && !interruption.aborted && node.daemon.end === undefined) {
      await sleep(Math.min(course.sampleEveryMs, Math.max(1, endMs - performance.now())));
      if (node.daemon.end === undefined) samples.push(await node.holdings());
      this.#peakVolumes = Math.max(this.#peakVolumes, this.#crowd.volumes);
      this.#peakMounts = Math.max(this.#peakMounts, (await node.mounts()).length);
    }
    return samples;
  }

  async #fillAgain(): Promise<void> {
    const { node, course } = this.#options;
    for (let waitedMs = 0; this.#isFilling; waitedMs += course.sampleEveryMs) {
      await sleep(course.sampleEveryMs);
      if (waitedMs < course.killEveryMs / 2) continue;
      waitedMs = 0;
      this.#endangeredUntilMs = Number.POSITIVE_INFINITY;
      try {
        await node.fillDisk();
        await sleep(FULL_MS);
      } finally {
        await node.emptyDisk();
        this.#endangeredUntilMs = performance.now() + DANGER_MS;
      }
      this.#fills += 1;
    }
  }

  /** What a daemon holds that has nothing to do, for as long as it is more than `least`. */
  async #idle(least?: Holdings): Promise<Holdings> {
    const { node } = this.#options;
    const deadline = performance.now() + (least === undefined ? FULL_MS : IDLE_MS_MAX);
    let holdings = await node.holdings();
    while (performance.now() < deadline) {
      await sleep(FULL_MS / 3);
      holdings = await node.holdings();
      if (least !== undefined && holdings.fds <= least.fds + FDS_MORE && (await node.entries("trash")) === 0) break;
    }
    return holdings;
  }

  /** All was detached, destroyed and collected. */
  async #judgeRemains(before: Holdings, after: Holdings): Promise<void> {
    const { node, tally } = this.#options;
    const { volumes, problems } = await node.status();
    const remains = [
      ...Object.entries(volumes).flatMap(([state, number]) =>
        number === 0 ? [] : [`${number} volumes that are ${state}`],
      ),
      ...problems.map((problem) => `the problem "${problem}"`),
      ...(await node.mounts()).map((target) => `a mount at ${target}`),
    ];
    const [live, trash] = [await node.entries("volumes"), await node.entries("trash")];
    if (live > SPARES_MAX) remains.push(`${live} directories in volumes`);
    if (trash > 0) remains.push(`${trash} directories in trash`);
    if (after.fds > before.fds + FDS_MORE)
      remains.push(`${after.fds} descriptors, not ${before.fds}: ${await node.descriptors()}`);
    if (after.threads > before.threads + THREADS_MORE) remains.push(`${after.threads} threads, not ${before.threads}`);
    tally.violations.push(...remains.map((one) => `at the end there is ${one}`));
  }
}

function medians(samples: readonly Holdings[]): Holdings {
  const of = (key: keyof Holdings) => median(samples.map((sample) => sample[key]));
  return { fds: of("fds"), threads: of("threads"), residentMb: of("residentMb") };
}
