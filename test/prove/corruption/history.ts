/**
 * A small checkpoint with every kind of record, and what it was after each of its commits: the older part lies in the
 * file, the newer one in its log, as a killed daemon leaves them.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Change } from "../../../src/domain/records.ts";
import type { Store } from "../../../src/ports/store.ts";
import { openCheckpoint } from "../../../src/store/checkpoint.ts";
import { checkpointPaths } from "../../../src/store/files.ts";
import {
  removeVolume,
  SAMPLE_HEADER,
  sampleVolume,
  setAdoptedVolume,
  setApp,
  setContainer,
  setDisk,
  setMarkedVolume,
  setOperation,
  setReservation,
  setSandbox,
  setVolume,
} from "../../contract/samples.ts";

/** The records of one moment: canonical JSON by `recordName`. */
export type Moment = ReadonlyMap<string, string>;

/** The bytes of a checkpoint; an empty log is none. */
export interface Generation {
  readonly file: Buffer;
  readonly log: Buffer;
}

export interface Generations {
  /** File and log as a kill left them. */
  readonly last: Generation;
  /** The same, had it been stopped: all of it lies in the file. */
  readonly stopped: Generation;
  /** The same node earlier, after clean stops. */
  readonly older: readonly Generation[];
}

export interface History extends Generations {
  /** What was stored after each commit, the newest last. */
  readonly moments: readonly Moment[];
}

const LOG_HEADER_BYTES = 32;
const LOG_SALTS = [16, 24] as const;
const FRAME_HEADER_BYTES = 24;
const FRAME_SALTS = [8, 16] as const;
const PAGE_BYTES = 4096;
/** What an earlier round of the log left behind its end. */
const STALE_FRAMES = 2;
const QUIET = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export function recordName(table: string, key: string): string {
  return `${table} ${key}`;
}

/** Whatever the order of the fields. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([left], [right]) => (left < right ? -1 : 1)))
      : item,
  );
}

export async function makeHistory(): Promise<History> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-history-"));
  const moments: Moment[] = [new Map()];
  const older: Generation[] = [];
  try {
    for (const commits of [FIRST, SECOND]) {
      const store = openStore(directory);
      await remember(store, moments, commits);
      await store.close();
      older.push(readGeneration(directory));
    }
    const store = openStore(directory);
    await remember(store, moments, LAST);
    const last = trimLog(readGeneration(directory));
    await store.close();
    return { moments, last, stopped: readGeneration(directory), older };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function openStore(directory: string): Store {
  return openCheckpoint({
    directory,
    create: { header: SAMPLE_HEADER },
    ballastBytes: 0,
    onFatal: () => {},
    log: QUIET,
  });
}

async function remember(store: Store, moments: Moment[], commits: readonly (readonly Change[])[]): Promise<void> {
  await store.open();
  for (const changes of commits) {
    await store.commit(changes, { durable: true });
    const moment = new Map(moments.at(-1));
    for (const { table, key, value } of changes) {
      if (value === undefined) moment.delete(recordName(table, key));
      else moment.set(recordName(table, key), canonical(value));
    }
    moments.push(moment);
  }
}

/** What a daemon that does not run left in its `meta`. */
export function readGeneration(directory: string): Generation {
  const paths = checkpointPaths(directory);
  return {
    file: readFileSync(paths.checkpoint),
    log: existsSync(paths.log) ? readFileSync(paths.log) : Buffer.alloc(0),
  };
}

/** The log is as long as its longest round was; only the frames of the last one count. */
export function trimLog({ file, log }: Generation): Generation {
  const salts = log.subarray(...LOG_SALTS);
  let end = LOG_HEADER_BYTES;
  while (end < log.length && log.subarray(end + FRAME_SALTS[0], end + FRAME_SALTS[1]).equals(salts)) {
    end += FRAME_HEADER_BYTES + PAGE_BYTES;
  }
  return { file, log: log.subarray(0, end + STALE_FRAMES * (FRAME_HEADER_BYTES + PAGE_BYTES)) };
}

/** More than fit on one page, so that damage meets inner pages too. */
const MANY = 24;

const FIRST: readonly (readonly Change[])[] = [
  [setReservation(), setDisk(), ...Array.from({ length: MANY }, (_, number) => setVolume(number))],
  [setContainer()],
  [setOperation()],
];

const SECOND: readonly (readonly Change[])[] = [
  [setMarkedVolume()],
  [setSandbox()],
  [setApp()],
  [setVolume(MANY), setVolume(MANY + 1)],
  [removeVolume(3)],
];

const LAST: readonly (readonly Change[])[] = [
  [setAdoptedVolume()],
  [setVolume(MANY + 2)],
  [removeVolume(5), grown(7)],
  [grown(8)],
  [setVolume(MANY + 3)],
];

function grown(number: number): Change {
  const volume = sampleVolume(number);
  return {
    table: "volumes",
    key: volume.uuid,
    value: { ...volume, size: (volume.size + 1000) as typeof volume.size, revision: 100 + number },
  };
}
