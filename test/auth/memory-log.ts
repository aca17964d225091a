import type { Log } from "../../src/ports/log.ts";

export interface MemoryLog extends Log {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: object }[];
}

/** Keeps what was logged. */
export function createMemoryLog(): MemoryLog {
  const lines: { level: string; message: string; fields: object }[] = [];
  const add = (level: string) => (fields: object, message: string) => void lines.push({ level, message, fields });
  return { lines, debug: add("debug"), info: add("info"), warn: add("warn"), error: add("error") };
}
