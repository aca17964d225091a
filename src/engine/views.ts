/** What the engine shows: records with the state derived from them, as far as the actor may view them. */
import { mayView } from "../domain/authorise.ts";
import { assess, type Candidate } from "../domain/collect.ts";
import { containerOf } from "../domain/container-of-cgroup.ts";
import { nameOf } from "../domain/decide.ts";
import { HoldfastError, messageOf } from "../domain/error.ts";
import { stateOf, type VolumeState } from "../domain/lifecycle.ts";
import { attachmentPhases, type NodeState } from "../domain/node.ts";
import type { Actor } from "../domain/operation.ts";
import type { Container, Volume } from "../domain/records.ts";
import { type Label, sourceKey } from "../domain/resource.ts";
import {
  addSizes,
  BYTES_PER_MB,
  type Incarnation,
  type MilliMb,
  type Role,
  toMb,
  type VolumeId,
  type WallMs,
  ZERO_MB,
} from "../domain/units.ts";
import type { HeldMount } from "../ports/holders.ts";
import { accountVolumes, NO_ACCOUNT } from "./accounts.ts";
import { candidateOf } from "./collect-request.ts";
import { problemOf } from "./disk-table.ts";
import type { ContainerView, CopyProgress, HolderView, NodeStatus, VolumeFilter, VolumeView } from "./engine.ts";
import { lentVolumes, mountsOfBorrowers } from "./loans.ts";
import { diskState, measureDisk, usageOf } from "./measure.ts";
import { momentNow } from "./moment.ts";
import { placeBehind, placeBehindName, volumesByName } from "./name-order.ts";
import { attachmentKey } from "./observations.ts";
import type { Parts } from "./parts.ts";
import { declaredOf } from "./recover.ts";

export function viewVolume(parts: Parts, state: NodeState, volume: Volume): VolumeView {
  const problem = parts.observations.damageOf(volume.uuid) ?? parts.observations.failureOf(volume.uuid);
  const usage = usageOf(parts, volume);
  return {
    volume,
    state: volumeState(parts, state, volume),
    path: parts.disks.get(sourceKey(volume.source))?.contentPath(volume) ?? "",
    containers: state.containersOf(volume.uuid).map((container) => container.id),
    ...viewDueAt(parts, volume),
    ...(usage === undefined ? {} : { usage }),
    enforced: isEnforced(parts, volume),
    ...(volume.copying === undefined ? {} : { copying: progressOf(parts, volume.uuid) }),
    ...(problem === undefined ? {} : { problem }),
  };
}

function viewDueAt(parts: Parts, volume: Volume): Pick<VolumeView, "dueAt"> {
  const dueAt = volume.phase === "retained" ? candidateOf(parts, volume).dueAt : undefined;
  return dueAt === undefined ? {} : { dueAt };
}

function isEnforced({ disks, observations }: Parts, { uuid, source }: Volume): boolean {
  const by = disks.get(sourceKey(source))?.enforcement.by ?? "nothing";
  return by !== "nothing" && !observations.loose.has(uuid);
}

function progressOf({ observations }: Parts, uuid: Incarnation): CopyProgress {
  return observations.copies.get(uuid)?.progress ?? { copiedBytes: 0 };
}

export function volumeState(parts: Parts, state: NodeState, volume: Volume): VolumeState {
  if (volume.phase !== "live") return volume.phase;
  const damaged = parts.observations.damageOf(volume.uuid) !== undefined;
  return stateOf(volume, attachmentPhases(state, volume.uuid), damaged);
}

