/**
 * `holdfast rebuild`: makes the checkpoint anew from the labels on every disk, while no daemon runs. What cannot be
 * recovered is named and stays where it is.
 */
import { join } from "node:path";
import type { Settings } from "./config/settings.ts";
import { rebuildApps } from "./domain/app-rebuild.ts";
import { nameOf } from "./domain/decide.ts";
import { parseDeclaredResources } from "./domain/declared.ts";
import { HoldfastError, messageOf } from "./domain/error.ts";
import type { DiskRecord, ReservationRecord, Retirement, Volume } from "./domain/records.ts";
import { type DiskSource, poolKey, type Reservation, ROOT_DISK, sourceKey } from "./domain/resource.ts";
import { type AgentId, addSizes, type Incarnation, type MilliMb, ZERO_MB } from "./domain/units.ts";
import { countVolumes } from "./engine/disk-table.ts";
import { lockWorkRoot } from "./host/lock.ts";
import { readMountTable } from "./host/mount-table.ts";
import { hasHistory, type SurveyedVolume, surveyDisk } from "./host/survey.ts";
import { openSystemClock } from "./host/system-clock.ts";
import { systemRandom } from "./host/system-random.ts";
import { prepareWorkRoot } from "./host/work-root.ts";
import { createLog } from "./observe/log.ts";
import { readCopy, whyAbsent } from "./offline.ts";
import type { NodeLabel } from "./ports/disk.ts";
import type { StoreContents } from "./ports/store.ts";
import { decodeNodeLabel, decodeVolumeLabel } from "./store/label.ts";
import { rebuildCheckpoint } from "./store/rebuild.ts";

/** The root of a mount that shows a volume, seen from its file system. */
const MOUNTED_CONTENT = /\/volumes\/([^/]+)\/content$/;

/** What the labels say, and what they do not. */
interface Recovered {
  agentId: AgentId | undefined;
  readonly reservations: Map<string, ReservationRecord>;
  readonly volumes: Map<Incarnation, Volume>;
  readonly disks: Map<string, DiskRecord>;
  /** One sentence each. */
  readonly lost: string[];
  /** What was taken from the old checkpoint, because its disk is not there; one sentence each. */
  readonly kept: string[];
}

export async function runRebuild(settings: Settings): Promise<void> {
  requireHistory(settings);
  const workRoot = prepareWorkRoot(settings.workRoot, { allowVolatile: true });
  const log = createLog({ level: "warn" });
  const lock = await lockWorkRoot(workRoot.path, { log });
  try {
    const recovered = await recover(settings, workRoot.path);
    const kept = write(join(workRoot.path, "meta"), recovered);
    report(recovered, kept);
  } finally {
    lock.release();
  }
}

/** A directory that was named by mistake is left as it is. */
function requireHistory(settings: Settings): void {
  const { workRoot } = settings;
  if (sourcesOf(settings).some((source) => hasHistory(rootOf(source, workRoot)))) return;
  throw new HoldfastError("invalid", `Cannot rebuild: ${settings.workRoot} has no label of a node and no volume`);
}

async function recover(settings: Settings, workRoot: string): Promise<Recovered> {
  const recovered: Recovered = {
    agentId: undefined,
    reservations: new Map(),
    volumes: new Map(),
    disks: new Map(),
    lost: [],
    kept: [],
  };
  const old = await readCopy(join(workRoot, "meta")).catch(() => undefined);
  for (const source of sourcesOf(settings, old)) {
    const root = rootOf(source, workRoot);
    const reason = await whyAbsent(source, old?.records);
    if (reason === undefined) attempt(() => readLabels(root, recovered), root, recovered);
    else keepAbsent({ source, root, reason }, old, recovered);
  }
  if (recovered.agentId === undefined) {
    recovered.lost.push("the agent id and reservations without volumes, because no label of the node can be read");
  }
  retireNamesakes(recovered);
  coverVolumes(recovered);
  return recovered;
}

/** The work root's, those that are declared, and those that the old checkpoint has volumes on, as far as it can be read. */
function sourcesOf(settings: Settings, old?: StoreContents): readonly DiskSource[] {
  const declared = settings.resources === undefined ? [] : parseDeclaredResources(settings.resources).disks;
  const sources = [...declared, ...(old?.records.volumes.values() ?? [])].map(({ source }) => source);
  return [...new Map([ROOT_DISK, ...sources].map((source) => [sourceKey(source), source])).values()];
}

