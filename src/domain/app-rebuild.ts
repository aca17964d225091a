/**
 * Apps from what the labels of their volumes say, for a node whose checkpoint is lost: their instances are known, and of
 * their definitions what concerns volumes. The next definition that is put fills in the rest.
 */
import { showAppVolume } from "./app-volume.ts";
import type { AppInstance, AppRecord, AppVolume, Residency, Volume } from "./records.ts";
import type { AppId, InstanceId, WallMs } from "./units.ts";

/** What becomes of a lost instance when nobody remembers what should: nothing. */
const RESIDENCY: Residency = { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 };

export function rebuildApps(volumes: Iterable<Volume>): readonly AppRecord[] {
  const owned = [...volumes].filter(({ phase, app }) => phase === "live" && app !== undefined);
  const byApp = Map.groupBy(owned, ({ app }) => app?.id as AppId);
  return [...byApp].map(([id, own]) => rebuildApp(id, own));
}

function rebuildApp(id: AppId, own: readonly Volume[]): AppRecord {
  const oldestFirst = own.toSorted((left, right) => left.createdAt - right.createdAt);
  const [first] = oldestFirst;
  if (first === undefined) throw new Error("An app without volumes cannot be rebuilt");
  const members = [...Map.groupBy(oldestFirst, ({ app }) => app?.instance as InstanceId)].map(rebuildMember);
  const volumes = [...new Map(oldestFirst.map((volume) => [volume.containerPath, volumeOf(volume)])).values()];
  const version = Math.max(...own.map(({ createdAt }) => createdAt)) as WallMs;
  return {
    id,
    role: first.role,
    instances: members.length,
    volumes,
    residency: RESIDENCY,
    definition: JSON.stringify({ id, role: first.role, container: { volumes: volumes.map(showAppVolume) } }),
    members,
    createdBy: first.createdBy,
    createdAt: first.createdAt,
    version,
    rebuilt: true,
  };
}

function rebuildMember([id, own]: readonly [InstanceId, readonly Volume[]]): AppInstance {
  const createdAt = Math.min(...own.map((volume) => volume.createdAt)) as WallMs;
  return {
    id,
    volumes: own.map((volume) => ({ containerPath: volume.containerPath, id: volume.id, uuid: volume.uuid })),
    createdAt,
  };
}

function volumeOf({ containerPath, size, source }: Volume): AppVolume {
  return { containerPath, size, type: source.type };
}
