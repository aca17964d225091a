/** A temporary `meta` directory with a real checkpoint in it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HoldfastError } from "../../src/domain/error.ts";
import type { Store } from "../../src/ports/store.ts";
import { type CheckpointOptions, openCheckpoint } from "../../src/store/checkpoint.ts";
import { SAMPLE_HEADER } from "../contract/samples.ts";

export interface CheckpointPlace {
  readonly directory: string;
  readonly checkpoint: string;
  /** What `onFatal` was given. */
  readonly fatal: HoldfastError[];
  /** Log lines, level first. */
  readonly lines: string[];
  store(options?: Partial<CheckpointOptions>): Store;
  remove(): Promise<void>;
}

/** Without `directory` a temporary one, which `remove` removes. */
export function makeCheckpointPlace(directory: string = temporaryDirectory()): CheckpointPlace {
  const fatal: HoldfastError[] = [];
  const lines: string[] = [];
  const write = (level: string) => (_: object, message: string) => lines.push(`${level} ${message}`);
  return {
    directory,
    checkpoint: join(directory, "checkpoint.db"),
    fatal,
    lines,
    store: (options = {}) =>
      openCheckpoint({
        directory,
        create: { header: SAMPLE_HEADER },
        ballastBytes: 0,
        onFatal: (error) => fatal.push(error),
        log: { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") },
        ...options,
      }),
    remove: async () => rmSync(directory, { recursive: true, force: true }),
  };
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "holdfast-store-"));
}
