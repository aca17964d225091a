/**
 * Volumes as bind mounts.
 *
 * A copy of the content's mount is made detached, gets its flags, and is then attached to the open mountpoint: no
 * moment exists at which it is visible without them. It is made private, yet below a shared sandbox the kernel makes
 * it shared again: propagation belongs to the sandbox, and is recorded.
 *
 * The sandbox is the container's, which may race us. Its path is resolved once, without symlinks; the mountpoint is
 * reached by descriptor and one name. What turns out to be mounted is compared by mount id and by directory, never by
 * path. Nothing is unmounted that is not ours.
 *
 * With a process, the sandbox lies below its root and the mount is made in its mount namespace (`place.ts`,
 * `container-namespace.ts`): a volume appears in a container that runs, and nowhere else.
 */
import type { Mounter } from "../ports/mounter.ts";
import { attachBind } from "./bind-attach.ts";
import { detachBind } from "./bind-detach.ts";
import { inspectBind } from "./bind-inspect.ts";
import { clear } from "./leftovers.ts";
import { type MountMethods, mounterOf } from "./mount-methods.ts";

export const BIND_METHODS: MountMethods = { attach: attachBind, detach: detachBind, inspect: inspectBind, clear };

/** Works in the calling thread: every method has done its work when it returns its promise. */
export function createBindMounter(): Mounter {
  return mounterOf("bind", BIND_METHODS);
}
