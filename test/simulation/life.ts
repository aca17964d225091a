/**
 * One life of the daemon: every call of a port is a step that somebody else lets through, so that a test decides what
 * happens in which order, what fails, and at which step the daemon dies. A dead daemon's calls never come back, and
 * whatever it still tries does not reach the world.
 */
import { HoldfastError } from "../../src/domain/error.ts";
import type { Volume } from "../../src/domain/records.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Disk } from "../../src/ports/disk.ts";
import type { Holders } from "../../src/ports/holders.ts";
import type { Mounter } from "../../src/ports/mounter.ts";
import type { Sandboxes } from "../../src/ports/sandboxes.ts";
import type { Store } from "../../src/ports/store.ts";
import type { MemoryStore } from "../fakes/memory-store.ts";
import type { Chance } from "./chance.ts";

export interface LifeOptions {
  /** Decides the order of steps; without it they happen in the order in which they were asked for. */
  readonly chance?: Chance;
  /** Dies when so many steps have been let through. */
  readonly steps?: number;
  /** So many of a hundred calls fail. */
  readonly faults?: number;
}

export class Life {
  dead = false;
  /** Steps let through so far. */
  steps = 0;
  readonly #options: LifeOptions;
  readonly #waiting: (() => void)[] = [];
  #lastStep: number;
  readonly #unsynced = new Set<() => Promise<void>>();

  constructor(options: LifeOptions = {}) {
    this.#options = options;
    this.#lastStep = options.steps ?? Number.POSITIVE_INFINITY;
  }

  /** Dies after so many steps from now. */
  dieAfter(steps: number): void {
    this.#lastStep = this.steps + steps;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** Comes back when it is let through; never, when the daemon dies before. */
  step(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.dead) this.#waiting.push(resolve);
    });
  }

  /** Lets one step through, or dies. */
  letOneThrough(): void {
    if (this.steps >= this.#lastStep) {
      this.dead = true;
      return;
    }
    this.steps += 1;
    const index = this.#options.chance?.below(this.#waiting.length) ?? 0;
    this.#waiting.splice(index, 1)[0]?.();
  }

  /** A call of a port: what it does happens at once, somewhere between being asked for and coming back. */
  async call<T>(work: () => Promise<T>): Promise<T> {
    await this.step();
    if (this.isFaulty()) throw fault();
    const result = await work();
    await this.step();
    return result;
  }

  /** The same for what a power cut may take back until it has come back. */
  async callUnsynced(work: () => Promise<void>, undo: () => Promise<void>): Promise<void> {
    await this.call(async () => {
      await work();
      this.#unsynced.add(undo);
    });
    this.#unsynced.delete(undo);
  }

  /** A synchronous call: the dead do not act. */
  act<T>(work: () => T): T {
    if (this.dead) throw new Error("The daemon is dead");
    return work();
  }

  isFaulty(): boolean {
    return this.#options.chance?.percent(this.#options.faults ?? 0) ?? false;
  }

  /** What a power cut takes back of what was under way. */
  unsynced(): readonly (() => Promise<void>)[] {
    return [...this.#unsynced];
  }
}

function fault(): HoldfastError {
  return new HoldfastError("internal", "A fault of the simulation");
}

const RESTING_TURNS = 8;

/** Runs until `done` or death; `between` may do something before every step. */
export async function drive(life: Life, done: Promise<unknown>, between: () => void = () => {}): Promise<void> {
  let isDone = false;
  const ended = done.finally(() => {
    isDone = true;
  });
  ended.catch(() => undefined);
  for (let idle = 0; idle < 1_000; idle += 1) {
    await turn();
    // What the dead were asked for may still fail, and nobody hears of it.
    if (life.dead) return;
    if (isDone) return void (await ended);
    between();
    if (life.isIdle) continue;
    life.letOneThrough();
    idle = 0;
  }
  throw new Error("The engine waits for something that never comes");
}

/** Runs what goes on in the background, until nothing does. */
export async function letRest(life: Life): Promise<void> {
  for (let idle = 0; idle < RESTING_TURNS && !life.dead; idle += 1) {
    await turn();
    if (life.isIdle) continue;
    life.letOneThrough();
    idle = 0;
  }
}

/** Lets everything run that waits for no step. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function mortalStore(store: MemoryStore, life: Life): Store {
  let queue: Promise<unknown> = Promise.resolve();
  /** The store does one thing after the other, in the order in which it was asked. */
  const inOrder = <T>(work: () => Promise<T>): Promise<T> => {
    const outcome = queue.then(work);
    queue = outcome.catch(() => undefined);
    return outcome;
  };
  return {
    open: () => store.open(),
    commit: (changes, options) =>
      inOrder(async () => {
        await life.step();
        if (life.isFaulty()) store.failCommit(1);
        await store.commit(changes, options).finally(() => store.failCommit(0));
        await life.step();
      }),
    reload: () => inOrder(() => store.reload()),
    ping: () => inOrder(() => store.ping()),
    close: () => inOrder(() => store.close()),
  };
}

