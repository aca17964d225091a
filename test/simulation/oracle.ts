/** What must be true of a node that has recovered, whatever happened before. */

import { isActive } from "../../src/domain/app-members.ts";
import { freeOf, NodeState } from "../../src/domain/node.ts";
import type { Change, Container, Volume } from "../../src/domain/records.ts";
import { TABLES } from "../../src/domain/records.ts";
import { toBytes } from "../../src/domain/units.ts";
import type { StoreContents } from "../../src/ports/store.ts";
import { disk } from "../domain/world.ts";
import { keyOf } from "../fakes/memory-mounter.ts";
import { DECLARED_MB, SANDBOX_NAMES, type World } from "./world.ts";

/** Everything that is wrong, one sentence each. */
export async function violations(world: World): Promise<string[]> {
  const contents = world.store.contents();
  const volumes = [...contents.records.volumes.values()];
  const containers = [...contents.records.containers.values()];
  return [
    ...lostVolumes(world, contents),
    ...lostStrays(world, contents),
    ...wrongSandboxes(world, contents),
    ...volumes.flatMap((volume) => wrongPlace(world, volume)),
    ...volumes.flatMap((volume) => wrongLabel(world, volume)),
    ...volumes.flatMap((volume) => wrongLimit(world, volume)),
    ...sharedProjects(volumes),
    ...(await orphans(world, contents)),
    ...wrongSizes(contents),
    ...wrongApps(contents),
    ...(await wrongMounts(world, contents, containers)),
    ...volumes.flatMap((volume) => wrongUse(world, volume, containers)),
  ];
}

/** Whatever was there once still is, unless somebody asked for its end. */
function lostVolumes(world: World, contents: StoreContents): string[] {
  return [...world.files.keys()]
    .filter((uuid) => !contents.records.volumes.has(uuid) && !world.mayGo.has(uuid))
    .map((uuid) => `Volume ${uuid} is not remembered any more`);
}

/** An app has all volumes of all its instances, and no other volume says that it is an app's. */
function wrongApps({ records }: StoreContents): string[] {
  const members = [...records.apps.values()].flatMap((app) => app.members.map((member) => ({ app, member })));
  const owned = new Map(members.flatMap(({ member }) => member.volumes.map(({ uuid }) => [uuid, member.id] as const)));
  const live = [...records.volumes.values()].filter(({ phase }) => phase === "live");
  const liveIds = new Set(live.map(({ uuid }) => uuid));
  return [
    ...[...owned].filter(([uuid]) => !liveIds.has(uuid)).map(([uuid, id]) => `Instance ${id} has lost volume ${uuid}`),
    ...live
      .filter(({ uuid, app }) => app?.instance !== owned.get(uuid))
      .map(({ uuid, app }) => `Volume ${uuid} says that it is of instance ${app?.instance}`),
    ...members
      .filter(({ app, member }) => member.volumes.length !== app.volumes.length)
      .map(({ member }) => `Instance ${member.id} is half made`),
    ...[...records.apps.values()]
      .filter((app) => app.members.filter(isActive).length < app.instances)
      .map(({ id }) => `App ${id} has fewer instances than it wants`),
  ];
}

/** What was to be adopted is where it was, or a volume. */
function lostStrays(world: World, contents: StoreContents): string[] {
  const inodes = new Set([...contents.records.volumes.values()].map(({ directory }) => directory.ino));
  return [...world.strays]
    .filter(([path, ino]) => world.disk.foreign().includes(path) === inodes.has(ino))
    .map(([path, ino]) => `Directory ${path} is ${inodes.has(ino) ? "both there and" : "neither there nor"} a volume`);
}

/** A sandbox is whole, or gone with its record; and no volume went with one. */
function wrongSandboxes(world: World, contents: StoreContents): string[] {
  const { sandboxes } = contents.records;
  const halfDone = [...sandboxes.values()].filter(
    ({ path, collecting }) => collecting === true || world.sandboxes.names(path) !== SANDBOX_NAMES,
  );
  const lost = [...world.boxes].filter((path) => !world.sandboxes.has(path));
  return [
    ...halfDone.map(({ path }) => `Sandbox ${path} is half collected, or remembered and gone`),
    ...lost.map((path) => `Sandbox ${path} is gone, and nobody asked for that`),
    ...world.sandboxes.disasters.map((place) => `A sandbox was deleted with what is mounted at ${place}`),
  ];
}

function wrongPlace(world: World, volume: Volume): string[] {
  const { uuid, phase } = volume;
  const expected = world.filesIn(volume);
  const inVolumes = world.disk.examine(uuid).state;
  const inTrash = world.disk.examineTrash(uuid).state;
  const found: string[] = [];
  const isRight = phase === "live" ? inVolumes === "present" : phase === "retained" && inTrash === "present";
  if (!isRight) found.push(`Volume ${uuid} is ${phase}, ${inVolumes} under volumes and ${inTrash} in trash`);
  else if (world.disk.files(uuid) !== expected) {
    found.push(`Volume ${uuid} has ${world.disk.files(uuid)} files, ${expected} were written`);
  }
  return found;
}

