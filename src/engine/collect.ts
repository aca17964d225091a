/**
 * Garbage collection: deletes the content of retained volumes for good, oldest first, one after the other, only as much
 * as the rule wants. Restore and collect of one incarnation never run at the same time.
 *
 *   retained ─▶ nobody holds it ─▶ commit `collecting`, durable ─▶ delete ─▶ commit its end
 *
 * What fails behind the first commit stays `collecting`, is shown and tried again; a start goes on with it.
 */
import { assess, assessAll, type Candidate, noteAge } from "../domain/collect.ts";
import { nameOf } from "../domain/decide.ts";
import { codeOf, type ErrorCode, HoldfastError, messageOf } from "../domain/error.ts";
import { refusalOf } from "../domain/lifecycle.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import { sameDirectory, type Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Disk } from "../ports/disk.ts";
import { diskOfVolume } from "./handed-ports.ts";
import { lookForHolds } from "./holds.ts";
import type { CommitKind } from "./ledger.ts";
import { diskState, measureDisk } from "./measure.ts";
import { momentNow } from "./moment.ts";
import type { Parts } from "./parts.ts";

/** What was tried: why it stays, `undefined` when it was collected. */
export type Attempts = ReadonlyMap<Incarnation, string | undefined>;

/** So many are asked for at once whether somebody holds them. */
const VOLUMES_PER_SCAN = 64;
/** What nobody held that long ago is asked for again. */
const SCAN_VALID_MS = 5_000;
const NOTES_PER_COMMIT = 500;

/** One pass: goes on with what was begun, then takes what is due on each disk. */
export async function collectByRule(
  parts: Parts,
  signal: AbortSignal,
  { concerns, by }: { readonly concerns: (volume: Volume) => boolean; readonly by?: string } = { concerns: () => true },
): Promise<Attempts> {
  const attempts = new Map<Incarnation, string | undefined>();
  const why = { ...(by === undefined ? {} : { by }), because: "its time had come" };
  await tryNoteAges(parts);
  await goOnCollecting(parts, signal, attempts, concerns);
  for (const disk of parts.disks.values()) {
    try {
      await collectOnDisk(parts, signal, { disk, attempts, concerns, why });
    } catch (error) {
      parts.log.error({ error, disk: disk.root }, `Cannot collect garbage on disk ${disk.root}`);
    }
  }
  return attempts;
}

/** These, however young; what somebody holds stays. */
export async function collectNamed(
  parts: Parts,
  signal: AbortSignal,
  actor: Actor,
  uuids: readonly Incarnation[],
): Promise<Attempts> {
  const attempts = new Map<Incarnation, string | undefined>();
  while (attempts.size < uuids.length) {
    const together = uuids.slice(attempts.size, attempts.size + VOLUMES_PER_SCAN);
    const holds = await lookForHolds(parts, together);
    const scannedAtMs = parts.clock.bootTimeMs();
    for (const uuid of together) {
      const reason = await collectOne(parts, signal, { uuid, hold: holds(uuid), why: { by: actorName(actor) } });
      attempts.set(uuid, reason);
      const isBegun = parts.ledger.state.volumes.get(uuid)?.phase === "collecting";
      if (reason !== undefined && isBegun) noteFailure(parts, signal, uuid, reason);
      if (parts.clock.bootTimeMs() - scannedAtMs > SCAN_VALID_MS) break;
    }
  }
  return attempts;
}

/** What a crash, a stop or a failure left in the middle. */
export async function goOnCollecting(
  parts: Parts,
  signal: AbortSignal,
  attempts = new Map<Incarnation, string | undefined>(),
  concerns: (volume: Volume) => boolean = () => true,
): Promise<void> {
  const begun = volumesIn(parts, "collecting").filter((volume) => concerns(volume) && mayTry(parts, volume));
  for (const { uuid } of begun) {
    if (signal.aborted) return;
    const holds = await lookForHolds(parts, [uuid]);
    const why = { because: "its collection had begun" };
    const reason = await collectOne(parts, signal, { uuid, hold: holds(uuid), why });
    attempts.set(uuid, reason);
    if (reason !== undefined) noteFailure(parts, signal, uuid, reason);
  }
}