/** `onUndo` is told of a volume whose move a power cut takes back. */
export function mortalDisk(disk: Disk, life: Life, onUndo: (volume: Volume) => void): Disk {
  const undoing = async (volume: Volume, undo: (volume: Volume) => Promise<void>): Promise<void> => {
    onUndo(volume);
    await undo(volume);
  };
  return {
    source: disk.source,
    root: disk.root,
    fileSystem: disk.fileSystem,
    enforcement: disk.enforcement,
    directory: disk.directory,
    claim: (volumes) => life.act(() => disk.claim(volumes)),
    limit: (volume) => life.act(() => disk.limit(volume)),
    looseness: (volume) => life.act(() => disk.looseness(volume)),
    usageOf: (volume) => life.act(() => disk.usageOf(volume)),
    measure: (volume, options) => life.call(() => disk.measure(volume, options)),
    newProjectId: () => life.act(() => disk.newProjectId()),
    enlist: (volume, options) => life.call(() => disk.enlist(volume, options)),
    take: (count) => life.call(() => disk.take(count)),
    giveBack: (spares) => life.act(() => disk.giveBack(spares)),
    writeLabel: (volume) => life.act(() => disk.writeLabel(volume)),
    labelRevision: (volume) => life.act(() => disk.labelRevision(volume)),
    syncLabels: (uuids) => life.call(() => disk.syncLabels(uuids)),
    writeNodeLabel: (label) => life.call(() => disk.writeNodeLabel(label)),
    examine: (uuid) => life.act(() => disk.examine(uuid)),
    examineTrash: (uuid) => life.act(() => disk.examineTrash(uuid)),
    list: (isKnown) => life.call(() => disk.list(isKnown)),
    drop: (volume) =>
      life.callUnsynced(
        () => disk.drop(volume),
        () => undoing(volume, () => disk.restore(volume)),
      ),
    restore: (volume) =>
      life.callUnsynced(
        () => disk.restore(volume),
        () => undoing(volume, () => disk.drop(volume)),
      ),
    purge: (uuid, options) => life.call(() => disk.purge(uuid, options)),
    examineForeign: (path) => life.act(() => disk.examineForeign(path)),
    measureForeign: (path, options) => life.call(() => disk.measureForeign(path, options)),
    adopt: (volume) =>
      life.callUnsynced(
        () => disk.adopt(volume),
        () => disk.unadopt(volume),
      ),
    unadopt: (volume) =>
      life.callUnsynced(
        () => disk.unadopt(volume),
        () => disk.adopt(volume),
      ),
    copy: (volume, from, options) => life.call(() => disk.copy(volume, from, options)),
    discardCopy: (volume) => life.call(() => disk.discardCopy(volume)),
    giveToGroup: (volume, group, options) => life.call(() => disk.giveToGroup(volume, group, options)),
    contentPath: (volume) => disk.contentPath(volume),
    usage: () => life.call(() => disk.usage()),
    close: () => disk.close(),
  };
}

export function mortalMounter(mounter: Mounter, life: Life): Mounter {
  return {
    backend: mounter.backend,
    attach: (request) => life.call(() => mounter.attach(request)),
    detach: (mounted, options) => life.call(() => mounter.detach(mounted, options)),
    inspect: (mounted) => life.call(() => mounter.inspect(mounted)),
    clear: (target) => life.call(() => mounter.clear(target)),
    close: () => mounter.close(),
  };
}

export function mortalHolders(holders: Holders, life: Life): Holders {
  return {
    mounts: (uuids, scope) => life.call(() => holders.mounts(uuids, scope)),
    processes: (uuids) => life.call(() => holders.processes(uuids)),
    ofDirectories: (directories) => life.call(() => holders.ofDirectories(directories)),
    close: () => holders.close(),
  };
}

export function mortalSandboxes(sandboxes: Sandboxes, life: Life): Sandboxes {
  return {
    examine: (path, disks) => life.act(() => sandboxes.examine(path, disks)),
    find: (sandbox) => life.act(() => sandboxes.find(sandbox)),
    usage: (path) => life.call(() => sandboxes.usage(path)),
    detach: (sandbox, disks, options) => life.act(() => sandboxes.detach(sandbox, disks, options)),
    purge: (sandbox, options) => life.call(() => sandboxes.purge(sandbox, options)),
    close: () => sandboxes.close(),
  };
}

export function mortalClock(clock: Clock, life: Life): Clock {
  return {
    now: () => clock.now(),
    bootId: () => clock.bootId(),
    bootTimeMs: () => clock.bootTimeMs(),
    after: (delayMs, callback) => clock.after(delayMs, () => (life.dead ? undefined : callback())),
  };
}
