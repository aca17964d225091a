/** What a client may ask for: the requests, and what the client has when they are done. */
import type { GcJson, VolumesJson } from "../../../src/faces/http/wire.ts";
import type { Call } from "../../e2e/request.ts";
import type { Chance } from "../../simulation/chance.ts";
import { freeMb, type Holding, type Volume, withoutVolume, withVolume } from "./holding.ts";

export interface Means {
  readonly role: string;
  readonly holding: Holding;
  readonly chance: Chance;
  /** A name that was never given to anything. */
  readonly name: () => string;
  /** Makes the directory, and returns its path. */
  readonly makeSandbox: (container: string) => Promise<string>;
  /** What the daemon says to a request that must work. */
  readonly ask: <T>(call: Call) => Promise<T>;
}

interface Request {
  readonly call: Call;
  readonly after: Holding;
  /** Whether a success means that it was done: a collection also says what stays. */
  readonly isDone?: (answer: string) => boolean;
}

/** `undefined` when the client has nothing for it. */
type Step = (means: Means) => Request | undefined | Promise<Request | undefined>;

const UNIT_MB = 4;
/** Nobody keeps more for later. */
const FREE_MB_MAX = 64;
const PATH = "data";

export const STEPS: Readonly<Record<string, Step>> = {
  reserve: (means) => {
    if (freeMb(means.holding) > FREE_MB_MAX) return undefined;
    const sizeMb = UNIT_MB * (1 + means.chance.below(8));
    const after = { ...means.holding, reservedMb: means.holding.reservedMb + sizeMb };
    return operations(means, after, reserve(means, sizeMb));
  },
  unreserve: (means) => {
    const { holding } = means;
    if (freeMb(holding) < UNIT_MB) return undefined;
    const sizeMb = UNIT_MB * (1 + means.chance.below(freeMb(holding) / UNIT_MB));
    const after = { ...holding, reservedMb: holding.reservedMb - sizeMb };
    return operations(means, after, { type: "UNRESERVE", unreserve: { resources: [disk(means, sizeMb)] } });
  },
  create: (means) => {
    const made = [newVolume(means), newVolume(means)].slice(means.chance.below(2));
    if (freeMb(means.holding) < UNIT_MB * made.length) return undefined;
    return operations(means, withVolume(means.holding, ...made), create(means, made));
  },
  // All of it or nothing.
  list: (means) => {
    const doomed = pick(means, isIdle);
    if (doomed === undefined || freeMb(means.holding) > FREE_MB_MAX) return undefined;
    const made = [newVolume(means), newVolume(means)];
    const reserved = { ...means.holding, reservedMb: means.holding.reservedMb + UNIT_MB * made.length };
    const after = withVolume(reserved, ...made, { ...doomed, state: "retained" });
    const reserving = reserve(means, UNIT_MB * made.length);
    return operations(means, after, reserving, create(means, made), destroy(means, doomed));
  },
  grow: (means) => {
    const volume = pick(means, isIdle);
    if (volume === undefined || freeMb(means.holding) < UNIT_MB) return undefined;
    const after = withVolume(means.holding, { ...volume, sizeMb: volume.sizeMb + UNIT_MB });
    const grow_volume = { volume: described(means, volume), addition: disk(means, UNIT_MB) };
    return operations(means, after, { type: "GROW_VOLUME", grow_volume });
  },
  destroy: (means) => {
    const volume = pick(means, isIdle);
    if (volume === undefined) return undefined;
    return operations(means, withVolume(means.holding, { ...volume, state: "retained" }), destroy(means, volume));
  },
  restore: (means) => {
    const { role, holding } = means;
    const volume = pick(means, ({ state }) => state === "retained");
    if (volume === undefined) return undefined;
    // What is missing comes from disk that nobody has reserved.
    const reservedMb = holding.reservedMb + Math.max(0, volume.sizeMb - freeMb(holding));
    const after = withVolume({ ...holding, reservedMb }, { ...volume, state: "live", isMarked: false });
    return { call: post("/v1/volumes/restore", { role, id: volume.id }), after };
  },
  collect: async ({ role, ask, ...means }) => {
    const volume = pick(means, ({ state, isMarked }) => state === "retained" && !isMarked);
    if (volume === undefined) return undefined;
    const { volumes } = await ask<VolumesJson>({ path: `/v1/volumes?role=${role}&state=retained` });
    const uuids = volumes.filter(({ id }) => id === volume.id).map(({ uuid }) => uuid);
    return { call: post("/v1/gc", { uuids }), after: withoutVolume(means.holding, volume.id), isDone: hasCollected };
  },
  mark: (means) => {
    const volume = pick(means, () => true);
    if (volume === undefined) return undefined;
    const kind = volume.state === "live" ? "protect" : "pin";
    const call = post(`/v1/volumes/${volume.isMarked ? "un" : ""}${kind}`, { role: means.role, id: volume.id });
    return { call, after: withVolume(means.holding, { ...volume, isMarked: !volume.isMarked }) };
  },
  attach: async ({ role, holding, name, makeSandbox, ...means }) => {
    const free = [...holding.volumes.values()].filter(({ state, container }) => state === "live" && !container);
    const given = means.chance.some(free).slice(0, 2);
    if (given.length === 0) return undefined;
    const container = name();
    const sandbox = await makeSandbox(container);
    const volumes = given.map(({ id }) => ({ role, id, containerPath: id }));
    const call = { method: "PUT", path: `/v1/containers/${container}`, body: { sandbox, volumes } };
    return { call, after: withVolume(holding, ...given.map((volume) => ({ ...volume, container }))) };
  },
  detach: (means) => {
    const container = pick(means, isAttached)?.container;
    if (container === undefined) return undefined;
    const given = [...means.holding.volumes.values()].filter((volume) => volume.container === container);
    const freed = given.map(({ container: _, ...volume }) => volume);
    return {
      call: { method: "DELETE", path: `/v1/containers/${container}` },
      after: withVolume(means.holding, ...freed),
    };
  },
};

