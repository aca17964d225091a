/**
 * `holdfast rebuild`: makes the checkpoint anew from the labels on every disk, while no daemon runs. What cannot be
 * recovered is named and stays where it is.
 */
import { join } from "node:path";
import type { Settings } from "./config/settings.ts";
import { nameOf } from "./domain/decide.ts";
import { parseDeclaredResources } from "./domain/declared.ts";
import { HoldfastError } from "./domain/error.ts";
import type { ReservationRecord, Volume } from "./domain/records.ts";
import { poolKey } from "./domain/resource.ts";
import { type AgentId, addSizes, type Incarnation, ZERO_MB } from "./domain/units.ts";
import { lockWorkRoot } from "./host/lock.ts";
import { type SurveyedVolume, surveyDisk } from "./host/survey.ts";
import { openSystemClock } from "./host/system-clock.ts";
import { systemRandom } from "./host/system-random.ts";
import { prepareWorkRoot } from "./host/work-root.ts";
import { createLog } from "./observe/log.ts";
import type { NodeLabel } from "./ports/disk.ts";
import { decodeNodeLabel, decodeVolumeLabel } from "./store/label.ts";
import { rebuildCheckpoint } from "./store/rebuild.ts";

/** What the labels say, and what they do not. */
interface Recovered {
  agentId: AgentId | undefined;
  readonly reservations: Map<string, ReservationRecord>;
  readonly volumes: Map<Incarnation, Volume>;
  /** One sentence each. */
  readonly lost: string[];
}

export async function runRebuild(settings: Settings): Promise<void> {
  const workRoot = prepareWorkRoot(settings.workRoot, { allowVolatile: true });
  const log = createLog({ level: "warn" });
  const lock = await lockWorkRoot(workRoot.path, { log });
  try {
    const recovered: Recovered = { agentId: undefined, reservations: new Map(), volumes: new Map(), lost: [] };
    for (const root of diskRoots(settings, workRoot.path)) readLabels(root, recovered);
    coverVolumes(recovered);
    const kept = write(join(workRoot.path, "meta"), recovered);
    report(recovered, kept);
  } finally {
    lock.release();
  }
}

function diskRoots(settings: Settings, workRoot: string): ReadonlySet<string> {
  const declared = settings.resources === undefined ? [] : parseDeclaredResources(settings.resources).disks;
  return new Set([workRoot, ...declared.flatMap(({ source }) => (source.type === "ROOT" ? [] : [source.root]))]);
}

function readLabels(root: string, recovered: Recovered): void {
  const { node, volumes } = surveyDisk(root);
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
  if (volume.uuid !== uuid) recovered.lost.push(`${path} has the label of another volume (${nameOf(volume)})`);
  else if (directory === undefined) recovered.lost.push(`${path} has a label (${nameOf(volume)}) and no content`);
  else recovered.volumes.set(uuid, placed({ ...volume, directory }, place));
}

/** Where a volume lies decides whether it lives: the label may be older than its last move. */
function placed(volume: Volume, place: SurveyedVolume["place"]): Volume {
  if (place === "volumes") {
    const { retired: _, ...rest } = volume;
    return { ...rest, phase: "live" };
  }
  const clock = openSystemClock();
  // A destruction whose time is not known is taken to be now, so that nothing is collected early.
  const retired = volume.retired ?? { at: clock.now(), bootId: clock.bootId(), bootTimeMs: clock.bootTimeMs() };
  return { ...volume, phase: "retained", retired };
}

/** A reservation is at least what its volumes and the reservations above it need, whatever an old label says. */
function coverVolumes(recovered: Recovered): void {
  const needed = new Map<string, ReservationRecord>();
  for (const { phase, source, reservations, size } of recovered.volumes.values()) {
    if (phase !== "live") continue;
    for (let level = reservations.length; level > 0; level -= 1) {
      const stack = reservations.slice(0, level);
      if (stack.at(-1)?.type !== "DYNAMIC") break;
      const key = poolKey(source, stack);
      const before = needed.get(key)?.size ?? ZERO_MB;
      needed.set(key, { source, reservations: stack, size: addSizes(before, size) });
    }
  }
  for (const [key, record] of needed) {
    if ((recovered.reservations.get(key)?.size ?? ZERO_MB) < record.size) recovered.reservations.set(key, record);
  }
}

function write(directory: string, recovered: Recovered): string | undefined {
  if (recovered.agentId === undefined && recovered.volumes.size === 0) {
    throw new HoldfastError(
      "no_such_volume",
      `Cannot rebuild: no label of a node or volume was found, ${directory} is left`,
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
    },
    replace: true,
    at: clock.now(),
  });
}

function report({ volumes, reservations, lost }: Recovered, kept: string | undefined): void {
  const live = [...volumes.values()].filter((volume) => volume.phase === "live").length;
  const lines = [
    `Rebuilt ${live} live and ${volumes.size - live} retained volumes and ${reservations.size} reservations`,
    ...(kept === undefined ? [] : [`The old checkpoint is kept as ${kept}`]),
    ...lost.map((sentence) => `Not recovered: ${sentence}`),
    "Start the daemon; containers that have volumes now are to be attached again after it",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

function attempt<T>(decode: () => T, place: string, recovered: Recovered): T | undefined {
  try {
    return decode();
  } catch (error) {
    recovered.lost.push(`${place}: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}