/** The retained volumes of a disk by the rule, oldest first, at its usage now. */
export async function assessDisk(parts: Parts, disk: Disk): Promise<readonly Candidate[]> {
  const key = sourceKey(disk.source);
  await measureDisk(parts, disk);
  const volumes = volumesIn(parts, "retained").filter((volume) => sourceKey(volume.source) === key);
  return assessAll(volumes, parts.gc, momentNow(parts), diskState(parts, disk.source));
}

/** Who asked, and why, for the audit trail. */
type Why = Pick<CommitKind, "by" | "because">;

interface DiskPass {
  readonly disk: Disk;
  readonly attempts: Map<Incarnation, string | undefined>;
  readonly concerns: (volume: Volume) => boolean;
  readonly why: Why;
}

async function collectOnDisk(
  parts: Parts,
  signal: AbortSignal,
  { disk, attempts, concerns, why }: DiskPass,
): Promise<void> {
  const isWanted = ({ isDue, volume }: Candidate): boolean =>
    isDue && !attempts.has(volume.uuid) && concerns(volume) && mayTry(parts, volume);
  for (;;) {
    const due = (await assessDisk(parts, disk)).filter(isWanted).slice(0, VOLUMES_PER_SCAN);
    if (due.length === 0) return;
    const holds = await lookForHolds(
      parts,
      due.map(({ volume }) => volume.uuid),
    );
    const scannedAtMs = parts.clock.bootTimeMs();
    for (const { volume } of due) {
      if (signal.aborted) return;
      if (parts.clock.bootTimeMs() - scannedAtMs > SCAN_VALID_MS || !(await isStillDue(parts, disk, volume))) break;
      const reason = await collectOne(parts, signal, { uuid: volume.uuid, hold: holds(volume.uuid), why });
      attempts.set(volume.uuid, reason);
      if (reason !== undefined) noteFailure(parts, signal, volume.uuid, reason);
    }
  }
}

/** Each deletion makes room, and gives the others more time. */
async function isStillDue(parts: Parts, disk: Disk, volume: Volume): Promise<boolean> {
  await measureDisk(parts, disk);
  const current = parts.ledger.state.volumes.get(volume.uuid);
  return current !== undefined && assess(current, parts.gc, momentNow(parts), diskState(parts, disk.source)).isDue;
}

/** Says why it stays, `undefined` when it is gone. */
function collectOne(
  parts: Parts,
  signal: AbortSignal,
  { uuid, hold, why }: { readonly uuid: Incarnation; readonly hold: string | undefined; readonly why: Why },
): Promise<string | undefined> {
  return parts.serial.run(uuid, async () => {
    const startedAt = performance.now();
    try {
      if (signal.aborted)
        throw new HoldfastError("unavailable", `Cannot collect volume ${uuid}: the daemon is stopping`);
      const volume = await begin(parts, uuid, hold);
      const { entries } = await diskOfVolume(parts.disks, volume).purge(uuid, { signal });
      const kind = { durable: false, releases: true, ...why };
      await parts.ledger.transact(kind, (tx) => tx.set("volumes", uuid, undefined));
      parts.observations.succeeded(uuid);
      parts.metrics.operation("collect", "ok", performance.now() - startedAt);
      parts.log.info({ volume: uuid, entries }, `Collected volume ${nameOf(volume)}`);
      return undefined;
    } catch (error) {
      parts.metrics.operation("collect", codeOf(error), performance.now() - startedAt);
      return messageOf(error);
    }
  });
}

