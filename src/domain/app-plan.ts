/**
 * Which operations make an app's instances, and take them away again. Each instance has a reservation of its own, by
 * Marathon's label with its id, so that exactly what was reserved for it can be given back.
 */
import { instanceId, persistenceId } from "./app-id.ts";
import { fits, sizeOn } from "./app-volume.ts";
import { HoldfastError } from "./error.ts";
import { freeOf, type NodeState, type Pool, resourceOf } from "./node.ts";
import type { Operation } from "./operation.ts";
import type { AppInstance, AppRecord, AppVolume, InstanceVolume } from "./records.ts";
import { type DiskResource, type DiskSource, poolKey, type Reservation, sourceKey } from "./resource.ts";
import { printSize } from "./size.ts";
import { addSizes, type InstanceId, type MilliMb, type Role, subtractSizes, ZERO_MB } from "./units.ts";

/** Marathon's, with the task's id. */
const INSTANCE_LABEL = "marathon_task_id";

/** An instance whose volumes have yet to be made. */
interface PlannedInstance {
  readonly id: InstanceId;
  readonly volumes: readonly Omit<InstanceVolume, "uuid">[];
}

export interface InstancePlan {
  readonly instances: readonly PlannedInstance[];
  /** One RESERVE and one CREATE; none for no instances. */
  readonly operations: readonly Operation[];
}

export interface PlanContext {
  /** A random UUID. */
  readonly uuid: () => string;
  /** Why a disk takes no new reservations. */
  readonly closedTo: (source: DiskSource) => string | undefined;
}

/**
 * Finds disk for so many instances.
 * @throws `insufficient` when there is not enough unreserved disk: nothing has been asked of a disk yet
 */
export function planInstances(
  state: NodeState,
  app: Pick<AppRecord, "id" | "role" | "volumes">,
  count: number,
  context: PlanContext,
): InstancePlan {
  const disks = unreservedDisks(state, context);
  const instances: PlannedInstance[] = [];
  const resources: DiskResource[] = [];
  while (instances.length < count) {
    const id = instanceId(app.id, context.uuid());
    const volumes = app.volumes.map((volume) => {
      const place = takeDisk(disks, volume, () => tooLittle(app, volume, { count, found: instances.length }));
      const persistence = persistenceId(app.id, volume.containerPath, context.uuid());
      resources.push(volumeResource(app.role, id, { ...place, volume, id: persistence }));
      return { containerPath: volume.containerPath, id: persistence };
    });
    instances.push({ id, volumes });
  }
  return { instances, operations: resources.length === 0 ? [] : making(resources) };
}

/** The same instance anew, with empty volumes where the old ones lay. Comes behind what removes the old ones. */
export function planReplacement(
  state: NodeState,
  app: Pick<AppRecord, "id" | "role" | "volumes">,
  old: AppInstance,
  context: PlanContext,
): InstancePlan | undefined {
  const id = instanceId(app.id, context.uuid());
  const resources: DiskResource[] = [];
  const volumes: PlannedInstance["volumes"][number][] = [];
  for (const { containerPath, uuid } of old.volumes) {
    const before = state.volumes.get(uuid);
    const volume = app.volumes.find((one) => one.containerPath === containerPath);
    if (before?.phase !== "live" || volume === undefined) return undefined;
    const persistence = persistenceId(app.id, containerPath, context.uuid());
    const size = volume.type === "MOUNT" ? before.size : volume.size;
    resources.push(volumeResource(app.role, id, { source: before.source, size, volume, id: persistence }));
    volumes.push({ containerPath, id: persistence });
  }
  if (volumes.length < app.volumes.length) return undefined;
  return { instances: [{ id, volumes }], operations: making(resources) };
}