function rootOf(source: DiskSource, workRoot: string): string {
  return source.type === "ROOT" ? workRoot : source.root;
}

/** The labels of a disk that is not there cannot be read: what is known of its volumes must not be forgotten for that. */
function keepAbsent(
  { source, root, reason }: { readonly source: DiskSource; readonly root: string; readonly reason: string },
  old: StoreContents | undefined,
  recovered: Recovered,
): void {
  if (old === undefined) {
    recovered.lost.push(`disk ${root} cannot be used (${reason}): run rebuild again when it is there, for its volumes`);
    return;
  }
  const key = sourceKey(source);
  const isOn = (record: { readonly source: DiskSource }): boolean => sourceKey(record.source) === key;
  const volumes = [...old.records.volumes.values()].filter(isOn);
  for (const volume of volumes) recovered.volumes.set(volume.uuid, volume);
  for (const [pool, record] of old.records.reservations) if (isOn(record)) recovered.reservations.set(pool, record);
  const disk = old.records.disks.get(key);
  if (disk !== undefined) recovered.disks.set(key, disk);
  const what = `${countVolumes(volumes.length)} kept as the old checkpoint has them`;
  recovered.kept.push(`Disk ${root} cannot be used (${reason}): ${what}`);
}

function readLabels(root: string, recovered: Recovered): void {
  const { node, volumes } = surveyDisk(root);
  if (node === undefined) recovered.lost.push(`${root}/label is missing: see that its disk is there`);
  const label = node === undefined ? undefined : attempt(() => decodeNodeLabel(node), `${root}/label`, recovered);
  if (label !== undefined) takeNodeLabel(label, recovered);
  for (const volume of volumes) takeVolume(root, volume, recovered);
}

function takeNodeLabel(label: NodeLabel, recovered: Recovered): void {
  recovered.agentId ??= label.agentId;
  for (const record of label.reservations) {
    recovered.reservations.set(poolKey(record.source, record.reservations), record);
  }
}

function takeVolume(root: string, found: SurveyedVolume, recovered: Recovered): void {
  const { uuid, place, label, directory, empty } = found;
  const path = `${root}/${place}/${uuid}`;
  if (label === undefined) {
    // Empty and without a label is a spare.
    if (!empty) recovered.lost.push(`${path} has content and no label`);
    return;
  }
  const volume = attempt(() => decodeVolumeLabel(label), `${path}/label`, recovered);
  if (volume === undefined) return;
  const name = nameOf(volume);
  if (volume.uuid !== uuid) recovered.lost.push(`${path} has the label of another volume (${name})`);
  else if (directory === undefined) recovered.lost.push(`${path} has a label (${name}) and no content`);
  else if (recovered.volumes.has(uuid)) recovered.lost.push(`${path} is there twice (${name})`);
  else recovered.volumes.set(uuid, placed({ ...volume, directory }, place));
}

/** Where a volume lies decides whether it lives: the label may be older than its last move. */
function placed(volume: Volume, place: SurveyedVolume["place"]): Volume {
  if (place === "trash") return { ...volume, phase: "retained", retired: volume.retired ?? retiredNow() };
  const { retired: _, ...rest } = volume;
  return { ...rest, phase: "live" };
}

/** A destruction whose time is not known is taken to be now, so that nothing is collected early. */
function retiredNow(): Retirement {
  const clock = openSystemClock();
  return { at: clock.now(), bootId: clock.bootId(), bootTimeMs: clock.bootTimeMs() };
}

/** Of several live volumes of one name the newest has it; the others can be restored under another id. */
function retireNamesakes({ volumes, lost }: Recovered): void {
  const live = [...volumes.values()].filter(({ phase }) => phase === "live");
  const newest = new Map<string, Volume>();
  for (const volume of live.sort((left, right) => left.revision - right.revision)) {
    const older = newest.get(nameOf(volume));
    newest.set(nameOf(volume), volume);
    if (older === undefined) continue;
    volumes.set(older.uuid, { ...older, phase: "destroying", retired: retiredNow() });
    lost.push(
      `${older.uuid} has the name ${nameOf(older)} as ${volume.uuid} has: it is retained, restore it with --as`,
    );
  }
}

