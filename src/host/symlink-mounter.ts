/**
 * Volumes as symlinks, for running without root: the place in the sandbox is a symlink to the volume's content. It
 * shows the volume only to processes that see the host's paths, cannot be read-only, and is never busy. In a
 * container's mount namespace it would lead nowhere, and is refused.
 */
import { HoldfastError } from "../domain/error.ts";
import type { Mounted, MountedAt, Mounter, MountFinding, MountRequest, MountTarget } from "../ports/mounter.ts";
import { clear, clearPlace, isDirectory, isOwnLink, isSymlink, linkTarget } from "./leftovers.ts";
import { type MountMethods, mounterOf } from "./mount-methods.ts";
import { giveToOwner, ownerAt } from "./owner.ts";
import { barrenSandbox, refusing } from "./refusal.ts";
import { AT, isErrno, statx, symlinkat, unlinkat } from "./syscalls.ts";
import { examineChild, isRecordedDirectory, openContent, openSandbox, openSandboxIfPresent, pathOf } from "./walk.ts";

export const SYMLINK_METHODS: MountMethods = {
  attach: attachSymlink,
  detach: detachSymlink,
  inspect: inspectSymlink,
  clear,
};

/** Works in the calling thread: every method has done its work when it returns its promise. */
export function createSymlinkMounter(): Mounter {
  return mounterOf("symlink", SYMLINK_METHODS);
}

function attachSymlink(request: MountRequest): Mounted {
  const action = `Cannot attach volume ${request.uuid} at ${pathOf(request)}`;
  refuseProcess(request, action);
  if (request.mode === "RO") {
    throw new HoldfastError(
      "unsupported",
      `${action} read-only: a symlink cannot enforce it, run as root for bind mounts`,
    );
  }
  return refusing(action, (keep) => {
    const sandbox = keep(openSandbox(request.sandbox));
    const content = keep(openContent(request.diskRoot, request.uuid, request.directory));
    const owner = ownerAt({ directory: sandbox, name: request.containerPath }, request.owner, action);
    if (!giveToOwner(content, owner) && request.owner !== "sandbox") {
      throw new HoldfastError("unsupported", `${action}: giving it to another owner takes root`);
    }
    makeLink(sandbox, request, action);
    if (!leadsToVolume(sandbox, request)) {
      if (isOwnLink(sandbox, request)) unlinkat(sandbox, request.containerPath, 0);
      throw new HoldfastError("conflict", `${action}: the symlink was replaced meanwhile`);
    }
    return { mount: { backend: "symlink" }, madeMountpoint: true };
  });
}

function refuseProcess({ process }: MountTarget, action: string): void {
  if (process === undefined) return;
  const reason = "a symlink leads nowhere in the namespace of a process, run as root for bind mounts";
  throw new HoldfastError("unsupported", `${action}: ${reason}`);
}

function makeLink(sandboxFd: number, request: MountRequest, action: string): void {
  try {
    symlinkat(linkTarget(request), sandboxFd, request.containerPath);
  } catch (error) {
    if (isErrno(error, "ENOENT")) throw barrenSandbox(action, error);
    if (!isErrno(error, "EEXIST")) throw error;
    throw new HoldfastError("conflict", `${action}: something is in its place already`, { cause: error });
  }
}

/** Whether our link is there and the path that it says is the volume's. */
function leadsToVolume(sandboxFd: number, mounted: MountRequest | MountedAt): boolean {
  if (!isOwnLink(sandboxFd, mounted)) return false;
  try {
    return isRecordedDirectory(mounted.directory, statx(AT.FDCWD, linkTarget(mounted), AT.SYMLINK_NOFOLLOW));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

function detachSymlink(mounted: MountedAt): void {
  const action = `Cannot detach volume ${mounted.uuid} from ${pathOf(mounted)}`;
  refuseProcess(mounted, action);
  refusing(action, (keep) => {
    const sandbox = openSandboxIfPresent(mounted.sandbox);
    if (sandbox === undefined) return;
    const finding = inspectIn(keep(sandbox), mounted);
    if (finding.state === "foreign" && !isOwnLink(sandbox, mounted)) {
      throw new HoldfastError("conflict", `${action}: ${finding.reason}`);
    }
    clearPlace({ directory: sandbox, name: mounted.containerPath }, mounted);
  });
}

function inspectSymlink(mounted: MountedAt): MountFinding {
  const action = `Cannot inspect ${pathOf(mounted)}`;
  refuseProcess(mounted, action);
  return refusing(action, (keep) => {
    const sandbox = openSandboxIfPresent(mounted.sandbox);
    return sandbox === undefined ? { state: "sandbox_gone" } : inspectIn(keep(sandbox), mounted);
  });
}

function inspectIn(sandboxFd: number, mounted: MountedAt): MountFinding {
  const seen = examineChild(sandboxFd, mounted.containerPath);
  if (seen === undefined) return { state: "missing" };
  if (seen.mountRoot) return { state: "foreign", reason: "something is mounted there, which takes root to undo" };
  if (isSymlink(seen)) {
    if (leadsToVolume(sandboxFd, mounted)) return { state: "exact", mount: { backend: "symlink" } };
    return { state: "foreign", reason: "the symlink does not lead to the volume" };
  }
  return { state: "foreign", reason: isDirectory(seen) ? "a directory is in its place" : "a file is in its place" };
}
