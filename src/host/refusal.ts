/** What a failed system call means to whoever asked for a mount. */
import { type ErrorCode, HoldfastError } from "../domain/error.ts";
import { SystemCallError } from "./syscalls.ts";
import { type Keep, withDescriptors } from "./walk.ts";

const CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EPERM: ["unsupported", "the kernel does not permit it; CAP_SYS_ADMIN may be missing"],
  EACCES: ["unsupported", "no permission in this directory"],
  EOVERFLOW: ["unsupported", "the file system has no id for root here: make the directory before"],
  EROFS: ["unsupported", "the file system is read-only"],
  ENOSYS: ["unsupported", "the kernel is too old"],
  ENAMETOOLONG: ["invalid", "the name is too long for the file system"],
  ENOSPC: ["unavailable", "no space left, or more mounts than fs.mount-max"],
  EDQUOT: ["unavailable", "the disk quota of the sandbox is used up"],
  EMFILE: ["unavailable", "too many open files"],
  ENFILE: ["unavailable", "too many open files on this node"],
  ENOMEM: ["unavailable", "out of memory"],
  ENOTCONN: ["unavailable", "the file system is not connected to its server"],
  ESTALE: ["unavailable", "the file system has lost this directory"],
};

/**
 * Runs one step of host work with descriptors that are closed after it. A failed system call in it leaves as a
 * `HoldfastError` whose message starts with `action`: "Cannot attach volume 4f1c… at /sandbox/data".
 */
export function refusing<Result>(action: string, work: (keep: Keep) => Result): Result {
  try {
    return withDescriptors(work);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    const [code, reason] = CODES[error.errno] ?? ["internal", `${error.call} failed with ${error.errno}`];
    throw new HoldfastError(code, `${action}: ${reason}`, { cause: error, details: { errno: error.errno } });
  }
}

/** The kernel made nothing in a directory that is open. */
export function barrenSandbox(action: string, cause: Error): HoldfastError {
  const reason = "the directory was removed meanwhile, or is the kernel's own and takes nothing";
  return new HoldfastError("conflict", `${action}: ${reason}`, { cause });
}