export function isAttached({ container }: Volume): boolean {
  return container !== undefined;
}

export function pick(
  { holding, chance }: Pick<Means, "holding" | "chance">,
  wanted: (volume: Volume) => boolean,
): Volume | undefined {
  const found = [...holding.volumes.values()].filter(wanted);
  return found.length === 0 ? undefined : chance.pick(found);
}

/** Nobody has it, and nobody protects it. */
function isIdle({ state, container, isMarked }: Volume): boolean {
  return state === "live" && container === undefined && !isMarked;
}

function newVolume({ name }: Means): Volume {
  return { id: name(), sizeMb: UNIT_MB, state: "live", isMarked: false, files: new Map() };
}

function hasCollected(answer: string): boolean {
  return (JSON.parse(answer) as GcJson).collected?.length === 1;
}

function operations(means: Means, after: Holding, ...list: readonly object[]): Request {
  return { call: post("/v1/operations", { id: means.name(), operations: list }), after };
}

function post(address: string, body: object): Call {
  return { method: "POST", path: address, body };
}

function reserve(means: Means, sizeMb: number): object {
  return { type: "RESERVE", reserve: { resources: [disk(means, sizeMb)] } };
}

function create(means: Means, volumes: readonly Volume[]): object {
  return { type: "CREATE", create: { volumes: volumes.map((volume) => described(means, volume)) } };
}

function destroy(means: Means, volume: Volume): object {
  return { type: "DESTROY", destroy: { volumes: [described(means, volume)] } };
}

function disk({ role }: Means, sizeMb: number, extra: object = {}): object {
  const reservations = [{ type: "DYNAMIC", role }];
  return { name: "disk", type: "SCALAR", scalar: { value: sizeMb }, reservations, ...extra };
}

function described(means: Means, { id, sizeMb }: Volume): object {
  return disk(means, sizeMb, { disk: { persistence: { id }, volume: { mode: "RW", container_path: PATH } } });
}
