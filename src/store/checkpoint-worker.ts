/**
 * The thread that may wait for the disk. It takes requests in order; commits that queued up while it was busy share
 * one transaction. After a failed commit it refuses every further one until `reload`, because they were decided on a
 * state that was never stored.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { HoldfastError, unreachable } from "../domain/error.ts";
import { TABLES, type Table } from "../domain/records.ts";
import { CheckpointFile } from "./checkpoint-file.ts";
import { CHUNKS_AHEAD, type CommitRequest, type Reply, type Request, toWire, type WorkerSettings } from "./messages.ts";
import { SEAL } from "./rows.ts";
import { parseHeader } from "./schema.ts";
import { addToSeal, isSameSeal, NO_ROWS, parseSeal, type Seal } from "./seal.ts";
import { explainFailure, isDiskFailure, isDiskFull } from "./sqlite-error.ts";

/** Characters of row text in one message: small enough to keep the adapter's event loop responsive. */
const CHUNK_CHARS = 128 * 1024;

const port = parentPort as MessagePort;
const settings = workerData as WorkerSettings;
const taken = new Int32Array(settings.taken);

let file: CheckpointFile | undefined;
let chunksSent = 0;
/** Why commits are refused until `reload`. */
let stale: HoldfastError | undefined;
/** Why everything is refused for good. */
let dead: HoldfastError | undefined;

port.on("message", serve);

/** Serves a request and all that queued up behind it. */
function serve(first: Request): void {
  let request: Request | undefined = first;
  while (request !== undefined) {
    if (request.kind !== "commit") {
      serveOne(request);
      request = nextRequest();
      continue;
    }
    const group: CommitRequest[] = [];
    while (request?.kind === "commit") {
      group.push(request);
      request = nextRequest();
    }
    serveCommits(group);
  }
}

function nextRequest(): Request | undefined {
  return (receiveMessageOnPort(port) as { message: Request } | undefined)?.message;
}

function serveOne(request: Exclude<Request, CommitRequest>): void {
  switch (request.kind) {
    case "open":
    case "reload":
      load();
      return;
    case "ping":
      reply({ kind: "pong" });
      return;
    case "close":
      close();
      return;
    default:
      unreachable(request);
  }
}

function load(): void {
  try {
    if (dead !== undefined) throw dead;
    file ??= new CheckpointFile(settings);
    const found = TABLES.map((table) => sendRows(file as CheckpointFile, table)).reduce(addAll);
    sealIfDue(file, found);
    stale = undefined;
    reply({ kind: "loaded", header: file.header(), seal: found.seal });
  } catch (error) {
    reply({ kind: "load-failed", error: toWire(explainFailure(error, "read the checkpoint")) });
  }
}

/** What was read. */
interface Found {
  readonly seal: Seal;
  readonly unsound: number;
}

function addAll(left: Found, right: Found): Found {
  return { seal: addToSeal(left.seal, right.seal.rows, right.seal.sum), unsound: left.unsound + right.unsound };
}

/** Of a checkpoint that is older than seals, and of one whose damage is told, what is there is the truth from now on. */
function sealIfDue(from: CheckpointFile, { seal, unsound }: Found): void {
  const header = from.header();
  // What is refused is left alone.
  if (!parseHeader(header).ok) return;
  const known = parseSeal(header.get(SEAL));
  if (known === undefined || (unsound > 0 && !isSameSeal(known, seal))) from.reseal(seal);
}

function sendRows(from: CheckpointFile, table: Table): Found {
  let rows: string[] = [];
  let chars = 0;
  let seal = NO_ROWS;
  let unsound = 0;
  for (const row of from.rows(table)) {
    seal = addToSeal(seal, 1, row.crc);
    if (!row.sound) {
      unsound += 1;
      reply({ kind: "unsound", table, key: row.key });
      continue;
    }
    rows.push(row.key, row.value);
    chars += row.value.length;
    if (chars < CHUNK_CHARS) continue;
    sendChunk(table, rows);
    rows = [];
    chars = 0;
  }
  if (rows.length > 0) sendChunk(table, rows);
  return { seal, unsound };
}

/** Waits while the adapter is behind, or all rows would pile up between the threads. */
function sendChunk(table: Table, rows: readonly string[]): void {
  for (let done = Atomics.load(taken, 0); chunksSent - done >= CHUNKS_AHEAD; done = Atomics.load(taken, 0)) {
    Atomics.wait(taken, 0, done);
  }
  chunksSent += 1;
  reply({ kind: "rows", table, rows });
}

function serveCommits(group: readonly CommitRequest[]): void {
  const refusal = dead ?? stale;
  if (file === undefined || refusal !== undefined) {
    reject(group, refusal ?? new HoldfastError("unavailable", "Cannot commit: the store is not open"));
    return;
  }
  const startedMs = performance.now();
  try {
    const { gaveUpBallast } = file.commit(group);
    reply({ kind: "committed", count: group.length, durationMs: performance.now() - startedMs });
    if (gaveUpBallast) note("warn", "The checkpoint's disk is full: gave up the ballast");
  } catch (error) {
    stale = explainFailure(error, "commit");
    reject(group, stale);
    recoverFrom(error);
    return;
  }
  maintain(file);
}

function maintain(open: CheckpointFile): void {
  try {
    if (open.maintain().restoredBallast) note("info", "The ballast is allocated again");
  } catch (error) {
    recoverFrom(error);
  }
}

/** A full disk heals by itself; any other failure of the disk costs the file its credit. */
function recoverFrom(error: unknown): void {
  if (file === undefined || !isDiskFailure(error)) return;
  if (isDiskFull(error)) {
    compactLog(file);
    return;
  }
  try {
    note("error", "The checkpoint's disk failed: writing a new file", { reason: String(error) });
    file.replace();
    note("warn", "The checkpoint is on a new file, which has proven itself");
  } catch (cause) {
    const message = `Cannot replace the checkpoint ${file.path} after its disk failed: check the disk, then restart`;
    dead = new HoldfastError("unavailable", message, { cause });
    reply({ kind: "fatal", error: toWire(dead) });
  }
}

/** Gives the log a fresh start: rewriting it needs no room, so smaller commits may fit on a full disk. */
function compactLog(open: CheckpointFile): void {
  try {
    open.compactLog();
  } catch (error) {
    recoverFrom(error);
  }
}

function close(): void {
  try {
    file?.close();
  } catch (error) {
    note("warn", "The checkpoint was not closed cleanly", { reason: String(error) });
  }
  file = undefined;
  port.close();
}

function reject(group: readonly CommitRequest[], error: HoldfastError): void {
  reply({ kind: "rejected", count: group.length, error: toWire(error) });
}

function note(level: "info" | "warn" | "error", text: string, fields: object = {}): void {
  reply({ kind: "note", level, fields, text });
}

function reply(message: Reply): void {
  port.postMessage(message);
}
