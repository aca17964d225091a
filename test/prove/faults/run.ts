/** One fault after the other on the same daemon, which is killed and started again from time to time. */
import { readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "../../simulation/chance.ts";
import type { Books } from "../kills/books.ts";
import { type Breaker, breakNodes } from "../kills/lanes.ts";
import { isDone, type Node } from "../kills/node.ts";
import { type Attempt, OPERATIONS } from "../kills/operations.ts";
import { type Point, Points, pointsIn, threadsOf } from "../kills/points.ts";
import type { Evidence, Trial } from "../protocol.ts";
import type { End } from "../traced-daemon.ts";

/** Whatever the kernel may refuse. A failed close closes nevertheless, which strace cannot play. */
const CALLS = [
  "openat,openat2,statx,newfstatat,getdents64,readlinkat,read,pread64,write,writev,pwrite64,fsync,fdatasync",
  "ftruncate,fallocate,mkdir,mkdirat,symlinkat,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir",
  "fchown,fchownat,fchmod,utimensat,ioctl,quotactl_fd,statfs,fstatfs",
  "open_tree,move_mount,mount_setattr,umount2",
].join(",");
/** The same of a start, without what loading the program does. */
const START_CALLS = [
  "openat2,pwrite64,pread64,fsync,fdatasync,ftruncate,fallocate,mkdir,mkdirat,symlinkat,rename,renameat,renameat2",
  "unlink,unlinkat,rmdir,fchown,fchmod,chmod,utimensat,quotactl_fd,flock,bind,listen,statfs,getdents64",
  "open_tree,move_mount,mount_setattr,umount2",
].join(",");
const ERRORS = ["EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE", "ENOMEM", "EBUSY"] as const;
/** Node's own plumbing never fails like that; the log and the client have no part in what is kept. */
const PLUMBING = /^(?:\d+ +)?\w+\(\d+<(?:anon_inode|pipe|socket)|daemon\.log>/;
/** Calls that the plumbing makes too, which must go on. */
const NOT_FOR_EVER: ReadonlySet<string> = new Set(["read", "write", "writev"]);
/** Where the program is loaded nobody is there yet to say anything. */
const LOADER = /<[^>]*(?:\.so[.\d]*|\/node)>/;
const LOADER_FAILED = /error while loading shared libraries/;
const INJECTED = "(INJECTED)";
const SYNC_OF_CHECKPOINT = /\bf(?:data)?sync\(\d+<[^>]*\/meta\/checkpoint\.db(?:-wal)?>/;
/** As the daemon says that its checkpoint cannot be stored any more. */
const EXIT_STORE = 74;
/** What a start that is refused ends with. */
const EXIT_REFUSED: readonly (number | undefined)[] = [1, EXIT_STORE];
const CRASH = /unhandled|uncaught|^ {4}at /im;
const START_MS_MAX = 10_000;
const BEHIND_MS = 30;
const START_PERCENT = 3;
const FOR_EVER_PERCENT = 40;
const FAULTS_PER_START = 30;
const FAULTS_PER_NODE = 1_500;
const TOLD_EVERY = 100;
const VOLUMES_MAX = 24;
const POOLS = [1, 4] as const;
/** What it could not write is lost, and it says so until it writes again. */
const TRAIL_NOT_KEPT = /^The audit trail in /;
/** The reconcile looks every second. */
const HEALED_MS_MAX = 5_000;
const WATCH = { what: "", when: "1" } as const;

interface Tally {
  faults: number;
  missed: number;
  refused: number;
  exits: number;
  leftMountpoints: number;
  slowestMs: number;
  readonly points: Set<string>;
  readonly violations: string[];
}

export async function tryFaults(trial: Trial): Promise<Evidence> {
  const zero = { faults: 0, missed: 0, refused: 0, exits: 0, leftMountpoints: 0, slowestMs: 0 };
  const tally: Tally = { ...zero, points: new Set(), violations: [] };
  const points = new Map<string, Points>();
  await breakNodes({
    trial,
    tally,
    triesPerNode: FAULTS_PER_NODE,
    tried: () => tally.faults,
    breaker: (chance) => new Saboteur({ chance, trial, points, tally }),
  });
  const { faults, missed, refused, exits, leftMountpoints, violations } = tally;
  const figures = {
    "different points": tally.points.size,
    missed,
    refused,
    exits,
    "mountpoints left": leftMountpoints,
  };
  return { count: faults, violations, figures: { ...figures, "ms the slowest answer": Math.round(tally.slowestMs) } };
}

class Saboteur implements Breaker {
  readonly tally: Tally;
  readonly chance: Chance;
  story = "";
  tries = 0;
  violations = 0;
  readonly #trial: Trial;
  readonly #points: Map<string, Points>;
  #pool: (typeof POOLS)[number] = 1;
  #sinceStart = 0;

  constructor(options: { chance: Chance; trial: Trial; points: Map<string, Points>; tally: Tally }) {
    this.tally = options.tally;
    this.chance = options.chance;
    this.#trial = options.trial;
    this.#points = options.points;
  }

  async tryOne(node: Node): Promise<void> {
    this.#tell("between two faults");
    if (this.#sinceStart >= FAULTS_PER_START) await this.#startAgain(node);
    if (this.chance.percent(START_PERCENT)) return this.#spoilStart(node);
    const kept = node.books.volumes.size;
    const name = this.chance.pick(kept < VOLUMES_MAX ? OPERATIONS : (["destroy", "collect", "detach"] as const));
    const attempt = await node.prepare(name);
    const key = `${name} ${this.#pool}`;
    const points = this.#points.get(key);
    if (points === undefined) return this.#watch(node, attempt, key);
    const point = points.next();
    if ((await this.#spoil(node, attempt, point, key)) === "missed") points.forget(point);
  }

  async #watch(node: Node, attempt: Attempt, key: string): Promise<void> {
    const threads = threadsOf(node.daemon);
    const tracer = await node.daemon.attach("all", { calls: CALLS, ...WATCH });
    await node.must(attempt);
    await sleep(BEHIND_MS);
    await tracer.detach();
    const points = pointsIn(await node.daemon.traced(), threads, (line) => !PLUMBING.test(line));
    this.#points.set(key, new Points(points, this.chance));
  }

  /** One operation with one fault; then what is there is what was answered. */
  async #spoil(node: Node, attempt: Attempt, { thread, call, nth }: Point, key: string): Promise<"missed" | "hit"> {
    const { daemon } = node;
    if (!daemon.has(thread)) return this.#miss();
    const error = this.chance.pick(ERRORS);
    const when = `${nth}${this.#isForEver(call) ? "+" : ""}`;
    this.#tell(`${key} with ${error} at ${thread} ${call} ${when}`);
    const [before, inode, logged] = [node.books, node.checkpointInode, statSync(daemon.log).size];
    const tracer = await daemon.attach(thread, { calls: call, what: `error=${error}`, when });
    const startedMs = performance.now();
    const answer = await node.ask(attempt.call);
    const answerMs = performance.now() - startedMs;
    await Promise.race([daemon.ended, sleep(answer === undefined ? BEHIND_MS * 10 : BEHIND_MS)]);
    await tracer.detach();
    const injected = injectedIn(await daemon.traced());
    const isPlumbing = injected.some((line) => PLUMBING.test(line));
    if (isPlumbing) {
      // It was not the call that was meant; Node may die of it now or later.
      await daemon.kill9();
      await this.#settle(node, [before, attempt.after, ...attempt.between]);
      return this.#miss();
    }
    if (injected.length === 0) this.#miss();
    else this.#count(`${key} ${thread} ${call} ${nth} ${error}`, answerMs);
    this.#blame(judgeEnd(daemon.end, answer));
    this.#blame(judgeLog(readFileSync(daemon.log, "utf8").slice(logged)));
    this.story += ` (answered ${answer?.status === 200 ? "200" : (answer?.text.slice(0, 300) ?? "nothing")})`;
    const acknowledged = answer !== undefined && isDone(attempt, answer);
    if (!acknowledged) this.tally.refused += 1;
    const { cure } = attempt;
    // What was unmounted and could not be looked at is shown as damaged until it is asked for again.
    if (!acknowledged && cure !== undefined && daemon.end === undefined) {
      await node.must({ ...attempt, call: cure.call, after: cure.after });
      await this.#settle(node, [cure.after]);
    } else await this.#settle(node, acknowledged ? [attempt.after] : [before, attempt.after, ...attempt.between]);
    const wasNotStored = injected.some((line) => SYNC_OF_CHECKPOINT.test(line));
    if (wasNotStored && answer?.status === 200 && node.checkpointInode === inode) {
      this.#blame(["it acknowledged after a failed sync, and the checkpoint is the old file"]);
    }
    return injected.length === 0 ? "missed" : "hit";
  }

  /** Compares at once, and behind another start when it has ended. */
  async #settle(node: Node, allowed: readonly Books[]): Promise<void> {
    this.#sinceStart += 1;
    if (node.daemon.end !== undefined) {
      this.tally.exits += 1;
      await this.#start(node);
    }
    this.#blame(await node.judge(allowed, { excused: TRAIL_NOT_KEPT, settleMs: HEALED_MS_MAX }));
  }

  /** What was acknowledged since the last start is there after a crash. */
  async #startAgain(node: Node): Promise<void> {
    await node.daemon.kill9();
    await this.#start(node);
    this.#blame((await node.judge([node.books])).map((fault) => `after kill -9: ${fault}`));
  }

  /** A start with a fault becomes ready or says why not; the next one without is as ever. */
  async #spoilStart(node: Node): Promise<void> {
    const { daemon } = node;
    await daemon.kill9();
    const key = `start ${this.#pool}`;
    const points = this.#points.get(key);
    if (points === undefined) {
      const outcome = await daemon.start({ calls: START_CALLS, ...WATCH });
      if (outcome !== "ready") this.#blame([`the start under strace ${outcome}: ${await daemon.said()}`]);
      const points = pointsIn(await daemon.traced(), threadsOf(daemon), (line) => !LOADER.test(line));
      this.#points.set(key, new Points(points, this.chance));
    } else {
      const { call, nth } = points.next();
      const error = this.chance.pick(ERRORS);
      const when = `${nth}${this.#isForEver(call) ? "+" : ""}`;
      this.#tell(`${key} with ${error} at ${call} ${when}`);
      const logged = statSync(daemon.log).size;
      const outcome = await daemon.start({ calls: call, what: `error=${error}`, when }, START_MS_MAX);
      if (outcome === "hangs") this.#blame([`the start hangs: ${await daemon.said()}`]);
      const said = readFileSync(daemon.log, "utf8").slice(logged);
      if (LOADER_FAILED.test(said)) this.#miss();
      else {
        if ((await daemon.traced()).includes(INJECTED)) this.#count(`${key} ${call} ${nth} ${error}`, 0);
        this.#blame(judgeStart(outcome, daemon.end, said));
      }
    }
    await this.#startAgain(node);
  }

  async #start(node: Node): Promise<void> {
    this.#pool = this.chance.pick(POOLS);
    this.#sinceStart = 0;
    node.daemon.pool = this.#pool;
    await node.daemon.mustStart();
  }

  #isForEver(call: string): boolean {
    return !NOT_FOR_EVER.has(call) && this.chance.percent(FOR_EVER_PERCENT);
  }

  #tell(what: string): void {
    this.story = `seed ${this.#trial.seed}, fault ${this.tally.faults}: ${what}`;
  }

  #blame(faults: readonly string[]): void {
    this.violations += faults.length;
    this.tally.violations.push(...faults.map((fault) => `${this.story}: ${fault}`));
  }

  #count(point: string, answerMs: number): void {
    this.tries += 1;
    this.tally.faults += 1;
    if (this.tally.faults % TOLD_EVERY === 0) this.#trial.progress(`${this.tally.faults} faults`);
    this.tally.points.add(point);
    this.tally.slowestMs = Math.max(this.tally.slowestMs, answerMs);
  }

  #miss(): "missed" {
    this.tally.missed += 1;
    return "missed";
  }
}