/** A reservation is at least what its volumes and the reservations above it need, whatever an old label says. */
function coverVolumes({ reservations, volumes }: Recovered): void {
  const pools = new Map<string, ReservationRecord & { readonly needed: MilliMb }>();
  const need = (source: DiskSource, stack: readonly Reservation[], size: MilliMb): void => {
    if (stack.at(-1)?.type !== "DYNAMIC") return;
    const key = poolKey(source, stack);
    const labelled = reservations.get(key)?.size ?? ZERO_MB;
    const needed = addSizes(pools.get(key)?.needed ?? ZERO_MB, size);
    pools.set(key, { source, reservations: stack, size: larger(labelled, needed), needed });
  };
  for (const record of reservations.values()) need(record.source, record.reservations, ZERO_MB);
  for (const { phase, source, reservations: stack, size } of volumes.values()) {
    if (phase === "live") need(source, stack, size);
  }
  for (let level = deepest(pools.values()); level > 0; level -= 1) {
    for (const { source, reservations: stack, size } of [...pools.values()]) {
      if (stack.length === level) need(source, stack.slice(0, -1), size);
    }
  }
  for (const [key, { needed: _, ...record }] of pools) reservations.set(key, record);
}

function deepest(records: Iterable<ReservationRecord>): number {
  return Math.max(0, ...Array.from(records, ({ reservations }) => reservations.length));
}

function larger(left: MilliMb, right: MilliMb): MilliMb {
  return left > right ? left : right;
}

function write(directory: string, recovered: Recovered): string | undefined {
  if (recovered.agentId === undefined && recovered.volumes.size === 0) {
    throw new HoldfastError(
      "damaged",
      `Cannot rebuild: no label can be read, ${directory} is left as it is: ${recovered.lost.join("; ")}`,
    );
  }
  const clock = openSystemClock();
  return rebuildCheckpoint({
    directory,
    header: { agentId: recovered.agentId ?? (systemRandom.uuid() as AgentId), createdAt: clock.now() },
    records: {
      reservations: recovered.reservations,
      volumes: recovered.volumes,
      containers: new Map(),
      operations: new Map(),
      disks: recovered.disks,
      sandboxes: new Map(),
      apps: new Map(rebuildApps(recovered.volumes.values()).map((app) => [app.id, app])),
    },
    replace: true,
    at: clock.now(),
  });
}

function report({ volumes, reservations, lost, kept: absent }: Recovered, kept: string | undefined): void {
  const live = [...volumes.values()].filter((volume) => volume.phase === "live").length;
  const lines = [
    `Rebuilt ${live} live and ${volumes.size - live} retained volumes and ${reservations.size} reservations`,
    ...(kept === undefined ? [] : [`The old checkpoint is kept as ${kept}`]),
    ...absent,
    ...lost.map((sentence) => `Not recovered: ${sentence}`),
    ...rebuildApps(volumes.values()).map(({ id, members }) => describeApp(id, members.length)),
    ...leftMounts(volumes),
    "Start the daemon; containers that have volumes now are to be attached again after it",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** Of a definition only the volumes are on the labels. */
function describeApp(id: string, instances: number): string {
  return `App ${id} has its ${instances} instances again, put its definition once more: only its volumes are known`;
}

/** Nobody remembers the attachments, and nothing is mounted over them: what is ours to end is named. */
function leftMounts(volumes: Recovered["volumes"]): string[] {
  return readMountTable("self").flatMap(({ root, mountPoint }) => {
    const uuid = MOUNTED_CONTENT.exec(root.toString())?.[1];
    const volume = uuid === undefined ? undefined : volumes.get(uuid as Incarnation);
    return volume === undefined ? [] : [`Still mounted: ${nameOf(volume)} at ${mountPoint}, unmount it first`];
  });
}

function attempt<T>(decode: () => T, place: string, recovered: Recovered): T | undefined {
  try {
    return decode();
  } catch (error) {
    recovered.lost.push(`${place}: ${messageOf(error)}`);
    return undefined;
  }
}
