import { closeSync, constants, openSync } from "node:fs";

/** Opens a file or directory for reading, and closes it again. */
export function withOpen<Result>(path: string, work: (fd: number) => Result): Result {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
