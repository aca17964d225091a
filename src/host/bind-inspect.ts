/** Compares what is mounted at a recorded place with the record. */
import type { MountedAt, MountFinding } from "../ports/mounter.ts";
import { bindRecord, isOurs } from "./bind-identity.ts";
import { isDirectory } from "./leftovers.ts";
import { findMount } from "./mount-table.ts";
import { refusing } from "./refusal.ts";
import { AT, isErrno, MOUNT_ATTR, type Stat, statmount, statx } from "./syscalls.ts";
import { examineChild, openSandboxIfPresent } from "./walk.ts";

/** As `Mounter.inspect`. */
export function inspectBind(mounted: MountedAt): MountFinding {
  return refusing(`Cannot inspect ${mounted.sandbox}/${mounted.containerPath}`, (keep) => {
    const sandbox = openSandboxIfPresent(mounted.sandbox);
    return sandbox === undefined ? { state: "sandbox_gone" } : inspectIn(keep(sandbox), mounted);
  });
}

function inspectIn(sandbox: number, mounted: MountedAt): MountFinding {
  const seen = examineChild(sandbox, mounted.containerPath);
  if (seen === undefined) return { state: "missing" };
  if (!seen.mountRoot) {
    return isDirectory(seen)
      ? { state: "missing" }
      : { state: "foreign", reason: "a file or a symlink is in its place" };
  }
  if (!isOurs(seen, mounted)) return { state: "foreign", reason: "something else is mounted there" };
  const details = detailsOf(seen, sandbox);
  if (details === undefined) return { state: "missing" };
  if (!details.alone) return { state: "stacked" };
  const reason = wrongFlags(details.attributes, mounted);
  return reason === undefined ? { state: "exact", mount: bindRecord(seen, sandbox) } : { state: "foreign", reason };
}

interface MountDetails {
  /** Whether it lies on the sandbox itself, not on another mount at the same place. */
  readonly alone: boolean;
  /** `MOUNT_ATTR` flags. */
  readonly attributes: number;
}

/** `undefined` when the mount has gone since it was seen. */
function detailsOf(seen: Stat, sandbox: number): MountDetails | undefined {
  const parent = statx(sandbox, "", AT.EMPTY_PATH);
  if (!seen.mountIdUnique) return detailsByTable(Number(seen.mountId), Number(parent.mountId));
  try {
    const status = statmount(seen.mountId);
    return status && { alone: status.parentId === parent.mountId, attributes: status.attributes };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function detailsByTable(mountId: number, sandboxMountId: number): MountDetails | undefined {
  const entry = findMount(mountId);
  return entry && { alone: entry.parentId === sandboxMountId, attributes: attributesOf(entry.options) };
}

function attributesOf(options: readonly string[]): number {
  let attributes = 0;
  if (options.includes("ro")) attributes |= MOUNT_ATTR.RDONLY;
  if (options.includes("nosuid")) attributes |= MOUNT_ATTR.NOSUID;
  if (options.includes("nodev")) attributes |= MOUNT_ATTR.NODEV;
  return attributes;
}

function wrongFlags(attributes: number, { mode }: MountedAt): string | undefined {
  const readOnly = (attributes & MOUNT_ATTR.RDONLY) !== 0;
  if (readOnly && mode === "RW") return "it is mounted read-only instead of read-write";
  if (!readOnly && mode === "RO") return "it is mounted read-write instead of read-only";
  if ((attributes & MOUNT_ATTR.NOSUID) === 0) return "it is mounted without nosuid";
  if ((attributes & MOUNT_ATTR.NODEV) === 0) return "it is mounted without nodev";
  return undefined;
}