/** Every call that failed at our wish; a line that another thread interrupted is put together again. */
function injectedIn(trace: string): readonly string[] {
  const begun = new Map<string, string>();
  const found: string[] = [];
  for (const line of trace.split("\n")) {
    const tid = /^\d+ /.exec(line)?.[0] ?? "";
    if (line.endsWith("<unfinished ...>")) begun.set(tid, line);
    if (line.includes(INJECTED)) found.push(line.includes("resumed>") ? `${begun.get(tid) ?? ""}${line}` : line);
  }
  return found;
}

function judgeEnd(
  end: End | undefined,
  answer: { readonly status: number; readonly text: string } | undefined,
): string[] {
  if (answer?.text === "hangs") return ["the request hangs"];
  if (end !== undefined && end.status !== EXIT_STORE) return [`the daemon ends with ${JSON.stringify(end)}`];
  if (answer === undefined) return end === undefined ? ["the request gets no answer"] : [];
  if (answer.status === 200) return [];
  return /"code":"\w+"/.test(answer.text) ? [] : [`the answer is no refusal: ${answer.status} ${answer.text}`];
}

function judgeStart(outcome: string, end: End | undefined, said: string): string[] {
  const faults = judgeLog(said);
  if (outcome !== "ended") return faults;
  if (!EXIT_REFUSED.includes(end?.status)) faults.push(`the start ends with ${JSON.stringify(end)}: ${said}`);
  if (!said.includes("Cannot")) faults.push(`the start does not say why it ends: ${said}`);
  return faults;
}

function judgeLog(said: string): string[] {
  return CRASH.test(said) ? [`the log shows a crash: ${said.slice(-2_000)}`] : [];
}
