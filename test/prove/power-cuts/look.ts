/** Looks at a node in the guest, by the daemon's answers and on its disk. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type {
  ContainersJson,
  ResourcesJson,
  StatusJson,
  VolumeJson,
  VolumesJson,
} from "../../../src/faces/http/wire.ts";
import { type Door, requestJson } from "../../e2e/request.ts";
import { describeContent, type Holding, NOTHING, type Volume, withVolume } from "./holding.ts";

export interface Look {
  /** By role. */
  readonly holdings: ReadonlyMap<string, Holding>;
  /** What may not be, whatever anybody was told. */
  readonly faults: readonly string[];
}

const SETTLE_MS_MAX = 20_000;
const SETTLE_POLL_MS = 50;

/** Once nothing is on its way any more. */
export async function look(socket: Door, workRoot: string): Promise<Look> {
  const endMs = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const [{ volumes }, { resources }, { containers }, { problems, recovery }] = await Promise.all([
      requestJson<VolumesJson>(socket, { path: "/v1/volumes" }),
      requestJson<ResourcesJson>(socket, { path: "/v1/resources" }),
      requestJson<ContainersJson>(socket, { path: "/v1/containers" }),
      requestJson<StatusJson>(socket, { path: "/v1/status" }),
    ]);
    const orphans = orphansIn(workRoot, volumes);
    const isSettled = problems.length === 0 && orphans.length === 0 && volumes.every(isAtRest);
    if (!isSettled && performance.now() < endMs) {
      await sleep(SETTLE_POLL_MS);
      continue;
    }
    const faults = [
      ...volumes.filter((volume) => !isAtRest(volume)).map(({ id, state }) => `${id} stays ${state}`),
      ...problems.map((problem) => `a problem is shown: ${problem}`),
      ...[...orphans, ...recovery.orphans].map((orphan) => `${orphan} is an orphan`),
      ...containers.map(({ id }) => `container ${id} has outlived the power cut`),
    ];
    return { holdings: holdingsOf(volumes, resources), faults };
  }
}

function isAtRest({ state }: VolumeJson): boolean {
  return state === "detached" || state === "retained";
}

/** Every directory with a label or content is a volume's: a live one's in `volumes`, a retained one's in `trash`. */
function orphansIn(workRoot: string, volumes: readonly VolumeJson[]): readonly string[] {
  const known = new Set(volumes.map(({ path: content }) => path.dirname(content)));
  return ["volumes", "trash"].flatMap((folder) =>
    readdirSync(path.join(workRoot, folder))
      .map((name) => path.join(workRoot, folder, name))
      .filter((directory) => !known.has(directory) && isUsed(directory)),
  );
}

/** Files that lie where volumes were mounted, instead of in them. */
export function strayFilesIn(sandboxes: string): readonly string[] {
  if (!existsSync(sandboxes)) return [];
  const entries = readdirSync(sandboxes, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => `${path.join(parentPath, name)} is no volume's`);
}

/** A spare is empty. */
function isUsed(directory: string): boolean {
  const content = path.join(directory, "content");
  return existsSync(path.join(directory, "label")) || (existsSync(content) && readdirSync(content).length > 0);
}

function holdingsOf(volumes: readonly VolumeJson[], resources: readonly object[]): ReadonlyMap<string, Holding> {
  const holdings = new Map<string, Holding>();
  for (const { scalar, reservations } of resources as readonly Resource[]) {
    const role = reservations?.at(-1)?.role;
    if (role === undefined) continue;
    const { reservedMb, ...rest } = holdings.get(role) ?? NOTHING;
    holdings.set(role, { ...rest, reservedMb: reservedMb + scalar.value });
  }
  for (const volume of volumes) {
    const { role } = volume;
    holdings.set(role, withVolume(holdings.get(role) ?? NOTHING, volumeOf(volume)));
  }
  return holdings;
}

/** Disk in Mesos's form, free or under a live volume. */
interface Resource {
  readonly scalar: { readonly value: number };
  readonly reservations?: readonly { readonly role: string }[];
}

function volumeOf({ id, sizeMb, state, path: content, ...marks }: VolumeJson): Volume {
  const names = existsSync(content) ? readdirSync(content) : [];
  const files = names.map((name): [string, string] => [name, describeContent(readFileSync(path.join(content, name)))]);
  return {
    id,
    sizeMb,
    state: state === "retained" ? "retained" : "live",
    isMarked: marks.protected === true || marks.pinned === true,
    files: new Map(files),
  };
}
