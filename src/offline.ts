/** What programs that run in the daemon's place ask: what the checkpoint has, and which disks cannot be used now. */
import { copyFileSync, existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { removeSync } from "fs-extra/esm";
import { messageOf } from "./domain/error.ts";
import { type DiskSource, sourceKey } from "./domain/resource.ts";
import { whyNotUsable } from "./engine/disk-identity.ts";
import { lookAtDrive } from "./host/disk-peek.ts";
import { createLog } from "./observe/log.ts";
import type { StoreContents } from "./ports/store.ts";
import { openCheckpoint } from "./store/checkpoint.ts";
import { checkpointPaths } from "./store/files.ts";

const ANSWER_MS_MAX = 2_000;
const SILENT = { state: "absent", reason: "it does not answer: look at its device and the kernel's log" } as const;

/** Why a disk cannot be used now, given what is on record; `undefined` when it can. */
export async function whyAbsent(
  source: DiskSource,
  records: Pick<StoreContents["records"], "disks" | "volumes"> | undefined,
): Promise<string | undefined> {
  if (source.type === "ROOT") return undefined;
  const key = sourceKey(source);
  const look = await Promise.race([lookAtDrive(source), sleep(ANSWER_MS_MAX, SILENT, { ref: false })]);
  if (look.state === "absent") return look.reason;
  const hasVolumes = [...(records?.volumes.values() ?? [])].some((volume) => sourceKey(volume.source) === key);
  return whyNotUsable({ source, record: records?.disks.get(key), hasVolumes }, look);
}

/** Opening a checkpoint changes it, so a copy is opened; what is said of it is said of the original. */
export async function readCopy(meta: string): Promise<StoreContents> {
  const copy = mkdtempSync(join(tmpdir(), "holdfast-offline-"));
  try {
    const [from, to] = [checkpointPaths(meta), checkpointPaths(copy)];
    for (const file of ["checkpoint", "log", "successor"] as const) {
      if (existsSync(from[file])) copyFileSync(from[file], to[file]);
    }
    return await readContents(copy);
  } catch (error) {
    throw new Error(messageOf(error).replaceAll(copy, meta), { cause: error });
  } finally {
    removeSync(copy);
  }
}

async function readContents(directory: string): Promise<StoreContents> {
  const store = openCheckpoint({ directory, ballastBytes: 0, onFatal: () => {}, log: createLog({ level: "error" }) });
  try {
    return await store.open();
  } finally {
    await store.close();
  }
}
