/**
 * Garbage collection of containers' directories: by the rule of volumes, one after the other, the oldest first.
 *
 *   no container there ─▶ volumes unmounted ─▶ nobody holds it ─▶ commit `collecting`, durable ─▶ delete ─▶ commit its end
 *
 * All of that happens each time, also when something that was begun is gone on with: whatever was mounted meanwhile,
 * no volume's content is ever reached. A directory that is another one by now is not touched, one that is gone forgotten.
 */
import { type Age, assessAge, noteAge, usedPart } from "../domain/collect.ts";
import { codeOf, HoldfastError, messageOf } from "../domain/error.ts";
import { type SandboxRecord, sameDirectory } from "../domain/records.ts";
import { containersBelow } from "../domain/sandboxes.ts";
import type { Incarnation } from "../domain/units.ts";
import type { DirectoryHolder } from "../ports/holders.ts";
import type { FileSystemUsage } from "../ports/sandboxes.ts";
import { diskState } from "./measure.ts";
import { momentNow } from "./moment.ts";
import type { Parts } from "./parts.ts";
import { diskRoots, endAll, whoRuns } from "./sandboxes.ts";

/** What was tried, by path: why it stays, `undefined` when it was collected. */
export type SandboxAttempts = ReadonlyMap<string, string | undefined>;

/** A sandbox, and when it goes. */
export interface SandboxCandidate extends Omit<Age, "dueAt"> {
  readonly sandbox: SandboxRecord;
  /** `undefined` while that cannot be told. */
  readonly dueAt: Age["dueAt"] | undefined;
  /** Why it cannot be told. */
  readonly obstacle?: string;
}

/** So many are asked for at once whether somebody has them. */
const SANDBOXES_PER_SCAN = 64;
/** What nobody had that long ago is asked for again. */
const SCAN_VALID_MS = 5_000;
const HOLDERS_SHOWN = 5;
const NOTES_PER_COMMIT = 500;

/** One pass: goes on with what was begun, then takes what is due. */
export async function collectSandboxesByRule(parts: Parts, signal: AbortSignal): Promise<SandboxAttempts> {
  const attempts = new Map<string, string | undefined>();
  if (parts.ledger.state.sandboxes.size === 0) return attempts;
  await tryNoteAges(parts);
  await goOnWithSandboxes(parts, signal, attempts);
  const due = (await assessSandboxes(parts))
    .filter(({ sandbox, isDue }) => isDue && !attempts.has(sandbox.path) && mayTry(parts, sandbox))
    .map(({ sandbox }) => sandbox);
  const look = lookAhead(parts, due);
  for (const sandbox of due) {
    if (signal.aborted) return attempts;
    // Each deletion makes room, and gives the others more time.
    if (!(await assessSandbox(parts, sandbox)).isDue) continue;
    attempts.set(sandbox.path, await collectOne(parts, signal, sandbox.path, look));
  }
  return attempts;
}

/** These, however young; what somebody holds stays. */
export async function collectNamedSandboxes(
  parts: Parts,
  signal: AbortSignal,
  sandboxes: readonly SandboxRecord[],
): Promise<SandboxAttempts> {
  const attempts = new Map<string, string | undefined>();
  const look = lookAhead(parts, sandboxes);
  for (const { path } of sandboxes) attempts.set(path, await collectOne(parts, signal, path, look));
  return attempts;
}

/** What a crash, a stop or a failure left in the middle. */
export async function goOnWithSandboxes(
  parts: Parts,
  signal: AbortSignal,
  attempts = new Map<string, string | undefined>(),
): Promise<void> {
  const begun = [...parts.ledger.state.sandboxes.values()].filter(({ collecting }) => collecting === true);
  const look = lookAhead(parts, begun);
  for (const sandbox of begun) {
    if (signal.aborted) return;
    if (mayTry(parts, sandbox)) attempts.set(sandbox.path, await collectOne(parts, signal, sandbox.path, look));
  }
}

