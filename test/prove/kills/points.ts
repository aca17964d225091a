/** The calls at which a daemon can be stopped, found by watching every operation once. */
import { readdirSync, readFileSync } from "node:fs";
import type { Chance } from "../../simulation/chance.ts";
import type { TracedDaemon } from "../traced-daemon.ts";

/** A call of a thread since the operation began: the third `fsync` of `libuv-worker`. */
export interface Point {
  /** The name of the thread, or `all` where it was started by the operation itself. */
  readonly thread: string;
  readonly call: string;
  readonly nth: number;
}

/** Of many calls of one kind, as when spares are made, the first ones. */
const NTH_MAX = 24;
/** Without its number where a single thread is watched. */
const LINE = /^(?:(\d+) +)?(\w+)\(/;

/** The threads of the daemon that are there now, by their ids. */
export function threadsOf({ pid }: TracedDaemon): ReadonlyMap<string, string> {
  const tasks = `/proc/${pid}/task`;
  return new Map(readdirSync(tasks).map((tid) => [tid, readFileSync(`${tasks}/${tid}/comm`, "utf8").trim()]));
}

/** Every point in what strace wrote; `isWanted` says which of its lines. */
export function pointsIn(
  trace: string,
  threads: ReadonlyMap<string, string>,
  isWanted: (line: string) => boolean = () => true,
): readonly Point[] {
  const counts = new Map<string, number>();
  const points = new Map<string, Point>();
  for (const line of trace.split("\n")) {
    const [, tid = "", call = ""] = LINE.exec(line) ?? [];
    // What strace does not know it cannot stop at.
    if (call === "" || call.startsWith("syscall_")) continue;
    const nth = (counts.get(`${tid} ${call}`) ?? 0) + 1;
    counts.set(`${tid} ${call}`, nth);
    if (nth > NTH_MAX || !isWanted(line)) continue;
    const thread = threads.get(tid) ?? "all";
    points.set(`${thread} ${call} ${nth}`, { thread, call, nth });
  }
  return [...points.values()];
}

/** Gives out points in random order, each once before one comes again. */
export class Points {
  readonly #chance: Chance;
  #all: readonly Point[];
  #left: Point[] = [];

  constructor(all: readonly Point[], chance: Chance) {
    this.#all = all;
    this.#chance = chance;
  }

  next(): Point {
    if (this.#left.length === 0) this.#left = [...this.#all];
    const [point] = this.#left.splice(this.#chance.below(this.#left.length), 1);
    if (point === undefined) throw new Error("There are no points");
    return point;
  }

  /** It was not reached: as in the making of spares, which was due when the operation was watched. */
  forget(point: Point): void {
    this.#all = this.#all.length > 1 ? this.#all.filter((other) => other !== point) : this.#all;
  }
}
