import { HoldfastError } from "../../src/domain/error.ts";
import type { DirectoryIdentity } from "../../src/domain/records.ts";
import { liesIn } from "../../src/domain/sandboxes.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import type { FileSystemUsage, Sandbox, Sandboxes, SandboxFinding } from "../../src/ports/sandboxes.ts";
import type { MemoryMounter } from "./memory-mounter.ts";

/** What may be made to fail. */
export type SandboxesCall = "detach" | "purge";

export interface MemorySandboxesOptions {
  /** What shows what is mounted where; a sandbox that goes is lost to it. */
  readonly mounter?: Pick<MemoryMounter, "places" | "shownAt" | "makeRoomAt" | "loseSandbox">;
  readonly foundations?: readonly string[];
  /** Awaited before a directory goes. */
  readonly pause?: (call: SandboxesCall) => Promise<void>;
}

interface MemoryDirectory {
  readonly directory: DirectoryIdentity;
  /** Names in it. */
  names: number;
}

const GB = 1024 ** 3;

/** Directories in memory: what `add` was told of. */
export class MemorySandboxes implements Sandboxes {
  usages: FileSystemUsage = { device: "254:0", totalBytes: 100 * GB, freeBytes: 100 * GB };
  /** What each sandbox gives free. */
  bytesPerSandbox = 0;
  /** Sandboxes that were deleted while a volume was mounted in one: must stay empty. */
  readonly disasters: string[] = [];
  /** A volume in which a process sits: it is not unmounted. */
  readonly busy = new Set<Incarnation>();
  readonly #options: MemorySandboxesOptions;
  readonly #directories = new Map<string, MemoryDirectory>();
  readonly #unreachable = new Set<string>();
  readonly #failures = new Map<SandboxesCall, Error[]>();
  #lastInode = 100;

  constructor(options: MemorySandboxesOptions = {}) {
    this.#options = options;
  }

  /** Makes a directory with so many names in it; another one with the same path takes its place. */
  add(path: string, names = 3): void {
    this.#lastInode += 1;
    this.#directories.set(path, { directory: { ino: String(this.#lastInode), birthNs: "1" }, names });
  }

  remove(path: string): void {
    this.#directories.delete(path);
  }

  has(path: string): boolean {
    return this.#directories.has(path);
  }

  /** What is left in it. */
  names(path: string): number {
    return this.#directories.get(path)?.names ?? 0;
  }

  /** The file system that it lies on is not mounted, until it is. */
  hide(path: string): void {
    this.#unreachable.add(path);
  }

  show(path: string): void {
    this.#unreachable.delete(path);
  }

  /** The next call of this method throws. A purge removes one name before. */
  failNext(call: SandboxesCall, error: Error): void {
    this.#failures.set(call, [...(this.#failures.get(call) ?? []), error]);
  }

  examine(path: string, disks: readonly string[]): DirectoryIdentity {
    const refuse = (code: "invalid" | "conflict" | "in_use", reason: string): never => {
      throw new HoldfastError(code, `Cannot hand ${path} over: ${reason}`);
    };
    if (!path.startsWith("/")) refuse("invalid", "expected an absolute path in its shortest form");
    if (path.split("/").length < 3) refuse("invalid", "it belongs to the whole machine");
    const found = this.#directories.get(path);
    if (found === undefined) return refuse("invalid", "no such directory");
    for (const disk of disks) {
      if (liesIn(path, disk)) refuse("conflict", `it is a part of disk ${disk}`);
      if (liesIn(disk, path)) refuse("conflict", `disk ${disk} lies in it`);
    }
    for (const one of this.#options.foundations ?? []) {
      if (liesIn(one, path)) refuse("conflict", `${one} is needed by the daemon`);
    }
    if (this.#mountsIn(path).includes(path)) refuse("in_use", "something is mounted on it");
    return found.directory;
  }

  find({ path, directory }: Sandbox): SandboxFinding {
    if (this.#unreachable.has(path)) return { state: "unreachable", reason: "no such directory" };
    const found = this.#directories.get(path);
    if (found === undefined) return { state: "gone" };
    if (this.#mountsIn(path).includes(path)) return { state: "foreign", reason: "is a mount point" };
    return found.directory.ino === directory.ino
      ? { state: "present" }
      : { state: "foreign", reason: "is another directory" };
  }

  async usage(): Promise<FileSystemUsage> {
    return this.usages;
  }

  detach(sandbox: Sandbox, _disks: readonly string[] = [], { dryRun } = { dryRun: false }): void {
    if (!dryRun) this.#failIfTold("detach");
    const { path } = sandbox;
    const mounts = this.#mountsIn(path);
    if (!mounts.includes(path) && this.find(sandbox).state !== "present") return;
    const foreign = mounts.find((place) => this.#options.mounter?.shownAt(place) === "foreign");
    if (foreign !== undefined) {
      throw new HoldfastError(
        "in_use",
        `Cannot clear ${path}: something that is no volume is mounted at ${foreign} (tmpfs none)`,
      );
    }
    for (const place of dryRun ? [] : mounts) {
      for (;;) {
        const uuid = this.#options.mounter?.shownAt(place);
        if (uuid === undefined || uuid === "foreign") break;
        if (this.busy.has(uuid)) {
          const message = `Cannot take volume ${uuid} out of ${path}: a process sits in it`;
          throw new HoldfastError("busy", message, { details: { volumes: [uuid] } });
        }
        this.#options.mounter?.makeRoomAt(place);
      }
    }
  }

  async purge(
    sandbox: Sandbox,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly entries: number }> {
    await this.#options.pause?.("purge");
    const { path } = sandbox;
    const found = this.find(sandbox);
    if (found.state === "foreign") throw new HoldfastError("damaged", `Cannot delete ${path}: it ${found.reason}`);
    const directory = this.#directories.get(path);
    if (directory === undefined) return { entries: 0 };
    const [mount] = this.#mountsIn(path);
    if (mount !== undefined) {
      this.disasters.push(mount);
      throw new HoldfastError("in_use", `Cannot delete ${mount}: something is mounted there, unmount it first`);
    }
    directory.names -= 1;
    this.#failIfTold("purge");
    if (signal?.aborted === true) throw new HoldfastError("unavailable", `Cannot delete ${path}: interrupted`);
    this.#directories.delete(path);
    this.#options.mounter?.loseSandbox(path);
    this.usages = { ...this.usages, freeBytes: this.usages.freeBytes + this.bytesPerSandbox };
    return { entries: directory.names + 2 };
  }

  async close(): Promise<void> {}

  #mountsIn(path: string): readonly string[] {
    return (this.#options.mounter?.places() ?? []).filter((place) => liesIn(place, path));
  }

  #failIfTold(call: SandboxesCall): void {
    const failure = this.#failures.get(call)?.shift();
    if (failure !== undefined) throw failure;
  }
}
