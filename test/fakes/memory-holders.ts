import type { Incarnation } from "../../src/domain/units.ts";
import type { DirectoryHolder, HeldMount, Holders, HoldingProcess, Scope } from "../../src/ports/holders.ts";

/** Holders that are as they were put. */
export class MemoryHolders implements Holders {
  /** Mounts that exist; `namespace: "host"` is the daemon's own. */
  readonly held: HeldMount[] = [];
  readonly holding: HoldingProcess[] = [];
  /** Directories that are no volumes, and who sits in them. */
  readonly sitting: DirectoryHolder[] = [];
  /** How often mounts were looked for. */
  looks = 0;
  /** Happens behind each look. */
  afterLook: () => void = () => undefined;
  /** While set, every scan fails with it, as when a namespace cannot be ruled out. */
  failure: Error | undefined;

  /** A bind of the volume that only another mount namespace has. */
  holdElsewhere(uuid: Incarnation, pid = 4711): void {
    this.held.push({ uuid, namespace: "4026539999", mountId: "9001", mountPoint: "/data", ...someone(pid) });
  }

  /** A bind of the volume in the daemon's own namespace. */
  holdHere(uuid: Incarnation, mountPoint: string, pid = 4714): void {
    this.held.push({ uuid, namespace: "host", mountId: "9002", mountPoint, ...someone(pid) });
  }

  /** As a mounter asks for it: whether somebody may have the volume. */
  isShown(uuid: Incarnation, scope: Scope): boolean {
    return this.failure !== undefined || this.#shown([uuid], scope).length > 0;
  }

  /** A process that sits in the volume. */
  sitIn(uuid: Incarnation, pid = 4712): void {
    this.holding.push({ uuid, ...someone(pid) });
  }

  /** A process that sits in a directory that is no volume. */
  sitInDirectory(directory: string, pid = 4713): void {
    this.sitting.push({ directory, phrase: `process ${pid}, sleep, / is in it`, pid });
  }

  /** Everybody lets go, of one volume or of all. */
  letGo(uuid?: Incarnation): void {
    for (const list of [this.held, this.holding]) {
      const kept = uuid === undefined ? [] : list.filter((one) => one.uuid !== uuid);
      list.splice(0, list.length, ...(kept as never[]));
    }
  }

  async mounts(uuids: readonly Incarnation[], scope: Scope): Promise<readonly HeldMount[]> {
    this.looks += 1;
    this.#failIfTold();
    const found = this.#shown(uuids, scope);
    this.afterLook();
    return found;
  }

  async processes(uuids: readonly Incarnation[]): Promise<readonly HoldingProcess[]> {
    this.#failIfTold();
    return this.holding.filter((process) => uuids.includes(process.uuid));
  }

  async ofDirectories(directories: readonly string[]): Promise<readonly DirectoryHolder[]> {
    this.#failIfTold();
    return this.sitting.filter(({ directory }) => directories.includes(directory));
  }

  async close(): Promise<void> {}

  #shown(uuids: readonly Incarnation[], scope: Scope): readonly HeldMount[] {
    return this.held.filter(
      ({ uuid, namespace }) =>
        uuids.includes(uuid) && (scope === "everywhere" || (scope === "here") === (namespace === "host")),
    );
  }

  #failIfTold(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

function someone(pid: number): Pick<HoldingProcess, "pid" | "command" | "cgroup"> {
  return { pid, command: "sleep", cgroup: "/system.slice/other.service" };
}
