/** Finds out whether this process may make bind mounts, by making one. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../domain/error.ts";
import type { ContainerPath, Incarnation } from "../domain/units.ts";
import type { MountRequest } from "../ports/mounter.ts";
import { attachBind } from "./bind-attach.ts";
import { detachBind } from "./bind-detach.ts";
import { AT, statx, UMOUNT, umount2 } from "./syscalls.ts";
import { contentBelow } from "./walk.ts";

/** The process that probes stands in the name. */
const NAME = /^holdfast-probe-(\d+)-/;
const PROBE = "probe" as Incarnation;
const SANDBOX = "sandbox";
const VOLUME = "volume" as ContainerPath;
/** A directory that only its owner may enter. */
const DIRECTORY_OF_OURS = 0o040700;
/** In the order in which they are made. */
const DIRECTORIES = ["volumes", `volumes/${PROBE}`, contentBelow(PROBE), SANDBOX];

/** Attaches and detaches a volume in a temporary directory, which it removes. Returns why it failed, if it did. */
export function bindMountRefusal(): string | undefined {
  try {
    const temporary = realpathSync(tmpdir());
    removeLeftovers(temporary);
    const root = mkdtempSync(join(temporary, `holdfast-probe-${process.pid}-`));
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
  const directories = DIRECTORIES.map((directory) => join(root, directory));
  for (const directory of directories) mkdirSync(directory);
  try {
    const { ino, birthNs } = statx(AT.FDCWD, join(root, contentBelow(PROBE)), 0);
    const request: MountRequest = {
      sandbox: join(root, SANDBOX),
      containerPath: VOLUME,
      uuid: PROBE,
      diskRoot: root,
      directory: { ino: String(ino), birthNs: String(birthNs) },
      mode: "RO",
    };
    detachBind({ ...request, ...attachBind(request) }, { lazy: true });
  } finally {
    for (const directory of directories.toReversed()) rmdirSync(directory);
  }
}

/** Takes away what processes left that were killed in the middle of their probes; what cannot go stays. */
function removeLeftovers(temporary: string): void {
  for (const name of readdirSync(temporary)) {
    const pid = NAME.exec(name)?.[1];
    const root = join(temporary, name);
    if (pid === undefined || existsSync(`/proc/${pid}`) || !isOurs(root)) continue;
    const mountpoint = join(root, SANDBOX, VOLUME);
    attempt(() => umount2(mountpoint, UMOUNT.DETACH | UMOUNT.NOFOLLOW));
    const directories = [...DIRECTORIES.map((directory) => join(root, directory)), mountpoint];
    for (const directory of [root, ...directories].toReversed()) attempt(() => rmdirSync(directory));
  }
}

/** Nobody else may have put anything into it. */
function isOurs(root: string): boolean {
  const { uid, mode } = lstatSync(root, { throwIfNoEntry: false }) ?? {};
  return uid === process.geteuid?.() && mode === DIRECTORY_OF_OURS;
}

function attempt(step: () => void): void {
  try {
    step();
  } catch {
    // It never came to be, or it is none of ours.
  }
}