/** Ordered by role, id, then newest first. What costs is what is listed, and not how many there are. */
export function viewVolumes(parts: Parts, state: NodeState, actor: Actor, filter: VolumeFilter): VolumeView[] {
  const isVisible = visibleTo(parts, actor);
  const isListed = (volume: Volume): boolean =>
    (filter.role === undefined || volume.role === filter.role) &&
    isVisible(volume.role) &&
    (filter.where === undefined || filter.where(volume)) &&
    (filter.label === undefined || hasLabel(volume, filter.label)) &&
    (filter.state === undefined || volumeState(parts, state, volume) === filter.state);
  const ordered = volumesByName(state);
  let index = 0;
  if (filter.after !== undefined) index = placeBehind(ordered, listedVolume(state, filter.after, isListed));
  if (filter.behind !== undefined) index = Math.max(index, placeBehindName(ordered, filter.behind));
  const views: VolumeView[] = [];
  for (; index < ordered.length && views.length < (filter.limit ?? Number.POSITIVE_INFINITY); index += 1) {
    const volume = ordered[index] as Volume;
    if (isListed(volume)) views.push(viewVolume(parts, state, volume));
  }
  return views;
}

function listedVolume(state: NodeState, uuid: Incarnation, isListed: (volume: Volume) => boolean): Volume {
  const volume = state.volumes.get(uuid);
  if (volume !== undefined && isListed(volume)) return volume;
  throw new HoldfastError("invalid", `Cannot continue behind volume ${uuid}: it is not in the list any more`);
}

/** The ACLs are asked once for each role. */
export function visibleTo(parts: Parts, actor: Actor): (role: Role) => boolean {
  const known = new Map<Role, boolean>();
  return (role) => {
    const visible = known.get(role) ?? mayView(parts.acls(), actor, role);
    known.set(role, visible);
    return visible;
  };
}

/** A label without a value stands for every value. */
export function hasLabel({ note }: Volume, { key, value }: Label): boolean {
  return note?.labels?.some((label) => label.key === key && (value === undefined || label.value === value)) ?? false;
}

export function findVolume(parts: Parts, state: NodeState, actor: Actor, role: Role, id: VolumeId): VolumeView {
  if (!mayView(parts.acls(), actor, role)) {
    throw new HoldfastError("forbidden", `Cannot show volume ${role}/${id}: its role may not be viewed`);
  }
  const volume = state.live(role, id) ?? state.retired(role, id)[0];
  if (volume === undefined)
    throw new HoldfastError("no_such_volume", `Cannot show volume ${role}/${id}: there is none`);
  return viewVolume(parts, state, volume);
}

export function viewContainer(parts: Parts, state: NodeState, container: Container): ContainerView {
  return {
    container,
    attachments: container.attachments.flatMap((attachment) => {
      const volume = state.volumes.get(attachment.uuid);
      if (volume === undefined) return [];
      const problem = parts.observations.mounts.get(attachmentKey(container.id, attachment.uuid));
      return [{ attachment, role: volume.role, id: volume.id, ...(problem === undefined ? {} : { problem }) }];
    }),
  };
}

/** Every container, as far as the actor may view its volumes; with those who are seen to have what engines mount. */
export async function viewContainers(parts: Parts, actor: Actor): Promise<readonly ContainerView[]> {
  const lent = lentVolumes(parts.ledger.state);
  const mounts = lent.length === 0 ? [] : await lookElsewhere(parts, lent);
  return parts.ledger.read((state) =>
    [...state.containers.values()].map((container) => {
      const attachments = viewContainer(parts, state, container).attachments.filter(({ role }) =>
        mayView(parts.acls(), actor, role),
      );
      const uuids = attachments.map(({ attachment }) => attachment.uuid);
      const holders = mountsOfBorrowers(state, mounts).filter(({ uuid }) => uuids.includes(uuid));
      return {
        container: { ...container, attachments: attachments.map(({ attachment }) => attachment) },
        attachments,
        ...(container.sandbox === undefined ? { holders: holders.map(holderView) } : {}),
      };
    }),
  );
}

/** Who has a volume in another mount namespace now; nothing is said where that cannot be found out. */
export async function viewHolders(parts: Parts, uuid: Incarnation): Promise<Pick<VolumeView, "holders">> {
  const mounts = await lookElsewhere(parts, [uuid]);
  return mounts.length === 0 ? {} : { holders: mounts.map(holderView) };
}

async function lookElsewhere(parts: Parts, uuids: readonly Incarnation[]): Promise<readonly HeldMount[]> {
  if (parts.mounter.backend === "symlink") return [];
  return parts.holders.mounts(uuids, "elsewhere").catch(() => []);
}