/** Destroys what instances have, and gives back what was reserved for them. */
export function planRemoval(state: NodeState, role: Role, members: readonly AppInstance[]): readonly Operation[] {
  const volumes = members
    .flatMap((member) => member.volumes.flatMap(({ uuid }) => state.volumes.get(uuid) ?? []))
    .filter(({ phase }) => phase === "live");
  const given = new Map<string, MilliMb>();
  for (const { source, reservations, size } of volumes) {
    const key = poolKey(source, reservations);
    given.set(key, addSizes(given.get(key) ?? ZERO_MB, size));
  }
  const ids = new Set<string>(members.map(({ id }) => id));
  const own = [...state.pools].filter(({ reservations }) => isOwn(reservations.at(-1), role, ids));
  const reserved = own.flatMap((pool) => {
    const size = addSizes(freeOf(pool), given.get(pool.key) ?? ZERO_MB);
    return size > 0 ? { size, source: pool.source, reservations: pool.reservations } : [];
  });
  return [
    ...(volumes.length === 0 ? [] : [{ type: "DESTROY", volumes: volumes.map(resourceOf) } as const]),
    ...(reserved.length === 0 ? [] : [{ type: "UNRESERVE", resources: reserved } as const]),
  ];
}

function isOwn(level: Reservation | undefined, role: Role, ids: ReadonlySet<string>): boolean {
  if (level?.type !== "DYNAMIC" || level.role !== role) return false;
  return (
    level.labels?.some(({ key, value }) => key === INSTANCE_LABEL && value !== undefined && ids.has(value)) === true
  );
}

function making(volumes: readonly DiskResource[]): readonly Operation[] {
  const resources = volumes.map(({ volume: _volume, ...disk }) => disk);
  return [
    { type: "RESERVE", resources },
    { type: "CREATE", volumes },
  ];
}

function volumeResource(
  role: Role,
  instance: InstanceId,
  { source, size, volume, id }: Place & { readonly volume: AppVolume; readonly id: InstanceVolume["id"] },
): DiskResource {
  return {
    size,
    source,
    reservations: [{ type: "DYNAMIC", role, labels: [{ key: INSTANCE_LABEL, value: instance }] }],
    volume: { id, containerPath: volume.containerPath, mode: "RW", shared: false },
  };
}

interface Place {
  readonly source: DiskSource;
  readonly size: MilliMb;
}

interface FreeDisk {
  readonly source: DiskSource;
  readonly total: MilliMb;
  free: MilliMb;
}

function unreservedDisks(state: NodeState, { closedTo }: PlanContext): readonly FreeDisk[] {
  const pools = [...state.pools].filter(
    ({ source, reservations }) => reservations.length === 0 && closedTo(source) === undefined,
  );
  return pools.map(freeDisk).sort((left, right) => (sourceKey(left.source) < sourceKey(right.source) ? -1 : 1));
}

function freeDisk(pool: Pool): FreeDisk {
  return { source: pool.source, total: pool.total, free: freeOf(pool) };
}

/** The disk with the most room, so that instances spread; of file systems that are taken whole the smallest. */
function takeDisk(disks: readonly FreeDisk[], volume: AppVolume, refusal: () => HoldfastError): Place {
  let best: { disk: FreeDisk; size: MilliMb } | undefined;
  for (const disk of disks) {
    const size = fits(volume, disk.source) ? sizeOn(volume, disk.source, disk) : undefined;
    if (size === undefined) continue;
    const isBetter = best === undefined || (volume.type === "MOUNT" ? size < best.size : disk.free > best.disk.free);
    if (isBetter) best = { disk, size };
  }
  if (best === undefined) throw refusal();
  best.disk.free = subtractSizes(best.disk.free, best.size);
  return { source: best.disk.source, size: best.size };
}

function tooLittle(
  { id }: Pick<AppRecord, "id">,
  { containerPath, size, type }: AppVolume,
  { count, found }: { readonly count: number; readonly found: number },
): HoldfastError {
  const what = `${printSize(size)} of unreserved ${type.toLowerCase()} disk for ${containerPath}`;
  const reason = `there is not ${what} for ${count === 1 ? "it" : `all ${count} of them, only for ${found}`}`;
  return new HoldfastError(
    "insufficient",
    `Cannot make ${count === 1 ? "an instance" : `${count} instances`} of app ${id}: ${reason}`,
    { details: { wanted: count, possible: found } },
  );
}
