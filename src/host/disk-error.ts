/** Turns what the kernel or Node threw into the one error of Holdfast. */
import { constants } from "node:os";
import { type ErrorCode, HoldfastError } from "../domain/error.ts";
import { SystemCallError } from "./syscalls.ts";

const FULL = ["disk_full", "no space is left"] as const;
const TOO_MANY_FILES = ["unavailable", "too many files are open"] as const;

const REASONS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOSPC: FULL,
  EDQUOT: FULL,
  EROFS: ["unavailable", "the file system is read-only"],
  EIO: ["unavailable", "the disk reports an error"],
  EMFILE: TOO_MANY_FILES,
  ENFILE: TOO_MANY_FILES,
  EBUSY: ["in_use", "the kernel will not let go of it"],
};

/** An error of a disk operation: full, failing, or our own fault. `action` is the sentence's beginning. */
export function diskError(action: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const symbol = errnoOf(error) ?? "";
  const [code, reason] = REASONS[symbol] ?? ["internal", symbol === "" ? "unexpected failure" : symbol];
  return new HoldfastError(code, `${action}: ${reason}`, { cause: error });
}

/** `ENOENT` of a failed system call, ours or Node's; `undefined` for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof SystemCallError) return error.errno;
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  // The one that libuv has no name for.
  return "errno" in error && error.errno === -constants.errno.EDQUOT ? "EDQUOT" : error.code;
}
