import { HoldfastError, messageOf } from "../domain/error.ts";

/** SQLite's result codes, as far as the store tells them apart. */
export const SqliteCode = { error: 1, busy: 5, readOnly: 8, ioError: 10, full: 13, cannotOpen: 14 } as const;

/** The primary result code of an error from `node:sqlite`, `undefined` for any other error. */
export function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return undefined;
  return error.errcode & 0xff;
}

/** An I/O error that is none: the disk answers, and the file ends too soon. */
const SHORT_READ = 522;

/** The log could not be synced: what SQLite took for committed may not be on the disk. */
export class SyncFailure extends Error {
  constructor(cause: unknown) {
    super(`syncing the log failed (${messageOf(cause)})`, { cause });
    this.name = "SyncFailure";
  }
}

/** Whether the disk, not the request, is what failed. */
export function isDiskFailure(error: unknown): boolean {
  return error instanceof SyncFailure || sqliteCode(error) !== undefined;
}

/** No room on the disk, told by SQLite or by the kernel. */
export function isDiskFull(error: unknown): boolean {
  return (
    sqliteCode(error) === SqliteCode.full || (error instanceof Error && "code" in error && error.code === "ENOSPC")
  );
}

/** The same failure in Holdfast's terms; `action` completes "Cannot ...". */
export function explainFailure(error: unknown, action: string): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const options = { cause: error };
  if (isDiskFull(error)) {
    return new HoldfastError(
      "disk_full",
      `Cannot ${action}: the checkpoint's disk is full, nothing was stored`,
      options,
    );
  }
  if (error instanceof Error && "errcode" in error && error.errcode === SHORT_READ) {
    const message = `Cannot ${action}: it is shorter than it was written, run holdfast rebuild`;
    return new HoldfastError("damaged", message, options);
  }
  if (error instanceof Error && (isDiskFailure(error) || "syscall" in error)) {
    return new HoldfastError("unavailable", `Cannot ${action}: ${error.message}`, options);
  }
  return new HoldfastError("internal", `Cannot ${action}: ${String(error)}`, options);
}
