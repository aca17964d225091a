/** Finds out whether this process may make bind mounts, by making one. */
import { mkdirSync, mkdtempSync, realpathSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../domain/error.ts";
import type { ContainerPath, Incarnation } from "../domain/units.ts";
import type { MountRequest } from "../ports/mounter.ts";
import { attachBind } from "./bind-attach.ts";
import { detachBind } from "./bind-detach.ts";
import { AT, statx } from "./syscalls.ts";
import { contentBelow } from "./walk.ts";

/** Attaches and detaches a volume in a temporary directory, which it removes. Returns why it failed, if it did. */
export function bindMountRefusal(): string | undefined {
  try {
    const root = mkdtempSync(join(realpathSync(tmpdir()), "holdfast-probe-"));
    try {
      probeIn(root);
    } finally {
      rmdirSync(root);
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function probeIn(root: string): void {
  const uuid = "probe" as Incarnation;
  const content = join(root, contentBelow(uuid));
  const directories = [join(root, "volumes"), join(root, "volumes", uuid), content, join(root, "sandbox")];
  for (const directory of directories) mkdirSync(directory);
  try {
    const { ino, birthNs } = statx(AT.FDCWD, content, 0);
    const request: MountRequest = {
      sandbox: join(root, "sandbox"),
      containerPath: "volume" as ContainerPath,
      uuid,
      diskRoot: root,
      directory: { ino: String(ino), birthNs: String(birthNs) },
      mode: "RO",
    };
    detachBind({ ...request, ...attachBind(request) }, { lazy: true });
  } finally {
    for (const directory of directories.toReversed()) rmdirSync(directory);
  }
}
