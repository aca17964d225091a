/**
 * A real node: a work root that the real daemon made, with volumes of every kind, killed in the middle of its life; what
 * it was then, and earlier.
 */
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { StatusJson, VolumeJson } from "../../../src/faces/http/wire.ts";
import { Daemon } from "../../e2e/daemon.ts";
import { makePlace, type Place } from "../../e2e/place.ts";
import { requestJson } from "../../e2e/request.ts";
import { type Generation, type Generations, readGeneration, trimLog } from "./history.ts";
import { placeCheckpoint } from "./place.ts";

const WEB = { type: "DYNAMIC", role: "web" };
const SIZE_MB = 1024;

export interface Node {
  readonly daemon: Daemon;
  readonly meta: string;
  /** More options of every command. */
  readonly options: readonly string[];
  readonly generations: Generations;
  readonly volumes: readonly VolumeJson[];
  /** Labels of the volumes by their paths. */
  readonly labels: ReadonlyMap<string, Buffer>;
  /** Labels as they were earlier. */
  readonly olderLabels: ReadonlyMap<string, Buffer>;
  /** Puts everything back as it was, other than directories that were moved: then false. The daemon must be down. */
  restore(): boolean;
  /** Every content that is not where it was left, neither among the volumes nor in trash. */
  lostContents(): readonly string[];
  remove(): Promise<void>;
}

export async function makeNode(): Promise<Node> {
  const place = await makePlace("corruption");
  try {
    return await furnish(place);
  } catch (error) {
    await place.remove();
    throw error;
  }
}

async function furnish(place: Place): Promise<Node> {
  const disk = path.join(place.dir, "disk");
  await mkdir(disk);
  const options = ["--resources", resources(disk), "--mount-backend", "symlink"];
  const daemon = await Daemon.start({ dir: place.dir, args: options });
  try {
    return await live(place, daemon, { disk, options });
  } catch (error) {
    await daemon.kill9();
    throw error;
  }
}

async function live(
  place: Place,
  daemon: Daemon,
  { disk, options }: { readonly disk: string; readonly options: readonly string[] },
): Promise<Node> {
  const meta = path.join(daemon.workRoot, "meta");
  const far = { source: { type: "PATH", path: { root: disk } } };
  const older: Generation[] = [];
  await operate(
    daemon,
    reserve(),
    reserve(far),
    create("plain"),
    create("grown"),
    create("doomed"),
    create("away", far),
  );
  await daemon.stop();
  older.push(readGeneration(meta));
  const olderLabels = readLabels([daemon.workRoot, disk]);

  await daemon.start();
  await operate(daemon, create("later"), { ...(await growth(daemon, "grown")) });
  await daemon.stop();
  older.push(readGeneration(meta));

  await daemon.start();
  await operate(daemon, create("last"), await destruction(daemon, "doomed"));
  const sandbox = path.join(place.dir, "sandbox");
  await mkdir(sandbox);
  const body = { sandbox, volumes: [{ role: "web", id: "plain" }] };
  await requestJson(daemon.socket, { method: "PUT", path: "/v1/containers/c1", body });
  const volumes = await volumesOf(daemon);
  for (const volume of volumes) await writeFile(path.join(volume.path, "content"), volume.uuid);
  await daemon.kill9();
  const last = trimLog(readGeneration(meta));
  // Everything in the file, and the labels on disk.
  await daemon.start();
  await daemon.stop();
  const stopped = readGeneration(meta);

  const roots = [daemon.workRoot, disk];
  const labels = readLabels(roots);
  const listing = listingOf(roots);
  return {
    daemon,
    meta,
    options,
    generations: { last, stopped, older },
    volumes,
    labels,
    olderLabels,
    restore: () => {
      placeCheckpoint(meta, last);
      if (listingOf(roots) !== listing) return false;
      for (const [file, bytes] of labels) writeFileSync(file, bytes);
      return true;
    },
    lostContents: () => volumes.filter(({ uuid }) => !hasContent(roots, uuid)).map(({ role, id }) => `${role}/${id}`),
    remove: async () => {
      await daemon.kill9();
      await place.remove();
    },
  };
}

export async function volumesOf(daemon: Daemon): Promise<readonly VolumeJson[]> {
  return (await requestJson<{ volumes: readonly VolumeJson[] }>(daemon.socket, { path: "/v1/volumes" })).volumes;
}

export function statusOf(daemon: Daemon): Promise<StatusJson> {
  return requestJson<StatusJson>(daemon.socket, { path: "/v1/status" });
}

function operate(daemon: Daemon, ...operations: readonly object[]): Promise<unknown> {
  return requestJson(daemon.socket, {
    method: "POST",
    path: "/v1/operations",
    body: { id: randomUUID(), operations },
  });
}

function resources(disk: string): string {
  const scalar = { value: SIZE_MB };
  const item = { name: "disk", type: "SCALAR", scalar, role: "*" };
  return JSON.stringify([item, { ...item, disk: { source: { type: "PATH", path: { root: disk } } } }]);
}

function resource(sizeMb: number, disk?: object): object {
  return { name: "disk", type: "SCALAR", scalar: { value: sizeMb }, reservations: [WEB], ...(disk && { disk }) };
}

function reserve(disk?: object): object {
  return { type: "RESERVE", reserve: { resources: [resource(SIZE_MB / 2, disk)] } };
}

function create(id: string, disk: object = {}): object {
  const volume = { mode: "RW", container_path: "data" };
  return { type: "CREATE", create: { volumes: [resource(16, { ...disk, persistence: { id }, volume })] } };
}

async function resourceOf(daemon: Daemon, id: string): Promise<object> {
  const found = (await volumesOf(daemon)).find((volume) => volume.id === id);
  if (found === undefined) throw new Error(`There is no volume ${id}`);
  return found.resource;
}

async function growth(daemon: Daemon, id: string): Promise<object> {
  return { type: "GROW_VOLUME", grow_volume: { volume: await resourceOf(daemon, id), addition: resource(16) } };
}

async function destruction(daemon: Daemon, id: string): Promise<object> {
  return { type: "DESTROY", destroy: { volumes: [await resourceOf(daemon, id)] } };
}

/** Every directory with a label, and every disk's own label. */
function labelledIn(root: string): string[] {
  return ["volumes", "trash"].flatMap((folder) =>
    readdirSync(path.join(root, folder))
      .map((name) => path.join(root, folder, name, "label"))
      .filter((label) => existsSync(label)),
  );
}

function readLabels(roots: readonly string[]): ReadonlyMap<string, Buffer> {
  const files = roots.flatMap((root) => [path.join(root, "label"), ...labelledIn(root)]);
  return new Map(files.map((file) => [file, readFileSync(file)]));
}

function listingOf(roots: readonly string[]): string {
  return roots
    .flatMap((root) =>
      ["volumes", "trash"].flatMap((folder) =>
        readdirSync(path.join(root, folder))
          .filter((name) => existsSync(path.join(root, folder, name, "content/content")))
          .map((name) => `${folder}/${name}`),
      ),
    )
    .sort()
    .join("\n");
}

function hasContent(roots: readonly string[], uuid: string): boolean {
  const files = roots.flatMap((root) =>
    ["volumes", "trash"].map((folder) => path.join(root, folder, uuid, "content/content")),
  );
  return files.some((file) => existsSync(file) && readFileSync(file, "utf8") === uuid);
}
