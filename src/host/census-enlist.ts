/**
 * Gives files and directories that others made to a project. Only directories and regular files carry one, and nothing
 * else is opened: opening a device acts.
 */
import { closeSync, constants } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { AT, isErrno, O, openat2 } from "./syscalls.ts";
import { getProject, setProject } from "./syscalls-quota.ts";

/** `right` it was and is, `wrong` it was and is no more, `refused` nobody could look or change it. */
export type Enlisting = "right" | "wrong" | "refused";

/** Immutable, somebody's lease, over the project's limit, encrypted without its key. */
const REFUSALS = ["EPERM", "EACCES", "EAGAIN", "EDQUOT", "ENOSPC", "ENOKEY", "EBUSY", "ETXTBSY"];
/** As the numbers are called here: `ENOTSUP` is also `EOPNOTSUPP`. */
const NO_PROJECTS = ["ENOTTY", "ENOTSUP", "EINVAL", "ENOSYS"];

/**
 * Gives an open directory to a project, with what will be made in it. What is in it already stays as it is.
 * @throws `unsupported` the file system has no projects, or we are not where they may be changed
 */
export function enlistDirectory(fd: number, id: number): Enlisting {
  return orRefused(() => {
    const before = getProject(fd);
    if (before.id === id && before.inherit) return "right";
    setProject(fd, { id, inherit: true });
    return "wrong";
  });
}

/**
 * Gives a regular file, known by an `O_PATH` descriptor, to a project. What has the name now may be something else, so
 * it is this that is opened; another's lease is not waited for.
 * @throws as `enlistDirectory`
 */
export function enlistFile(pathFd: number, id: number): Enlisting {
  return orRefused(() => {
    const fd = openat2(AT.FDCWD, `/proc/self/fd/${pathFd}`, { flags: O.RDONLY | O.NONBLOCK | constants.O_NOCTTY });
    try {
      if (getProject(fd).id === id) return "right";
      setProject(fd, { id, inherit: false });
      return "wrong";
    } finally {
      closeSync(fd);
    }
  });
}

function orRefused(work: () => Enlisting): Enlisting {
  try {
    return work();
  } catch (error) {
    if (isErrno(error, ...REFUSALS)) return "refused";
    if (!isErrno(error, ...NO_PROJECTS)) throw error;
    const message = `Cannot give files to a project: ${error.errno}, the file system has no project ids or is another's`;
    throw new HoldfastError("unsupported", message, { cause: error });
  }
}
