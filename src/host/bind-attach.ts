/** Attaches a volume to a mountpoint in a sandbox. */
import { HoldfastError } from "../domain/error.ts";
import type { BindOrLink, Mounted, MountRequest } from "../ports/mounter.ts";
import { requireShownNowhere } from "./alone.ts";
import { bindRecord } from "./bind-identity.ts";
import { removeMountpoint } from "./leftovers.ts";
import { giveToOwner, ownerAt } from "./owner.ts";
import { mountOnto, openPlace, type Place, takeBack } from "./place.ts";
import { barrenSandbox, refusing } from "./refusal.ts";
import {
  AT,
  isErrno,
  MOUNT_ATTR,
  type MountAttributes,
  MS,
  mkdirat,
  mountSetattr,
  OPEN_TREE,
  openTree,
  type Stat,
  statx,
} from "./syscalls.ts";
import {
  directoryThisBoot,
  examineChild,
  isRecordedDirectory,
  openChildDirectory,
  openContent,
  pathOf,
  withDescriptors,
} from "./walk.ts";

/** As `Mounter.attach`. */
export function attachBind(request: MountRequest): Mounted {
  const action = actionOf(request);
  return refusing(action, (keep) => {
    const place = openPlace(request, action, keep);
    const content = keep(openContent(request.diskRoot, request.uuid, request.directory));
    refuseReadOnlyOfOthers(place, request);
    if (request.alone === true) requireShownNowhere(request, action);
    const madeMountpoint = makeMountpoint(place, action);
    try {
      const target = keep(openTarget(place, request));
      // Seen before it is covered.
      const mountpoint = place.namespace && { mountpoint: directoryThisBoot(statx(target, "", AT.EMPTY_PATH)) };
      return { mount: mountOn({ place, content, target }, request), madeMountpoint, ...mountpoint };
    } catch (error) {
      if (madeMountpoint) removeMountpoint(place);
      throw error;
    }
  });
}

function refuseReadOnlyOfOthers({ namespace }: Place, request: MountRequest): void {
  if (namespace?.owner === undefined || request.mode !== "RO") return;
  const reason = "the container has a user namespace of its own, whose root could make it writable";
  throw new HoldfastError("unsupported", `${actionOf(request)} read-only: ${reason}`);
}

/** Returns whether it had to be made. */
function makeMountpoint({ directory, name }: Place, action: string): boolean {
  try {
    mkdirat(directory, name, 0o755);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw isErrno(error, "ENOENT") ? barrenSandbox(action, error) : error;
  }
}

const OCCUPIED: Readonly<Record<string, string>> = {
  EXDEV: "something is mounted there already",
  ELOOP: "a symlink is in its place",
  ENOTDIR: "a file is in its place",
  ENOENT: "it was removed meanwhile",
};

function openTarget({ directory }: Place, request: MountRequest): number {
  try {
    return openChildDirectory(directory, request.containerPath);
  } catch (error) {
    if (!isErrno(error, ...Object.keys(OCCUPIED))) throw error;
    throw conflict(request, OCCUPIED[error.errno] ?? error.errno, error);
  }
}

interface OpenPlaces {
  readonly place: Place;
  readonly content: number;
  readonly target: number;
}

function mountOn({ place, content, target }: OpenPlaces, request: MountRequest): BindOrLink {
  // Its own scope, because an open copy makes every unmount busy.
  return withDescriptors((keep) => {
    const tree = keep(openTree(content, "", OPEN_TREE.CLONE | AT.EMPTY_PATH));
    setAttributes(tree, place, request);
    if (!giveToOwner(content, ownerAt(place, request.owner, actionOf(request)))) throw ownerRefused(request);
    moveTo(tree, { place, target }, request);
    try {
      return bindRecord(verify(tree, place, request), place);
    } catch (error) {
      takeBack(tree, place);
      throw error;
    }
  });
}

/** With the ids of another user namespace: what its root writes belongs to root on disk. */
function setAttributes(tree: number, { namespace }: Place, request: MountRequest): void {
  const own: MountAttributes = { attrSet: flagsOf(request), propagation: MS.PRIVATE };
  const userNamespace = namespace?.owner;
  const mapped = userNamespace === undefined ? own : { ...own, attrSet: own.attrSet | MOUNT_ATTR.IDMAP, userNamespace };
  try {
    mountSetattr(tree, "", AT.EMPTY_PATH, mapped);
  } catch (cause) {
    if (userNamespace === undefined || !isErrno(cause, "EINVAL", "EPERM")) throw cause;
    const reason = "its ids cannot be mapped to the container's user namespace on this file system";
    throw new HoldfastError("unsupported", `${actionOf(request)}: ${reason}`, { cause });
  }
}

function flagsOf({ mode }: MountRequest): number {
  const safe = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV;
  return mode === "RO" ? safe | MOUNT_ATTR.RDONLY : safe;
}

const TARGET_LOST: Readonly<Record<string, string>> = {
  ENOENT: "the mountpoint was removed meanwhile",
  EINVAL: "the sandbox does not lie in the mount namespace any more",
};

function moveTo(tree: number, { place, target }: Pick<OpenPlaces, "place" | "target">, request: MountRequest): void {
  try {
    mountOnto(tree, target, place);
  } catch (error) {
    const reason = isErrno(error, "ENOENT", "EINVAL") ? TARGET_LOST[error.errno] : undefined;
    throw reason === undefined ? error : conflict(request, reason, error);
  }
}

/** Sees to it that the name in the sandbox leads to our mount, and that it shows the volume. */
function verify(tree: number, place: Place, request: MountRequest): Stat {
  const made = statx(tree, "", AT.EMPTY_PATH);
  const seen = examineChild(place.directory, place.name);
  if (seen === undefined || seen.mountId !== made.mountId || !isRecordedDirectory(request.directory, seen)) {
    throw conflict(request, "the mountpoint was replaced meanwhile");
  }
  return seen;
}

function ownerRefused(request: MountRequest): HoldfastError {
  return new HoldfastError("unsupported", `${actionOf(request)}: the kernel does not let us give it to its owner`);
}

function conflict(request: MountRequest, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError("conflict", `${actionOf(request)}: ${reason}`, { cause });
}

function actionOf(request: MountRequest): string {
  return `Cannot attach volume ${request.uuid} at ${pathOf(request)}`;
}
