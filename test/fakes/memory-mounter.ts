import { HoldfastError } from "../../src/domain/error.ts";
import type { ContainerProcess, DirectoryIdentity, DirectoryThisBoot } from "../../src/domain/records.ts";
import type { Mode } from "../../src/domain/resource.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import type { Scope } from "../../src/ports/holders.ts";
import type {
  BindOrLink,
  DetachOptions,
  Mounted,
  MountedAt,
  Mounter,
  MountFinding,
  MountRequest,
  MountTarget,
} from "../../src/ports/mounter.ts";
import type { MemoryHolders } from "./memory-holders.ts";

/** What may be made to fail. */
export type MounterCall = "attach" | "detach" | "inspect" | "clear";

export interface MemoryMounterOptions {
  readonly backend?: Mounter["backend"];
  /** Whoever has volumes besides; default: nobody. */
  readonly holders?: Pick<MemoryHolders, "isShown">;
  /** Awaited before every call does its work: for a simulation that decides when things happen. */
  readonly pause?: (call: MounterCall) => Promise<void>;
}

interface Failure {
  readonly error: Error;
  readonly when: "before" | "after";
}

/** Something that is mounted, the newest last where several lie on each other. */
interface MemoryMount {
  readonly uuid: Incarnation | "foreign";
  readonly mode: Mode;
  readonly record: BindOrLink;
}

/**
 * Mounts in memory. Every sandbox exists until it is lost, every content until it is damaged. It is the kernel: it
 * outlives the daemon that uses it, until `reboot`.
 */
export class MemoryMounter implements Mounter {
  readonly backend: Mounter["backend"];
  /** Calls so far, by method. */
  readonly calls: Record<MounterCall, number> = { attach: 0, detach: 0, inspect: 0, clear: 0 };
  readonly #mounts = new Map<string, MemoryMount[]>();
  readonly #mountpoints = new Set<string>();
  readonly #lostSandboxes = new Set<string>();
  readonly #contents = new Map<Incarnation, DirectoryIdentity | "missing">();
  readonly #busy = new Set<Incarnation>();
  readonly #failures = new Map<MounterCall, Failure[]>();
  readonly #pause: (call: MounterCall) => Promise<void>;
  #lastMountId = 0;
  readonly #holders: Pick<MemoryHolders, "isShown"> | undefined;

  constructor(options: MemoryMounterOptions = {}) {
    this.backend = options.backend ?? "bind";
    this.#holders = options.holders;
    this.#pause = options.pause ?? (async () => {});
  }

  /** The next call of this method throws: `before` it does anything, or `after` it did it all, as when it hung. */
  failNext(call: MounterCall, error: Error, when: "before" | "after" = "before"): void {
    this.#failures.set(call, [...(this.#failures.get(call) ?? []), { error, when }]);
  }

  /** A process sits in this volume, until it is set free. */
  sitIn(uuid: Incarnation): void {
    this.#busy.add(uuid);
  }

  setFree(uuid: Incarnation): void {
    this.#busy.delete(uuid);
  }

  /** What is mounted there vanishes behind our back; the mountpoint stays. */
  lose(target: MountTarget): void {
    this.#mounts.delete(keyOf(target));
  }

  /** A mount namespace ends, and with it every mount in it; the mountpoints stay. */
  endNamespace(process: ContainerProcess): void {
    for (const key of this.#mounts.keys()) if (key.startsWith(namespaceOf(process))) this.#mounts.delete(key);
  }

  /** Puts somebody else's mount there. */
  occupy(target: MountTarget): void {
    this.#push(target, "foreign", "RW");
  }

  /** Takes what is on top there away. */
  makeRoom(target: MountTarget): void {
    this.makeRoomAt(keyOf(target));
  }

  /** The same, at one of `places`. */
  makeRoomAt(place: string): void {
    const stack = this.#mounts.get(place);
    stack?.pop();
    if (stack?.length === 0) this.#mounts.delete(place);
  }

  /** Mounts the same volume once more on top of itself. */
  stack(target: MountTarget): void {
    const top = this.#top(target);
    if (top !== undefined) this.#push(target, top.uuid, top.mode);
  }

  /** The sandbox is removed, and with it what is mounted below. */
  loseSandbox(sandbox: string): void {
    this.#lostSandboxes.add(sandbox);
    for (const key of this.#mounts.keys()) if (key.startsWith(`${sandbox}/`)) this.#mounts.delete(key);
    for (const key of this.#mountpoints) if (key.startsWith(`${sandbox}/`)) this.#mountpoints.delete(key);
  }

  /** The volume's content is another directory now, or missing. */
  replaceContent(uuid: Incarnation, content: DirectoryIdentity | "missing"): void {
    this.#contents.set(uuid, content);
  }

  /** Which volume a process sees there. */
  shown(target: MountTarget): Incarnation | "foreign" | undefined {
    return this.shownAt(keyOf(target));
  }

  /** The same, of one of `places`. */
  shownAt(place: string): Incarnation | "foreign" | undefined {
    return this.#mounts.get(place)?.at(-1)?.uuid;
  }

  /** Places where something is mounted: `/sandbox/data`, in a process's namespace `[4026531840]/data`. */
  places(): readonly string[] {
    return Array.from(this.#mounts.keys()).sort();
  }

  /** Directories in sandboxes that were made for mounts. */
  mountpoints(): readonly string[] {
    return Array.from(this.#mountpoints).sort();
  }

  /** Ends every mount and every process; mountpoints stay. Symlinks survive, as they do. */
  reboot(): void {
    if (this.backend === "bind") this.#mounts.clear();
    this.#busy.clear();
    this.#failures.clear();
  }

  async attach(request: MountRequest): Promise<Mounted> {
    return this.#perform("attach", () => {
      if (request.alone === true) this.#requireAlone(request.uuid, "everywhere");
      return this.#attach(request);
    });
  }

  async detach(mounted: MountedAt, { lazy, alone = false }: DetachOptions): Promise<void> {
    return this.#perform("detach", () => {
      if (alone) this.#requireAlone(mounted.uuid, "elsewhere");
      this.#detach(mounted, lazy);
    });
  }

  async inspect(mounted: MountedAt): Promise<MountFinding> {
    return this.#perform("inspect", () => this.#inspect(mounted));
  }

  async clear(target: MountedAt): Promise<void> {
    return this.#perform("clear", () => this.#clear(target));
  }

  async close(): Promise<void> {}

  async #perform<Result>(call: MounterCall, work: () => Result): Promise<Result> {
    this.calls[call] += 1;
    await this.#pause(call);
    const failure = this.#failures.get(call)?.shift();
    if (failure?.when === "before") throw failure.error;
    const result = work();
    if (failure !== undefined) throw failure.error;
    return result;
  }