/** Why a volume would not be collected now, given who holds it; `undefined` when it would. */
export function whyNot(parts: Parts, volume: Volume, hold: string | undefined): string | undefined {
  try {
    requireCollectable(parts, volume, hold);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** From here on there is no way back. */
async function begin(parts: Parts, uuid: Incarnation, hold: string | undefined): Promise<Volume> {
  const volume = await parts.ledger.read((state) => state.volumes.get(uuid));
  requireCollectable(parts, volume, hold);
  await parts.ledger.transact({ durable: true, releases: true }, (tx) => {
    const current = tx.state.volumes.get(uuid);
    requireCollectable(parts, current, hold);
    if (current.phase === "retained") tx.set("volumes", uuid, { ...current, phase: "collecting" });
  });
  return volume;
}

function requireCollectable(
  parts: Parts,
  volume: Volume | undefined,
  hold: string | undefined,
): asserts volume is Volume {
  if (volume === undefined) throw new HoldfastError("no_such_volume", "Cannot collect: the volume is gone already");
  const refuse: (code: ErrorCode, reason: string) => never = (code, reason) => {
    throw new HoldfastError(code, `Cannot collect volume ${nameOf(volume)}: ${reason}`);
  };
  if (volume.phase === "live") return refuse("in_use", "it is live, destroy it first");
  const refusal = refusalOf(volume.phase, "collect");
  const failure = parts.observations.failureOf(volume.uuid);
  if (refusal !== undefined) refuse(refusal, `it is not in trash yet${failure === undefined ? "" : `: ${failure}`}`);
  if (volume.phase === "retained" && volume.pinned === true) refuse("protected", "it is pinned, unpin it first");
  if (hold !== undefined) refuse("in_use", hold);
  const [container] = parts.ledger.state.containersOf(volume.uuid);
  if (container !== undefined) refuse("in_use", `container ${container.id} has it, detach it first`);
  const found = diskOfVolume(parts.disks, volume).examineTrash(volume.uuid);
  if (found.state === "foreign") refuse("damaged", `its directory in trash ${found.reason}, look into it`);
  // Of half a copy it may be another one than was recorded when that was begun.
  const isExpected = volume.copying !== undefined || found.state !== "present";
  if (!isExpected && !sameDirectory(volume.directory, found.directory)) {
    refuse("damaged", "another directory is in its place in trash, look into it");
  }
  const isElsewhere = volume.phase === "retained" && found.state === "missing";
  if (isElsewhere) refuse("busy", "its directory is not in trash");
}

/** What was restored or pinned while its collection waited for it is no failure. */
function noteFailure(parts: Parts, signal: AbortSignal, uuid: Incarnation, reason: string): void {
  const volume = parts.ledger.state.volumes.get(uuid);
  if (signal.aborted || volume === undefined || volume.phase === "live" || volume.pinned === true) return;
  parts.observations.failed(uuid, reason, parts.clock.bootTimeMs());
  parts.log.warn({ volume: uuid }, reason);
}

/** Without notes volumes are collected late: on a full disk that is no reason to collect nothing. */
async function tryNoteAges(parts: Parts): Promise<void> {
  try {
    await noteAges(parts);
  } catch (error) {
    parts.log.warn({ error }, "Cannot note the age of retained volumes");
  }
}

/** Durable, because it is for the time after a reboot. */
async function noteAges(parts: Parts): Promise<void> {
  const moment = momentNow(parts);
  const due = volumesIn(parts, "retained").filter((volume) => noteAge(volume.retired, moment) !== undefined);
  for (let at = 0; at < due.length; at += NOTES_PER_COMMIT) {
    await parts.ledger.transact({ durable: true }, (tx) => {
      for (const { uuid } of due.slice(at, at + NOTES_PER_COMMIT)) {
        const current = tx.state.volumes.get(uuid);
        const retired = current?.phase === "retained" ? noteAge(current.retired, moment) : undefined;
        if (current !== undefined && retired !== undefined) tx.set("volumes", uuid, { ...current, retired });
      }
    });
  }
}

function volumesIn(parts: Parts, phase: Volume["phase"]): readonly Volume[] {
  return [...parts.ledger.state.volumes.values()].filter((volume) => volume.phase === phase);
}

/** What lies on a disk that is not there waits for it. */
function mayTry(parts: Parts, { uuid, source }: Volume): boolean {
  return parts.disks.has(sourceKey(source)) && parts.observations.mayRetry(uuid, parts.clock.bootTimeMs());
}
