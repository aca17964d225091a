/** Attaches a volume to a mountpoint in a sandbox. */
import { HoldfastError } from "../domain/error.ts";
import type { MountRecord } from "../domain/records.ts";
import type { Mode } from "../domain/resource.ts";
import type { Mounted, MountRequest } from "../ports/mounter.ts";
import { bindRecord } from "./bind-identity.ts";
import { removeMountpoint } from "./leftovers.ts";
import { giveToOwner } from "./owner.ts";
import { refusing } from "./refusal.ts";
import {
  AT,
  isErrno,
  MOUNT_ATTR,
  MOVE_MOUNT,
  MS,
  mkdirat,
  mountSetattr,
  moveMount,
  OPEN_TREE,
  openTree,
  type Stat,
  statx,
  UMOUNT,
  umount2,
} from "./syscalls.ts";
import {
  examineChild,
  isRecordedDirectory,
  openChildDirectory,
  openContent,
  openSandbox,
  withDescriptors,
} from "./walk.ts";

/** As `Mounter.attach`. */
export function attachBind(request: MountRequest): Mounted {
  return refusing(`Cannot attach ${describe(request)}`, (keep) => {
    const sandbox = keep(openSandbox(request.sandbox));
    const content = keep(openContent(request.diskRoot, request.uuid, request.directory));
    const madeMountpoint = makeMountpoint(sandbox, request.containerPath);
    try {
      const target = keep(openTarget(sandbox, request));
      return { mount: mountOn({ sandbox, content, target }, request), madeMountpoint };
    } catch (error) {
      if (madeMountpoint) removeMountpoint(sandbox, request.containerPath);
      throw error;
    }
  });
}

/** Returns whether it had to be made. */
function makeMountpoint(sandboxFd: number, name: string): boolean {
  try {
    mkdirat(sandboxFd, name, 0o755);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

const OCCUPIED: Readonly<Record<string, string>> = {
  EXDEV: "something is mounted there already",
  ELOOP: "a symlink is in its place",
  ENOTDIR: "a file is in its place",
  ENOENT: "it was removed meanwhile",
};

function openTarget(sandboxFd: number, request: MountRequest): number {
  try {
    return openChildDirectory(sandboxFd, request.containerPath);
  } catch (error) {
    if (!isErrno(error, ...Object.keys(OCCUPIED))) throw error;
    throw conflict(request, OCCUPIED[error.errno] ?? error.errno, error);
  }
}

interface OpenPlaces {
  readonly sandbox: number;
  readonly content: number;
  readonly target: number;
}

function mountOn({ sandbox, content, target }: OpenPlaces, request: MountRequest): MountRecord {
  // Its own scope, because an open copy makes every unmount busy.
  return withDescriptors((keep) => {
    const tree = keep(openTree(content, "", OPEN_TREE.CLONE | AT.EMPTY_PATH));
    mountSetattr(tree, "", AT.EMPTY_PATH, { attrSet: attributesOf(request.mode), propagation: MS.PRIVATE });
    if (!giveToOwner(content, sandbox, request.owner)) throw ownerRefused(request);
    moveMount(tree, "", target, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH);
    try {
      return bindRecord(verify({ sandbox, tree }, request), sandbox);
    } catch (error) {
      // By its own descriptor, because the name may lead elsewhere by now.
      umount2(`/proc/self/fd/${tree}`, UMOUNT.DETACH);
      throw error;
    }
  });
}

/** Sees to it that the name in the sandbox leads to our mount, and that it shows the volume. */
function verify({ sandbox, tree }: { readonly sandbox: number; readonly tree: number }, request: MountRequest): Stat {
  const made = statx(tree, "", AT.EMPTY_PATH);
  const seen = examineChild(sandbox, request.containerPath);
  if (seen === undefined || seen.mountId !== made.mountId || !isRecordedDirectory(request.directory, seen)) {
    throw conflict(request, "the mountpoint was replaced meanwhile");
  }
  return seen;
}

function attributesOf(mode: Mode): number {
  const safe = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV;
  return mode === "RO" ? safe | MOUNT_ATTR.RDONLY : safe;
}

function ownerRefused(request: MountRequest): HoldfastError {
  const message = `Cannot attach ${describe(request)}: the kernel does not let us give it to its owner`;
  return new HoldfastError("unsupported", message);
}

function conflict(request: MountRequest, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError("conflict", `Cannot attach ${describe(request)}: ${reason}`, { cause });
}

function describe({ uuid, sandbox, containerPath }: MountRequest): string {
  return `volume ${uuid} at ${sandbox}/${containerPath}`;
}