/** Everything that was handed over, oldest first, by the usage of the file systems now. */
export async function assessSandboxes(parts: Parts): Promise<readonly SandboxCandidate[]> {
  const candidates: SandboxCandidate[] = [];
  const sandboxes = await parts.ledger.read((state) => [...state.sandboxes.values()]);
  for (const sandbox of sandboxes) candidates.push(await assessSandbox(parts, sandbox));
  return candidates.sort(oldestFirst);
}

export async function assessSandbox(parts: Parts, sandbox: SandboxRecord): Promise<SandboxCandidate> {
  try {
    const found = parts.sandboxes.find(sandbox);
    if (found.state === "unreachable") throw new HoldfastError("unavailable", `cannot reach ${found.reason}`);
    const isGone = found.state === "gone";
    const usage = isGone ? undefined : await parts.sandboxes.usage(sandbox.path);
    // What is gone is only to be forgotten.
    const disk =
      usage === undefined
        ? { usage: 1, inDanger: true }
        : { usage: usedPart(usage), inDanger: await isInDanger(parts, usage) };
    return { sandbox, ...assessAge(sandbox.retired, parts.gc, momentNow(parts), disk) };
  } catch (error) {
    const { ageMs } = assessAge(sandbox.retired, parts.gc, momentNow(parts), { usage: 0, inDanger: false });
    return { sandbox, ageMs, dueAt: undefined, isDue: false, obstacle: messageOf(error) };
  }
}

/** Whether the live volumes of its file system may run out of the space that they were promised. */
async function isInDanger(parts: Parts, { device }: FileSystemUsage): Promise<boolean> {
  for (const disk of parts.disks.values()) {
    if (!diskState(parts, disk.source).inDanger) continue;
    if ((await parts.sandboxes.usage(disk.root)).device === device) return true;
  }
  return false;
}

/** Why each would not be collected now, `undefined` for one that would. Nothing is unmounted for that. */
export async function whyNotSandboxes(parts: Parts, sandboxes: readonly SandboxRecord[]): Promise<SandboxAttempts> {
  const attempts = new Map(sandboxes.map((sandbox) => [sandbox.path, obstacleOf(parts, sandbox)]));
  const free = sandboxes.filter((sandbox) => attempts.get(sandbox.path) === undefined && isThere(parts, sandbox));
  const holds = await lookForHolds(
    parts,
    free.map(({ path }) => path),
  );
  for (const { path } of free) attempts.set(path, holds(path));
  return attempts;
}