function holderView({ pid, command, cgroup, mountPoint }: HeldMount): HolderView {
  return { pid, command, cgroup, mountPoint, ...containerOf(cgroup) };
}

export function countStates(parts: Parts, state: NodeState): Record<VolumeState, number> {
  const counts: Record<VolumeState, number> = {
    adopting: 0,
    copying: 0,
    detached: 0,
    attaching: 0,
    attached: 0,
    detaching: 0,
    lingering: 0,
    damaged: 0,
    destroying: 0,
    retained: 0,
    collecting: 0,
  };
  for (const volume of state.volumes.values()) counts[volumeState(parts, state, volume)] += 1;
  return counts;
}

/** So many are shown of what may be thousands. */
const LATEST_CONTAINERS = 10;
const NEXT_COLLECTED = 5;
const DAY_MS = 24 * 3_600_000;

export function latestContainers(state: NodeState): NodeStatus["latestContainers"] {
  const latest = firstOf(state.containers.values(), LATEST_CONTAINERS, (left, right) => right.since - left.since);
  return latest.map(({ id, runtime, since, attachments }) => ({
    id,
    ...(runtime === undefined ? {} : { runtime }),
    since,
    volumes: attachments.length,
  }));
}

/** What is not pinned. */
type Planned = Candidate & { readonly dueAt: WallMs };

function isPlanned(candidate: Candidate): candidate is Planned {
  return candidate.dueAt !== undefined;
}

/** One look at every volume, however many there are. */
export function viewCollection(parts: Parts, state: NodeState, actor: Actor): NodeStatus["collection"] {
  const moment = momentNow(parts);
  const visible = visibleTo(parts, actor);
  const candidates: Planned[] = [];
  for (const volume of state.volumes.values()) {
    if (volume.phase !== "retained" && volume.phase !== "collecting") continue;
    if (!visible(volume.role)) continue;
    const candidate = assess(volume, parts.gc, moment, diskState(parts, volume.source));
    if (isPlanned(candidate)) candidates.push(candidate);
  }
  const next = firstOf(candidates, NEXT_COLLECTED, (left, right) => left.dueAt - right.dueAt);
  return {
    next: next.map(({ volume, dueAt }) => ({ volume, dueAt })),
    dueWithinDay: candidates.filter(({ dueAt }) => dueAt <= moment.now + DAY_MS).length,
    sandboxes: actor.kind === "peer" ? state.sandboxes.size : 0,
  };
}

/** The first of many in an order, without sorting them all. */
function firstOf<T>(items: Iterable<T>, count: number, compare: (left: T, right: T) => number): T[] {
  const first: T[] = [];
  for (const item of items) {
    const last = first[count - 1];
    if (last !== undefined && compare(item, last) >= 0) continue;
    first.push(item);
    first.sort(compare);
    first.length = Math.min(first.length, count);
  }
  return first;
}

/** Each disk with what is declared, reserved, under volumes and retained on it. */
export async function viewDisks(
  parts: Parts,
  state: NodeState,
): Promise<{ readonly disks: NodeStatus["disks"]; readonly problems: readonly string[] }> {
  const problems: string[] = [];
  const accounts = await accountVolumes(parts);
  const sizes = sizesByDisk(state);
  const disks = await Promise.all(
    [...parts.disks].map(async ([key, disk]) => ({
      source: disk.source,
      root: disk.root,
      fileSystem: disk.fileSystem.type,
      // A disk that cannot be measured is among the problems; the others are shown all the same.
      ...(await measureDisk(parts, disk).catch((error: unknown) => {
        if (!parts.observations.closedDisks.has(key))
          problems.push(`Disk ${disk.root} cannot be measured: ${messageOf(error)}`);
        return { totalBytes: 0, freeBytes: 0 };
      })),
      declaredMb: toMb(declaredOf(parts, key)),
      reservedMb: toMb(sizes(key).reserved),
      volumesMb: toMb(sizes(key).volumes),
      retainedMb: toMb(sizes(key).retained),
      pinnedMb: toMb(sizes(key).pinned),
      ...(accounts.get(key) ?? NO_ACCOUNT),
      enforcement: disk.enforcement,
    })),
  );
  return { disks, problems };
}

