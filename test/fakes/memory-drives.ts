/** Places where disks are mounted, unmounted and replaced at will. */
import { HoldfastError } from "../../src/domain/error.ts";
import type { DirectoryIdentity } from "../../src/domain/records.ts";
import { sourceKey } from "../../src/domain/resource.ts";
import type { Disk } from "../../src/ports/disk.ts";
import type { DriveSource, Drives, Look, Sight } from "../../src/ports/drives.ts";
import { fakeRandom } from "./fake-random.ts";
import { MemoryDisk } from "./memory-disk.ts";

/** A disk as it could be carried around. */
export class MemoryDrive {
  readonly disk: MemoryDisk;
  readonly uuid: string | undefined;
  isReadOnly = false;
  isMountPoint = true;
  /** Whether somebody has opened it and made its directories. */
  isUsed = false;
  readonly ino: string;
  static #made = 100;

  constructor(source: DriveSource, uuid?: string) {
    MemoryDrive.#made += 1;
    this.ino = String(MemoryDrive.#made);
    this.uuid = uuid;
    this.disk = new MemoryDisk({ source, root: source.root, random: fakeRandom(MemoryDrive.#made) });
    this.disk.directory = { ino: `${this.ino}00`, birthNs: `1900000000000000${this.ino}` };
  }

  get directory(): DirectoryIdentity | undefined {
    return this.isUsed ? this.disk.directory : undefined;
  }
}

interface Place {
  readonly drive: MemoryDrive;
  readonly mountId: number;
}

export class MemoryDrives implements Drives {
  /** How often something was opened. */
  opened = 0;
  readonly closed: MemoryDisk[] = [];
  readonly #places = new Map<string, Place>();
  readonly #hanging = new Map<string, PromiseWithResolvers<void>>();
  #failure: Error | undefined;
  #mounts = 0;

  mount(drive: MemoryDrive): void {
    this.#mounts += 1;
    this.#places.set(sourceKey(drive.disk.source), { drive, mountId: this.#mounts });
  }

  unmount(source: DriveSource): void {
    this.#places.delete(sourceKey(source));
  }

  /** Looks at it get no answer until it is let go. */
  hang(source: DriveSource): void {
    const key = sourceKey(source);
    if (!this.#hanging.has(key)) this.#hanging.set(key, Promise.withResolvers());
  }

  letGo(source: DriveSource): void {
    this.#hanging.get(sourceKey(source))?.resolve();
    this.#hanging.delete(sourceKey(source));
  }

  /** What is there cannot be opened, until this is called with `undefined`. */
  failOpening(error: Error | undefined): void {
    this.#failure = error;
  }

  /** The daemon is killed. */
  crash(): void {
    for (const { drive } of this.#places.values()) drive.disk.crash();
  }

  async look(source: DriveSource): Promise<Look> {
    await this.#hanging.get(sourceKey(source))?.promise;
    const place = this.#places.get(sourceKey(source));
    return place === undefined
      ? { state: "absent", reason: "there is no such directory: mount the disk there" }
      : { state: "present", ...sightOf(place) };
  }

  async open(source: DriveSource): Promise<Disk> {
    const drive = this.#places.get(sourceKey(source))?.drive;
    if (drive === undefined) throw new HoldfastError("invalid", "Nothing is there");
    if (this.#failure !== undefined) throw this.#failure;
    this.opened += 1;
    drive.isUsed = true;
    drive.disk.close = async () => void this.closed.push(drive.disk);
    return drive.disk;
  }
}

/** A node with the work root's disk alone. */
export const NO_DRIVES: Drives = {
  look: () => Promise.reject(new Error("There is no drive")),
  open: () => Promise.reject(new Error("There is no drive")),
};

function sightOf({ drive, mountId }: Place): Sight {
  return {
    root: { ino: drive.ino, device: `8:${drive.ino}` },
    mountId: String(mountId),
    isMountPoint: drive.isMountPoint,
    isReadOnly: drive.isReadOnly,
    ...(drive.uuid === undefined ? {} : { fileSystemUuid: drive.uuid }),
    ...(drive.directory === undefined ? {} : { directory: drive.directory }),
  };
}