function wrongLabel(world: World, volume: Volume): string[] {
  const { uuid, id, revision, phase } = volume;
  const label = world.disk.label(uuid);
  // A volume that was created and destroyed in one list never had one; a destroyed one keeps that of its life.
  if (phase !== "live") return label === undefined && world.files.get(uuid) ? [`Volume ${uuid} lost its label`] : [];
  if (label?.revision !== revision) return [`The label of ${uuid} has revision ${label?.revision}, not ${revision}`];
  if (label.id !== id) return [`The label of ${uuid} says ${label.id}, not ${id}`];
  if (world.disk.link(volume) === uuid || world.doubtfulLinks.has(id)) return [];
  return [`The symlink of ${volume.role}/${id} points to ${world.disk.link(volume)}, not ${uuid}`];
}

/** What the kernel should hold to its size it does, by the project id that is recorded. */
function wrongLimit(world: World, { uuid, size, phase, projectId, directory }: Volume): string[] {
  if (world.disk.enforcement.by === "nothing" || phase !== "live") return [];
  const limit = world.disk.limitOf(uuid);
  const project = world.disk.projectOf(uuid);
  // What was adopted has yet to be looked at, file by file.
  if (project === undefined && world.strayInodes.has(directory.ino)) return [];
  if (project !== projectId) return [`Volume ${uuid} has project id ${project}, recorded is ${projectId}`];
  return limit === toBytes(size) ? [] : [`Volume ${uuid} is held to ${limit} bytes, its size is ${toBytes(size)}`];
}

function sharedProjects(volumes: readonly Volume[]): string[] {
  const ids = volumes.flatMap(({ projectId }) => projectId ?? []);
  return new Set(ids).size === ids.length ? [] : [`Two volumes have one project id: ${ids}`];
}

async function orphans(world: World, contents: StoreContents): Promise<string[]> {
  const { volumes, trash } = await world.disk.list(() => false);
  return [...volumes, ...trash]
    .filter((uuid) => !contents.records.volumes.has(uuid))
    .map((uuid) => `Directory ${uuid} has no record`);
}

function wrongSizes(contents: StoreContents): string[] {
  const state = new NodeState([disk(DECLARED_MB)]);
  for (const table of TABLES) {
    for (const [key, value] of contents.records[table]) state.apply({ table, key, value } as Change);
  }
  const pools = [...state.pools].filter((pool) => freeOf(pool) < 0);
  const pinned = [...state.volumes.values()].filter((volume) => volume.pinned === true);
  const total = [...state.resources(), ...pinned].reduce((sum, { size }) => sum + size, 0);
  return [
    ...pools.map((pool) => `Pool ${pool.key} has ${freeOf(pool)} free`),
    ...(total === DECLARED_MB * 1_000 ? [] : [`${DECLARED_MB * 1_000} was declared, ${total} is there`]),
  ];
}

async function wrongMounts(world: World, contents: StoreContents, containers: readonly Container[]): Promise<string[]> {
  const found: string[] = [];
  const expected = new Set<string>();
  for (const { id, sandbox, process, bootId, attachments } of containers) {
    if (bootId !== world.clock.bootId()) found.push(`Container ${id} is of another boot`);
    for (const attachment of attachments) {
      const { uuid, containerPath, phase, mount, ...rest } = attachment;
      if (phase === "lingering" || sandbox === undefined || mount?.backend === "lent") continue;
      if (phase !== "attached") found.push(`Volume ${uuid} is still ${phase} to ${id}`);
      const target = { sandbox, containerPath, ...(process === undefined ? {} : { process }) };
      const place = keyOf(target);
      if (expected.has(place)) found.push(`Two attachments claim ${place}`);
      expected.add(place);
      const volume = contents.records.volumes.get(uuid);
      if (volume === undefined) continue;
      const { directory } = volume;
      const { state } = await world.mounter.inspect({
        ...rest,
        ...(mount === undefined ? {} : { mount }),
        ...target,
        uuid,
        directory,
        diskRoot: world.disk.root,
      });
      if (state !== "exact") found.push(`Volume ${uuid} is ${phase} at ${place}, where its mount is ${state}`);
    }
  }
  for (const place of world.mounter.places()) {
    if (!expected.has(place)) found.push(`Something is mounted at ${place}, and no record says so`);
  }
  return found;
}

function wrongUse(world: World, volume: Volume, containers: readonly Container[]): string[] {
  const users = containers.filter(({ attachments }) => attachments.some(({ uuid }) => uuid === volume.uuid));
  const found: string[] = [];
  if (!volume.shared && users.length > 1)
    found.push(`Exclusive volume ${volume.uuid} has ${users.map(({ id }) => id)}`);
  if (users.length > 0 && volume.phase !== "live") found.push(`Volume ${volume.uuid} is ${volume.phase} and attached`);
  const isHeld = world.holders.holding.some(({ uuid }) => uuid === volume.uuid);
  if (isHeld && users.length === 0) found.push(`Volume ${volume.uuid} is held by a process and by no record`);
  return found;
}
