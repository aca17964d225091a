/**
 * The `config.json` of an OCI bundle. Its path is the runtime's: it is resolved below the root of a process that sees
 * what the runtime sees, because a runtime may have a mount namespace of its own.
 */
import { isUtf8 } from "node:buffer";
import { close, fstatSync, openSync, readFile } from "node:fs";
import { promisify } from "node:util";
import { HoldfastError, messageOf } from "../domain/error.ts";
import { AT, O, openat2, RESOLVE, SystemCallError } from "./syscalls.ts";
import { withDescriptors } from "./walk.ts";

/** A real one has some 10 KB; more than this is no configuration. */
const CONFIG_BYTES_MAX = 4 * 1024 * 1024;

const closeFile = promisify(close);
const readWhole = promisify(readFile);

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "it is not there",
  ENOTDIR: "it is not there",
  EACCES: "no permission",
  ELOOP: "too many symlinks",
  ENAMETOOLONG: "the path is too long",
};

/**
 * The text of `config.json` in a bundle.
 * @param bundle absolute path
 * @param seenBy a process that sees the path as the runtime does; absent: we ourselves
 * @throws `invalid` what cannot be read, is no file, or is too large
 */
export async function readBundleConfig(bundle: string, seenBy?: number): Promise<string> {
  let fd: number | undefined;
  try {
    fd = openFile(`${bundle}/config.json`, seenBy);
    return await readText(fd);
  } catch (cause) {
    throw new HoldfastError("invalid", `Cannot read ${bundle}/config.json: ${reasonOf(cause)}`, { cause });
  } finally {
    if (fd !== undefined) await closeFile(fd);
  }
}

/** Without O_NONBLOCK a pipe in the file's place would hold us up. */
function openFile(path: string, seenBy: number | undefined): number {
  const flags = O.RDONLY | O.NONBLOCK;
  if (seenBy === undefined) return openat2(AT.FDCWD, path, { flags });
  return withDescriptors((keep) => {
    const root = keep(openRoot(seenBy));
    return openat2(root, path, { flags, resolve: RESOLVE.IN_ROOT });
  });
}

function openRoot(pid: number): number {
  try {
    return openSync(`/proc/${pid}/root`, O.PATH | O.DIRECTORY);
  } catch (cause) {
    throw new Error(`process ${pid}, which sees it, has ended or may not be looked at`, { cause });
  }
}

async function readText(fd: number): Promise<string> {
  const stat = fstatSync(fd);
  if (!stat.isFile()) throw new Error("it is not a file");
  if (stat.size > CONFIG_BYTES_MAX) throw new Error(`it is larger than ${CONFIG_BYTES_MAX} bytes`);
  const bytes = await readWhole(fd);
  if (!isUtf8(bytes)) throw new Error("it is not UTF-8");
  return bytes.toString("utf8");
}

function reasonOf(cause: unknown): string {
  return cause instanceof SystemCallError ? (REASONS[cause.errno] ?? cause.errno) : messageOf(cause);
}