interface DiskSizes {
  reserved: MilliMb;
  volumes: MilliMb;
  retained: MilliMb;
  pinned: MilliMb;
}

function sizesByDisk(state: NodeState): (key: string) => Readonly<DiskSizes> {
  const sizes = new Map<string, DiskSizes>();
  const of = (key: string): DiskSizes => {
    const entry = sizes.get(key) ?? { reserved: ZERO_MB, volumes: ZERO_MB, retained: ZERO_MB, pinned: ZERO_MB };
    sizes.set(key, entry);
    return entry;
  };
  for (const { source, reservations, total } of state.pools) {
    const disk = of(sourceKey(source));
    if (reservations.length === 1) disk.reserved = addSizes(disk.reserved, total);
  }
  for (const { source, phase, pinned, size } of state.volumes.values()) {
    const disk = of(sourceKey(source));
    if (phase === "live") disk.volumes = addSizes(disk.volumes, size);
    else disk.retained = addSizes(disk.retained, size);
    if (pinned === true) disk.pinned = addSizes(disk.pinned, size);
  }
  return of;
}

/** Everything an operator must look at, one sentence each, with what to do. */
export function listProblems(parts: Parts, state: NodeState): string[] {
  const { observations } = parts;
  const problems: string[] = [];
  for (const { table, key, reason } of parts.ledger.damaged) {
    problems.push(`The record ${key} in ${table} is damaged (${reason}): stop the daemon and run holdfast rebuild`);
  }
  const lost = new Map<string, number>();
  for (const volume of state.volumes.values()) {
    const key = sourceKey(volume.source);
    if (parts.disks.absent.has(key)) {
      lost.set(key, (lost.get(key) ?? 0) + 1);
      continue;
    }
    const problem =
      observations.damage.get(volume.uuid) ?? observations.failureOf(volume.uuid) ?? spaceProblem(parts, volume);
    if (problem !== undefined) problems.push(`Volume ${nameOf(volume)}: ${problem}`);
  }
  for (const { path } of state.sandboxes.values()) {
    const problem = observations.failureOf(path);
    if (problem !== undefined) problems.push(`Sandbox ${path}: ${problem}`);
  }
  for (const [key, absence] of parts.disks.absent) problems.push(problemOf(absence, lost.get(key) ?? 0));
  for (const [key, problem] of observations.mounts) problems.push(`Container ${key.split(" ")[0]}: ${problem}`);
  for (const [key, reason] of observations.closedDisks) {
    if (!parts.disks.absent.has(key)) problems.push(`Disk ${key} takes no new reservations: ${reason}`);
  }
  for (const [key, disk] of parts.disks) {
    if (diskState(parts, disk.source).inDanger) problems.push(dangerOn(parts, key));
  }
  for (const orphan of observations.orphans) {
    problems.push(
      `No record names ${orphan}: look into it, then remove it or stop the daemon and run holdfast rebuild`,
    );
  }
  return problems;
}

function spaceProblem({ observations }: Parts, { uuid, size }: Volume): string | undefined {
  const usedBytes = observations.oversized.get(uuid);
  if (usedBytes !== undefined) {
    return `it takes ${mb(usedBytes)} MB and has ${toMb(size)} MB: grow it, or see to what writes there`;
  }
  const looseness = observations.loose.get(uuid);
  return looseness === undefined ? undefined : `it is not held to its size: ${looseness}`;
}

function dangerOn({ observations }: Parts, key: string): string {
  const free = mb(observations.usage.get(key)?.freeBytes ?? 0);
  const promised = mb(observations.promised.get(key) ?? 0);
  const cure = "retained volumes are collected early, make room for the rest";
  return `Disk ${key} has ${free} MB free and its volumes may still fill ${promised} MB: ${cure}`;
}

function mb(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_MB);
}
