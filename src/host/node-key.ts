/**
 * A secret of the node: random bytes in a file of its own below the work root's `meta`, made at the first start. A node
 * that cannot keep one has another one at every start, which costs nothing but what was sealed with the last.
 */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../domain/error.ts";
import type { Log } from "../ports/log.ts";
import { replaceFileDurably } from "./small-files.ts";

const KEY_BYTES = 32;

/** @param name of its file */
export async function nodeKey(directory: string, name: string, log: Log): Promise<Buffer> {
  try {
    const kept = readKey(join(directory, name));
    if (kept !== undefined) return kept;
    const key = randomBytes(KEY_BYTES);
    await writeKey(directory, name, key);
    return key;
  } catch (error) {
    log.warn({ error }, `Cannot keep ${join(directory, name)}, framework ids lose their seal: ${messageOf(error)}`);
    return randomBytes(KEY_BYTES);
  }
}

/** `undefined` where there is none, or something else. */
function readKey(path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size === KEY_BYTES ? readFileSync(fd) : undefined;
  } finally {
    closeSync(fd);
  }
}

async function writeKey(directory: string, name: string, key: Buffer): Promise<void> {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await replaceFileDurably(fd, name, key);
  } finally {
    closeSync(fd);
  }
}
