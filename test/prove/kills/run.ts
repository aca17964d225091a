/** One kill after the other on the same node, with a thread pool of one thread, and of four. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "../../simulation/chance.ts";
import type { Evidence, Trial } from "../protocol.ts";
import type { Books } from "./books.ts";
import { type Breaker, breakNodes } from "./lanes.ts";
import { isDone, isHeld, type Node } from "./node.ts";
import { type Attempt, OPERATIONS, type OperationName } from "./operations.ts";
import { type Point, Points, pointsIn, threadsOf } from "./points.ts";

/** Whatever touches files, descriptors, mounts or the network. */
const CALLS = [
  "openat,openat2,close,statx,newfstatat,getdents64,readlinkat,read,pread64,write,writev,pwrite64,fsync,fdatasync",
  "ftruncate,fallocate,mkdir,mkdirat,symlinkat,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir",
  "fchown,fchownat,fchmod,chmod,utimensat,ioctl,quotactl_fd,flock,fcntl",
  "open_tree,move_mount,mount_setattr,umount2,setns,sendmsg,shutdown",
].join(",");
/** The same of a start, without what loading the program does. */
const START_CALLS = [
  "openat2,write,pwrite64,pread64,fsync,fdatasync,ftruncate,fallocate,mkdir,mkdirat,symlinkat,linkat,rename,renameat",
  "renameat2,unlink,unlinkat,rmdir,fchown,fchmod,chmod,utimensat,quotactl_fd,flock,bind,listen,statfs,getdents64",
  "open_tree,move_mount,mount_setattr,umount2",
].join(",");
const POOLS = [1, 4] as const;
/** So long a daemon that has answered goes on by itself until it is left alone. */
const BEHIND_MS = 60;
/** A broken connection means a dead daemon. */
const DEATH_MS_MAX = 5_000;
const DETACHED_MS = 5;
/** A start is stopped after so many operations that were. */
const START_PERCENT = 35;
const DOCTOR_PERCENT = 8;
const AGAIN_PERCENT = 8;
const REPEAT_PERCENT = 50;
const VOLUMES_MAX = 24;
const KILLS_PER_NODE = 150;
const KILLS_PER_POOL = 25;
const TOLD_EVERY = 25;
/** Nothing injected: only what is called. */
const WATCH = { what: "", when: "1" } as const;

interface Tally {
  kills: number;
  missed: number;
  answered: number;
  leftMountpoints: number;
  readonly points: Set<string>;
  readonly violations: string[];
}

export async function tryKills(trial: Trial): Promise<Evidence> {
  const tally: Tally = { kills: 0, missed: 0, answered: 0, leftMountpoints: 0, points: new Set(), violations: [] };
  const points = new Map<string, Points>();
  await breakNodes({
    trial,
    tally,
    triesPerNode: KILLS_PER_NODE,
    tried: () => tally.kills,
    breaker: (chance) => new Killer({ chance, trial, points, tally }),
  });
  const { kills, missed, answered, leftMountpoints, violations } = tally;
  const figures = { "different points": tally.points.size, missed, answered, "mountpoints left": leftMountpoints };
  return { count: kills, violations, figures };
}

class Killer implements Breaker {
  readonly tally: Tally;
  readonly chance: Chance;
  story = "";
  tries = 0;
  violations = 0;
  readonly #trial: Trial;
  readonly #points: Map<string, Points>;
  #pool: (typeof POOLS)[number] = 1;

  constructor(options: { chance: Chance; trial: Trial; points: Map<string, Points>; tally: Tally }) {
    this.tally = options.tally;
    this.chance = options.chance;
    this.#trial = options.trial;
    this.#points = options.points;
  }

  /** Stops the daemon in the middle of one operation, perhaps again in the start behind it, and judges what is left. */
  async tryOne(node: Node): Promise<void> {
    this.#tell("its end");
    const name = this.#choose(node);
    const attempt = await node.prepare(name);
    const key = `${name} ${this.#pool}`;
    const points = this.#points.get(key);
    if (points === undefined) return this.#watch(node, attempt, key);
    const point = points.next();
    const before = node.books;
    const answered = await this.#kill(node, attempt, point, key);
    if (answered === "missed") return points.forget(point);
    const killedAgain = this.chance.percent(START_PERCENT) && (await this.#killStart(node));
    if (!killedAgain || node.daemon.end !== undefined) await this.#restart(node);
    const allowed: readonly Books[] = answered ? [attempt.after] : [before, attempt.after, ...attempt.between];
    await this.#judge(node, allowed);
    if (!answered && attempt.repeatable && this.chance.percent(REPEAT_PERCENT)) await this.#repeat(node, attempt);
    if (this.chance.percent(AGAIN_PERCENT)) await this.#startAgain(node);
  }

  /** What a node has too much of goes first. */
  #choose({ books }: Node): OperationName {
    const kept = [...books.volumes.values()];
    if (kept.length < VOLUMES_MAX) return this.chance.pick(OPERATIONS);
    return this.chance.pick(["destroy", "collect", "collect", "detach", "exchange", "restore", "grow"]);
  }

