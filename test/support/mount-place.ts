/** Disks, volumes and sandboxes in a temporary directory of their own, which leaves no mount behind. */

import { randomUUID } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectoryIdentity } from "../../src/domain/records.ts";
import type { ContainerPath, Incarnation } from "../../src/domain/units.ts";
import { readMountTable } from "../../src/host/mount-table.ts";
import { UMOUNT, umount2 } from "../../src/host/syscalls.ts";
import type { MountedAt, Mounter, MountRequest, MountTarget } from "../../src/ports/mounter.ts";

export interface TestVolume {
  readonly uuid: Incarnation;
  readonly diskRoot: string;
  readonly directory: DirectoryIdentity;
  /** Absolute path of its content. */
  readonly content: string;
}

export class MountPlace {
  readonly root = mkdtempSync(join(realpathSync(tmpdir()), "holdfast-mounts-"));
  #sandboxes = 0;

  constructor() {
    chmodSync(this.root, 0o755);
  }

  /** A volume whose content has one file, `name`, that says its incarnation; or none. */
  volume(files: "marked" | "empty" = "marked"): TestVolume {
    const uuid = randomUUID() as Incarnation;
    const content = join(this.root, "disk/volumes", uuid, "content");
    mkdirSync(content, { recursive: true });
    if (files === "marked") writeFileSync(join(content, "name"), uuid);
    return { uuid, diskRoot: join(this.root, "disk"), directory: identityOf(content), content };
  }

  sandbox(): string {
    this.#sandboxes += 1;
    const sandbox = join(this.root, `sandbox-${this.#sandboxes}`);
    mkdirSync(sandbox);
    return sandbox;
  }

  /** Asks for a volume at `data` in a sandbox. */
  request(volume: TestVolume, sandbox: string, rest: Partial<MountRequest> = {}): MountRequest {
    const { uuid, diskRoot, directory } = volume;
    return { sandbox, containerPath: "data" as ContainerPath, uuid, diskRoot, directory, mode: "RW", ...rest };
  }

  newRequest(rest: Partial<MountRequest> = {}): MountRequest {
    return this.request(this.volume(), this.sandbox(), rest);
  }

  /** Where something is mounted below the root, the newest last. */
  mounts(): readonly string[] {
    return readMountTable("self")
      .map(({ mountPoint }) => mountPoint.toString())
      .filter((mountPoint) => mountPoint === this.root || mountPoint.startsWith(`${this.root}/`));
  }

  dispose(): void {
    for (const mountPoint of this.mounts().toReversed()) umount2(mountPoint, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    // A recursive removal goes through mounts.
    if (this.mounts().length > 0) throw new Error(`Cannot remove ${this.root}: mounts are left in it`);
    rmSync(this.root, { recursive: true });
  }
}

/** What the engine would remember of an attach. */
export async function attachAndRecord(mounter: Mounter, request: MountRequest): Promise<MountedAt> {
  return { ...request, ...(await mounter.attach(request)) };
}

/** Absolute path of a place in a sandbox. */
export function pathOf({ sandbox, containerPath }: MountTarget): string {
  return join(sandbox, containerPath);
}

function identityOf(path: string): DirectoryIdentity {
  const { ino, birthtimeNs } = lstatSync(path, { bigint: true });
  return { ino: String(ino), birthNs: String(birthtimeNs) };
}