function obstacleOf(parts: Parts, sandbox: SandboxRecord): string | undefined {
  try {
    requireUnused(parts, sandbox.path);
    parts.sandboxes.detach(sandbox, diskRoots(parts), { dryRun: true });
    isPresent(parts, sandbox);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** One scan for all. The answer says who holds a sandbox; unknown means held. */
async function lookForHolds(parts: Parts, paths: readonly string[]): Promise<(path: string) => string | undefined> {
  try {
    const holders = paths.length === 0 ? [] : await parts.holders.ofDirectories(paths);
    return (path) => {
      // Mounts of our own namespace, which have no pid, are volumes that would be unmounted.
      const others = holders.filter(({ directory, pid }) => directory === path && pid !== undefined);
      return others.length === 0 ? undefined : heldBy(path, others).message;
    };
  } catch (error) {
    return () => messageOf(error);
  }
}

/** Says why it stays, `undefined` when it is gone. */
function collectOne(
  parts: Parts,
  signal: AbortSignal,
  path: string,
  look: LookForHolders,
): Promise<string | undefined> {
  return parts.serial.run(`sandbox ${path}`, async () => {
    const startedAt = performance.now();
    try {
      const entries = await collect(parts, signal, path, look);
      parts.observations.succeeded(path);
      parts.metrics.operation("collect_sandbox", "ok", performance.now() - startedAt);
      parts.log.info({ sandbox: path, entries }, `Collected sandbox ${path}`);
      return undefined;
    } catch (error) {
      parts.metrics.operation("collect_sandbox", codeOf(error), performance.now() - startedAt);
      const reason = messageOf(error);
      noteFailure(parts, signal, path, reason);
      return reason;
    }
  });
}

async function collect(parts: Parts, signal: AbortSignal, path: string, look: LookForHolders): Promise<number> {
  if (signal.aborted) throw refusal(path, "unavailable", "the daemon is stopping");
  const sandbox = await parts.ledger.read((state) => state.sandboxes.get(path));
  if (sandbox === undefined) throw refusal(path, "not_found", "it is collected or taken back already");
  const isThere = await clear(parts, sandbox, look);
  const entries = isThere ? await remove(parts, signal, sandbox) : 0;
  await parts.ledger.transact({ durable: false, releases: true }, (tx) => {
    const current = tx.state.sandboxes.get(path);
    if (current !== undefined && sameDirectory(current.directory, sandbox.directory)) {
      tx.set("sandboxes", path, undefined);
    }
  });
  return entries;
}

/** Who has a sandbox, in which nothing is mounted any more. @throws `unavailable` when somebody cannot be ruled out */
type LookForHolders = (path: string) => Promise<readonly DirectoryHolder[]>;

/** Looks at every process, which takes long, for many sandboxes at once. */
function lookAhead(parts: Parts, sandboxes: readonly SandboxRecord[]): LookForHolders {
  const paths = sandboxes.map(({ path }) => path);
  let seen = { atMs: 0, asked: new Set<string>(), free: new Set<string>() };
  const lookAtBatch = async (path: string): Promise<void> => {
    const atMs = parts.clock.bootTimeMs();
    const start = paths.indexOf(path);
    const batch = sandboxes.slice(start, start + SANDBOXES_PER_SCAN).filter((one) => isThere(parts, one));
    const asked = new Set(batch.map((one) => one.path));
    const free = new Set(asked);
    // One that goes meanwhile spoils it for all: then each is looked at by itself.
    const holders = await parts.holders.ofDirectories([...free]).catch(() => undefined);
    for (const one of holders?.map(({ directory }) => directory) ?? free) free.delete(one);
    seen = { atMs, asked, free };
  };
  return async (path) => {
    const isOld = parts.clock.bootTimeMs() - seen.atMs > SCAN_VALID_MS;
    if (isOld || !seen.asked.has(path)) await lookAtBatch(path);
    // Of what has volumes in it that will be unmounted, it says too much.
    return seen.free.has(path) ? [] : parts.holders.ofDirectories([path]);
  };
}

function isThere(parts: Parts, sandbox: SandboxRecord): boolean {
  return parts.sandboxes.find(sandbox).state === "present";
}

/** Sees to it that nobody has it, and that nothing is mounted in it. `false` when it is gone. */
async function clear(parts: Parts, sandbox: SandboxRecord, look: LookForHolders): Promise<boolean> {
  const { path } = sandbox;
  await endAll(parts, path);
  requireUnused(parts, path);
  try {
    parts.sandboxes.detach(sandbox, diskRoots(parts));
  } catch (error) {
    throw await withProcesses(parts, path, error);
  }
  if (!isPresent(parts, sandbox)) return false;
  const holders = await look(path);
  if (holders.length > 0) throw heldBy(path, holders);
  return true;
}

/** `false` when it is gone. @throws `unavailable`, `damaged` */
function isPresent(parts: Parts, sandbox: SandboxRecord): boolean {
  const { path } = sandbox;
  const found = parts.sandboxes.find(sandbox);
  if (found.state === "unreachable") throw refusal(path, "unavailable", `cannot reach ${found.reason}`);
  if (found.state === "foreign") {
    throw refusal(path, "damaged", `it ${found.reason} and is not touched: holdfast gc keep ${path} forgets it`);
  }
  return found.state === "present";
}

/** From the commit on there is no way back. */
async function remove(parts: Parts, signal: AbortSignal, sandbox: SandboxRecord): Promise<number> {
  const { path } = sandbox;
  await parts.ledger.transact({ durable: true, releases: true }, (tx) => {
    const current = tx.state.sandboxes.get(path);
    if (current === undefined || !sameDirectory(current.directory, sandbox.directory)) {
      throw refusal(path, "not_found", "it was taken back");
    }
    requireUnused(parts, path);
    if (current.collecting !== true) tx.set("sandboxes", path, { ...current, collecting: true });
  });
  const { entries } = await parts.sandboxes.purge(sandbox, { signal });
  return entries;
}

function requireUnused(parts: Parts, path: string): void {
  const [container] = containersBelow(parts.ledger.state, path);
  if (container !== undefined) throw refusal(path, "in_use", whoRuns(container));
}

/** Says who keeps a volume's mount busy, as far as that can be found out. */
async function withProcesses(parts: Parts, path: string, error: unknown): Promise<unknown> {
  if (!(error instanceof HoldfastError) || error.code !== "busy") return error;
  const uuids = error.details?.["volumes"];
  const processes = Array.isArray(uuids) ? await parts.holders.processes(uuids as Incarnation[]).catch(() => []) : [];
  const pids = processes.map(({ pid }) => pid);
  const who = processes.slice(0, HOLDERS_SHOWN).map(({ pid, command }) => `${pid} (${command})`);
  const whom = who.length === 0 ? "somebody that is not visible here" : `process ${who.join(", ")}`;
  return new HoldfastError("busy", `Cannot collect sandbox ${path}: a volume in it is used by ${whom}`, {
    cause: error,
    details: { pids },
  });
}

function heldBy(path: string, holders: readonly DirectoryHolder[]): HoldfastError {
  const shown = holders.slice(0, HOLDERS_SHOWN).map(({ phrase }) => phrase);
  return refusal(path, "in_use", shown.join(", "));
}

function refusal(path: string, code: "in_use" | "damaged" | "unavailable" | "not_found", reason: string) {
  return new HoldfastError(code, `Cannot collect sandbox ${path}: ${reason}`);
}

/** What was interrupted or taken back meanwhile is nobody's failure. */
function noteFailure(parts: Parts, signal: AbortSignal, path: string, reason: string): void {
  if (signal.aborted || !parts.ledger.state.sandboxes.has(path)) return;
  parts.observations.failed(path, reason, parts.clock.bootTimeMs());
  parts.log.warn({ sandbox: path }, reason);
}

/** Without notes sandboxes are collected late: that is no reason to collect nothing. */
async function tryNoteAges(parts: Parts): Promise<void> {
  try {
    await noteAges(parts);
  } catch (error) {
    parts.log.warn({ error }, "Cannot note the age of sandboxes");
  }
}

async function noteAges(parts: Parts): Promise<void> {
  const moment = momentNow(parts);
  const due = [...parts.ledger.state.sandboxes.values()].filter(
    ({ retired }) => noteAge(retired, moment) !== undefined,
  );
  for (let at = 0; at < due.length; at += NOTES_PER_COMMIT) {
    await parts.ledger.transact({ durable: true }, (tx) => {
      for (const { path } of due.slice(at, at + NOTES_PER_COMMIT)) {
        const current = tx.state.sandboxes.get(path);
        const retired = current === undefined ? undefined : noteAge(current.retired, moment);
        if (current !== undefined && retired !== undefined) tx.set("sandboxes", path, { ...current, retired });
      }
    });
  }
}

function mayTry(parts: Parts, { path }: SandboxRecord): boolean {
  return parts.observations.mayRetry(path, parts.clock.bootTimeMs());
}

/** The path settles what is equally old, so that the order is always the same. */
function oldestFirst(left: SandboxCandidate, right: SandboxCandidate): number {
  return right.ageMs - left.ageMs || (left.sandbox.path < right.sandbox.path ? -1 : 1);
}