  async #watch(node: Node, attempt: Attempt, key: string): Promise<void> {
    const threads = threadsOf(node.daemon);
    const tracer = await node.daemon.attach("all", { calls: CALLS, ...WATCH });
    await node.must(attempt);
    await sleep(BEHIND_MS);
    await tracer.detach();
    this.#points.set(key, new Points(pointsIn(await node.daemon.traced(), threads), this.chance));
  }

  /** Whether it had answered; the daemon is dead, unless it never came to the point. */
  async #kill(node: Node, attempt: Attempt, point: Point, key: string): Promise<boolean | "missed"> {
    const { daemon } = node;
    const { thread, call, nth } = point;
    if (!daemon.has(thread)) return this.#miss();
    this.#tell(`${key} at ${thread} ${call} ${nth}`);
    const tracer = await daemon.attach(thread, { calls: call, what: "signal=KILL", when: String(nth) });
    const answer = await node.ask(attempt.call);
    if (answer?.text === "hangs") this.#blame(["the request hangs"]);
    await Promise.race([daemon.ended, sleep(answer === undefined ? DEATH_MS_MAX : BEHIND_MS)]);
    if (daemon.end === undefined) await tracer.detach();
    if (answer !== undefined && answer.status !== 200 && !isHeld(answer)) {
      this.#blame([`${answer.status}: ${answer.text}`]);
    }
    const acknowledged = answer !== undefined && isDone(attempt, answer);
    // A kill may be on its way until strace is gone.
    if (daemon.end === undefined) await Promise.race([daemon.ended, sleep(DETACHED_MS)]);
    if (daemon.end === undefined) {
      const faults = answer === undefined ? ["it broke the connection, and lives"] : [];
      const allowed = acknowledged ? [attempt.after] : [node.books, ...attempt.between];
      const judged = await node.judge(allowed).catch((error: unknown) => error);
      // A very late one comes in the middle of that.
      if (!Array.isArray(judged)) await Promise.race([daemon.ended, sleep(DEATH_MS_MAX)]);
      if (daemon.end === undefined) {
        if (!Array.isArray(judged)) throw judged;
        this.#blame([...faults, ...(judged as readonly string[])]);
        return this.#miss();
      }
    }
    this.#count(`${key} ${thread} ${call} ${nth}`);
    if (acknowledged) this.tally.answered += 1;
    return acknowledged;
  }

  /** Whether a start was killed; if not, the daemon may be ready. */
  async #killStart(node: Node): Promise<boolean> {
    const { daemon } = node;
    daemon.pool = this.#pool;
    const key = `start ${this.#pool}`;
    const points = this.#points.get(key);
    if (points === undefined) {
      const outcome = await daemon.start({ calls: START_CALLS, ...WATCH });
      if (outcome !== "ready") this.#blame([`the start under strace ${outcome}: ${await daemon.said()}`]);
      const threads = threadsOf(daemon);
      await daemon.kill9();
      this.#points.set(key, new Points(pointsIn(await daemon.traced(), threads), this.chance));
      return false;
    }
    const { call, nth } = points.next();
    this.#tell(`${this.story.split(": ")[1]}, then ${key} at ${call} ${nth}`);
    const outcome = await daemon.start({ calls: call, what: "signal=KILL", when: String(nth) });
    if (outcome === "ready") await Promise.race([daemon.ended, sleep(BEHIND_MS)]);
    if (outcome === "hangs") this.#blame(["the start hangs"]);
    const killed = daemon.end?.signal === "SIGKILL";
    if (killed) this.#count(`${key} ${call} ${nth}`);
    else if (daemon.end !== undefined) this.#blame([`the start ended by itself: ${await daemon.said()}`]);
    else await daemon.kill9();
    return killed;
  }

  async #restart(node: Node): Promise<void> {
    if (this.tries % KILLS_PER_POOL === 0) this.#pool = this.#pool === 1 ? 4 : 1;
    node.daemon.pool = this.#pool;
    await node.daemon.mustStart();
  }

  async #judge(node: Node, allowed: readonly Books[]): Promise<void> {
    this.#blame(await node.judge(allowed));
    if (this.chance.percent(DOCTOR_PERCENT)) this.#blame(await node.doctor());
  }

  /** The same operation once more: it is done once, whether or not it was done before. */
  async #repeat(node: Node, attempt: Attempt): Promise<void> {
    const answer = await node.ask(attempt.call);
    if (answer?.status !== 200) this.#blame([`repeated: ${answer?.status ?? "no answer"}: ${answer?.text ?? ""}`]);
    this.#blame((await node.judge([attempt.after])).map((fault) => `repeated: ${fault}`));
  }

  /** A second recovery finds nothing to do. */
  async #startAgain(node: Node): Promise<void> {
    await node.daemon.kill9();
    await this.#restart(node);
    this.#blame((await node.judge([node.books])).map((fault) => `after another start: ${fault}`));
  }

  #tell(what: string): void {
    this.story = `seed ${this.#trial.seed}, kill ${this.tally.kills}: ${what}`;
  }

  #blame(faults: readonly string[]): void {
    this.violations += faults.length;
    this.tally.violations.push(...faults.map((fault) => `${this.story}: ${fault}`));
  }

  #count(point: string): void {
    this.tries += 1;
    this.tally.kills += 1;
    if (this.tally.kills % TOLD_EVERY === 0) this.#trial.progress(`${this.tally.kills} kills`);
    this.tally.points.add(point);
  }

  #miss(): "missed" {
    this.tally.missed += 1;
    return "missed";
  }
}