  #requireAlone(uuid: Incarnation, scope: Scope): void {
    if (this.#holders?.isShown(uuid, scope) === true)
      throw new HoldfastError("in_use", `Somebody else may have volume ${uuid}`);
  }

  #attach(request: MountRequest): Mounted {
    const action = `Cannot attach volume ${request.uuid} at ${keyOf(request)}`;
    if (!request.sandbox.startsWith("/") || this.#lostSandboxes.has(request.sandbox)) {
      throw new HoldfastError("invalid", `Cannot use sandbox "${request.sandbox}": no such directory`);
    }
    if (this.backend === "symlink" && request.mode === "RO") {
      throw new HoldfastError("unsupported", `${action} read-only: a symlink cannot enforce it`);
    }
    const content = this.#contents.get(request.uuid) ?? request.directory;
    if (content === "missing" || content.ino !== request.directory.ino) {
      throw new HoldfastError("damaged", `${action}: its content is not the recorded directory`);
    }
    if (this.#top(request) !== undefined) {
      throw new HoldfastError("conflict", `${action}: something is mounted there already`);
    }
    const place = request.process?.rootfs === undefined ? keyOf(request) : mountpointOf(request, request.process).ino;
    const madeMountpoint = !this.#mountpoints.has(place);
    this.#mountpoints.add(place);
    const mount = this.#push(request, request.uuid, request.mode);
    if (request.process === undefined) return { mount, madeMountpoint };
    return { mount, madeMountpoint, mountpoint: mountpointOf(request, request.process) };
  }

  #detach(mounted: MountedAt, lazy: boolean): void {
    const action = `Cannot detach volume ${mounted.uuid} from ${keyOf(mounted)}`;
    if (this.#top(mounted)?.uuid === "foreign") {
      throw new HoldfastError("conflict", `${action}: something else is mounted there`);
    }
    if (this.#top(mounted) !== undefined && this.#busy.has(mounted.uuid) && !lazy) {
      throw new HoldfastError("busy", `${action}: a process sits in it`);
    }
    const stack = this.#mounts.get(keyOf(mounted)) ?? [];
    while (stack.at(-1)?.uuid === mounted.uuid) stack.pop();
    if (stack.length === 0) this.#mounts.delete(keyOf(mounted));
    this.#clear(mounted);
  }

  #inspect(mounted: MountedAt): MountFinding {
    if (this.#lostSandboxes.has(mounted.sandbox)) return { state: "sandbox_gone" };
    const top = this.#top(mounted);
    if (top === undefined) return { state: "missing" };
    if (top.uuid !== mounted.uuid) return { state: "foreign", reason: "something else is mounted there" };
    if (top.mode !== mounted.mode) return { state: "foreign", reason: "it is mounted in another mode" };
    const alone = this.#mounts.get(keyOf(mounted))?.length === 1;
    return alone ? { state: "exact", mount: top.record } : { state: "stacked" };
  }

  #clear(target: MountedAt): void {
    if (this.backend === "symlink" && this.#top(target)?.uuid === target.uuid) this.#mounts.delete(keyOf(target));
    if (target.madeMountpoint && this.#top(target) === undefined) this.#mountpoints.delete(keyOf(target));
  }

  #top(target: MountTarget): MemoryMount | undefined {
    return this.#mounts.get(keyOf(target))?.at(-1);
  }

  #push(target: MountTarget, uuid: MemoryMount["uuid"], mode: Mode): BindOrLink {
    this.#lastMountId += 1;
    const record: BindOrLink =
      this.backend === "symlink"
        ? { backend: "symlink" }
        : { backend: "bind", mountId: String(this.#lastMountId), uniqueId: true, propagation: "shared" };
    const stack = this.#mounts.get(keyOf(target)) ?? [];
    stack.push({ uuid, mode, record });
    this.#mounts.set(keyOf(target), stack);
    return record;
  }
}

/** One of `places`. */
export function keyOf({ sandbox, containerPath, process }: MountTarget): string {
  return `${process === undefined ? "" : namespaceOf(process)}${sandbox}/${containerPath}`;
}

/** Containers that share a root share its directories. */
function mountpointOf(target: MountTarget, { rootfs, mountNamespace }: ContainerProcess): DirectoryThisBoot {
  return { ino: `${rootfs?.ino ?? mountNamespace}:${target.sandbox}/${target.containerPath}`, device: "254:0" };
}

function namespaceOf({ mountNamespace }: ContainerProcess): string {
  return `[${mountNamespace}]`;
}
