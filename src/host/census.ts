/**
 * Looks at the content of volumes in a thread of its own, which starts with the first one: what they take where no quota
 * counts it, and whose their files are by the kernel's books. It is always the last in the queue, and rests in between.
 */
import { Worker } from "node:worker_threads";
import { HoldfastError } from "../domain/error.ts";
import { CallThread } from "./call-thread.ts";
import { createPace } from "./census-pace.ts";
import { actionOn, type CensusOrder, type Tally } from "./census-tree.ts";
import type { CENSUS_METHODS } from "./census-worker.ts";

/** One name may take long on a busy disk; a slice that takes so long is on one that hangs. */
const TIMEOUT_MS = 60_000;
const SHARE = 0.25;

interface ContentUsage {
  /** Allocated, not apparent: holes take nothing, and an inode with several names is counted once. */
  readonly usedBytes: number;
  /** With the `content` directory itself; this is what a project quota counts. */
  readonly inodes: number;
  /** Directories and names that could not be read, missing in the others; for root only those that others are changing. */
  readonly unread: number;
}

interface EnlistOutcome extends ContentUsage {
  /** How many names were looked at. */
  readonly entries: number;
  /** Files and directories that were not the project's, and are now. */
  readonly wrong: number;
  /** Files and directories that could not be made so: immutable ones, leased ones. */
  readonly refused: number;
  /** The path of the first of them; the middle of a long one is left out. */
  readonly firstRefusal?: string;
}

/** An open `volumes` or `trash` directory and its path, for messages; to be kept open until the answer comes. */
export interface CensusParent {
  readonly fd: number;
  readonly path: string;
}

interface CensusOptions {
  readonly signal?: AbortSignal;
}

/**
 * `name` is `<uuid>/content` below `parent`; it may be moved to another parent meanwhile. Nothing is entered through a
 * symlink or another mount, and nothing but directories and regular files is opened. Content that changes meanwhile is
 * counted as it was found; content that grows as fast as it is read is counted until the signal ends that.
 * @throws `damaged` when it is not there or something else is in its place
 * @throws `in_use` somebody moves directories more than 60 levels deep
 * @throws `unavailable` interrupted, or the disk fails
 */
export interface Census {
  measure(parent: CensusParent, name: string, options?: CensusOptions): Promise<ContentUsage>;
  /**
   * Gives all content to a project, and measures it. From then on the kernel lets nothing in that is not the project's,
   * until an owner of files in it gives them to another one. FIFOs, sockets, devices and symlinks keep what they have.
   * @throws also `unsupported` the file system has no projects
   */
  enlist(
    parent: CensusParent,
    name: string,
    project: { readonly id: number },
    options?: CensusOptions,
  ): Promise<EnlistOutcome>;
  /** Interrupts what is under way. */
  close(): Promise<void>;
}

/** @param options `share`: of a core, that is used at most by all walks together; over 0, with 1 they never rest */
export function createCensus({ share = SHARE }: { readonly share?: number } = {}): Census {
  const thread = new CallThread<typeof CENSUS_METHODS>({
    action: "look at the content of volumes",
    timeoutMs: TIMEOUT_MS,
    start: () =>
      new Worker(new URL("./census-worker.ts", import.meta.url), {
        name: "census",
        // Descriptors are closed by number; by default Node would close at exit numbers that others use by then.
        trackUnmanagedFds: false,
      }),
  });
  const pace = createPace(share);
  const closing = new AbortController();
  const underWay = new Set<Promise<Tally>>();
  let lastId = 0;

  async function walk(order: CensusOrder, stop: AbortSignal): Promise<Tally> {
    lastId += 1;
    const id = lastId;
    let begun = false;
    while (await pace.turn(stop)) {
      begun = true;
      const { busyMs, tally } = await thread.call("walk", id, order);
      pace.worked(busyMs);
      if (tally !== undefined) return tally;
    }
    if (begun) await thread.call("interrupt", id);
    throw new HoldfastError("unavailable", `Cannot ${actionOn(order)}: interrupted`);
  }

  async function begin(order: CensusOrder, signal: AbortSignal | undefined): Promise<Tally> {
    const stop = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
    const walking = walk(order, stop);
    underWay.add(walking);
    return await walking.finally(() => underWay.delete(walking));
  }

  return {
    async measure(parent, name, { signal } = {}) {
      const { usedBytes, inodes, unread } = await begin({ parent, name }, signal);
      return { usedBytes, inodes, unread };
    },
    enlist: (parent, name, { id }, { signal } = {}) => begin({ parent, name, project: { id } }, signal),
    async close() {
      closing.abort();
      await Promise.allSettled(underWay);
      await thread.close();
    },
  };
}
