/** Reads the JSON files that say who may do what. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { getSystemErrorMessage } from "node:util";
import { HoldfastError } from "../domain/error.ts";
import { readJsonText } from "./json-text.ts";

export interface JsonFile {
  readonly value: unknown;
  /** Permission bits. */
  readonly mode: number;
}

const SIZE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The value of a JSON file; `what` names it in messages: "credentials".
 * @throws `invalid` naming file, place and reason when it cannot be read or is not strict JSON in UTF-8; no message
 * quotes its content
 */
export async function readJsonFile(what: string, path: string): Promise<JsonFile> {
  const refuse = (reason: string, cause?: unknown) =>
    new HoldfastError("invalid", `Cannot read ${what} ${path}: ${reason}`, { cause });
  try {
    const { bytes, mode } = await readSmallFile(path);
    const reading = readJsonText(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if ("value" in reading) return { value: reading.value, mode };
    const { line, column, reason } = reading.fault;
    throw refuse(`line ${line}, column ${column}: ${reason}`);
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    throw refuse(reasonOf(error), error);
  }
}

async function readSmallFile(path: string): Promise<{ bytes: Buffer; mode: number }> {
  // O_NONBLOCK: opening a FIFO must not hang.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw new RangeError("it is not a regular file");
    if (stats.size > SIZE_BYTES_MAX) throw new RangeError("it is larger than 4 MiB");
    return { bytes: await handle.readFile(), mode: stats.mode & 0o777 };
  } finally {
    await handle.close();
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return error.message;
  if (error instanceof TypeError) return "it is not UTF-8 text";
  if (error instanceof Error && "errno" in error) return getSystemErrorMessage(Number(error.errno));
  return String(error);
}
