/** Everything that is asked of the node: the request, what it makes of the books, and what may be left when nobody was told. */
import path from "node:path";
import type { GcJson } from "../../../src/faces/http/wire.ts";
import type { Call } from "../../e2e/request.ts";
import type { Chance } from "../../simulation/chance.ts";
import { type BookedVolume, type Books, freeMb, withVolumes } from "./books.ts";

export const OPERATIONS = [
  "reserve",
  "unreserve",
  "create",
  "grow",
  "list",
  "attach",
  "exchange",
  "detach",
  "destroy",
  "restore",
  "collect",
] as const;

export type OperationName = (typeof OPERATIONS)[number];

export interface Attempt {
  readonly name: OperationName;
  readonly call: Call;
  /** The books when it was done. */
  readonly after: Books;
  /** Where it may stop besides, when nobody was told that it was done. */
  readonly between: readonly Books[];
  /** Whoever is refused may ask for this: then it is settled, and these are the books. */
  readonly cure?: { readonly call: Call; readonly after: Books };
  /** Whether a success means that it was done: a collection also says what stays. */
  readonly isDone?: (answer: string) => boolean;
  /** May be sent again as it is: the operation's id makes it the same one. */
  readonly repeatable: boolean;
}

/** What the attempt needs that is not in the books. */
export interface Means {
  readonly chance: Chance;
  /** Every container's sandbox is a directory of its name in it. */
  readonly sandboxes: string;
  /** Incarnations by the volumes' ids. */
  readonly uuids: ReadonlyMap<string, string>;
  /** A number that was never given out. */
  readonly next: () => number;
}

/** What has to be done first when an operation is not possible. */
export const FIRST: Readonly<Record<OperationName, OperationName>> = {
  reserve: "reserve",
  unreserve: "reserve",
  create: "reserve",
  grow: "create",
  list: "create",
  attach: "create",
  exchange: "attach",
  detach: "attach",
  destroy: "create",
  restore: "destroy",
  collect: "destroy",
};

const PATH = "data";
const ROLE = "web";
const UNIT_MB = 16;

/** `undefined` when the books do not allow it. */
export function attempt(name: OperationName, books: Books, means: Means): Attempt | undefined {
  return MAKERS[name](books, means);
}

type Maker = (books: Books, means: Means) => Attempt | undefined;

const MAKERS: Readonly<Record<OperationName, Maker>> = {
  reserve: (books, means) => {
    const sizeMb = UNIT_MB * (4 + means.chance.below(4));
    const after = { ...books, reservedMb: books.reservedMb + sizeMb };
    return operations("reserve", means, [{ type: "RESERVE", reserve: { resources: [disk(sizeMb)] } }], after);
  },
  unreserve: (books, means) => {
    if (freeMb(books) < UNIT_MB) return undefined;
    const after = { ...books, reservedMb: books.reservedMb - UNIT_MB };
    return operations("unreserve", means, [{ type: "UNRESERVE", unreserve: { resources: [disk(UNIT_MB)] } }], after);
  },
  create: (books, means) => {
    if (freeMb(books) < UNIT_MB) return undefined;
    const made = newVolume(means);
    return operations("create", means, [create(made)], withVolumes(books, { [made.id]: made }));
  },
  grow: (books, means) => {
    const volume = pick(books, means, isDetached);
    if (volume === undefined || freeMb(books) < UNIT_MB) return undefined;
    const grown = { ...volume, sizeMb: volume.sizeMb + UNIT_MB };
    const operation = { type: "GROW_VOLUME", grow_volume: { volume: described(volume), addition: disk(UNIT_MB) } };
    return operations("grow", means, [operation], withVolumes(books, { [volume.id]: grown }));
  },
  // All of it or nothing.
  list: (books, means) => {
    const doomed = pick(books, means, isDetached);
    if (doomed === undefined) return undefined;
    const made = [newVolume(means), newVolume(means)];
    const reserve = { type: "RESERVE", reserve: { resources: [disk(UNIT_MB * made.length)] } };
    const after = withVolumes(
      { ...books, reservedMb: books.reservedMb + UNIT_MB * made.length },
      { [doomed.id]: { ...doomed, retained: true }, ...Object.fromEntries(made.map((one) => [one.id, one])) },
    );
    return operations("list", means, [reserve, ...made.map(create), destroy(doomed)], after);
  },
  attach: (books, means) => {
    const volumes = means.chance.some([...books.volumes.values()].filter(isDetached)).slice(0, 2);
    const one = volumes[0] ?? pick(books, means, isDetached);
    if (one === undefined) return undefined;
    const all = volumes.length === 0 ? [one] : volumes;
    const container = `c${means.next()}`;
    const after = withVolumes(books, Object.fromEntries(all.map((volume) => [volume.id, { ...volume, container }])));
    return { name: "attach", call: put(container, all, means), after, between: [], repeatable: true };
  },
  // The container gets another volume in the place of those that it has.
  exchange: (books, means) => {
    const old = pick(books, means, isAttached);
    const fresh = pick(books, means, isDetached);
    if (old?.container === undefined || fresh === undefined) return undefined;
    const { container } = old;
    const given = [...books.volumes.values()].filter((volume) => volume.container === container);
    const between = released(books, given);
    const done = between.at(-1) ?? books;
    const after = withVolumes(done, { [fresh.id]: { ...fresh, container } });
    const call = put(container, [fresh], means, `${PATH}-${means.next()}`);
    return {
      name: "exchange",
      call,
      after,
      between,
      repeatable: false,
      cure: { call: remove(container), after: done },
    };
  },
  detach: (books, means) => {
    const container = pick(books, means, isAttached)?.container;
    if (container === undefined) return undefined;
    const given = [...books.volumes.values()].filter((volume) => volume.container === container);
    const between = released(books, given);
    const [call, after] = [remove(container), between.at(-1) ?? books];
    return { name: "detach", call, after, between, repeatable: false, cure: { call, after } };
  },
  destroy: (books, means) => {
    const volume = pick(books, means, isDetached);
    if (volume === undefined) return undefined;
    const after = withVolumes(books, { [volume.id]: { ...volume, retained: true } });
    return operations("destroy", means, [destroy(volume)], after);
  },
  restore: (books, means) => {
    const volume = pick(books, means, ({ retained }) => retained);
    if (volume === undefined) return undefined;
    const reservedMb = books.reservedMb + Math.max(0, volume.sizeMb - freeMb(books));
    const after = withVolumes({ ...books, reservedMb }, { [volume.id]: { ...volume, retained: false } });
    const call = post("/v1/volumes/restore", { role: ROLE, id: volume.id });
    return { name: "restore", call, after, between: [], repeatable: false };
  },
  collect: (books, means) => {
    const volume = pick(books, means, ({ retained, id }) => retained && means.uuids.has(id));
    if (volume === undefined) return undefined;
    const call = post("/v1/gc", { uuids: [means.uuids.get(volume.id)] });
    const after = withVolumes(books, { [volume.id]: undefined });
    return { name: "collect", call, after, between: [], repeatable: false, isDone: hasCollected };
  },
};

function operations(name: OperationName, { next }: Means, list: readonly object[], after: Books): Attempt {
  const call = post("/v1/operations", { id: `o${next()}`, operations: list });
  return { name, call, after, between: [], repeatable: true };
}

function hasCollected(answer: string): boolean {
  return (JSON.parse(answer) as GcJson).collected?.length === 1;
}

function post(address: string, body: object): Call {
  return { method: "POST", path: address, body };
}

function put(container: string, volumes: readonly BookedVolume[], { sandboxes }: Means, at?: string): Call {
  const list = volumes.map(({ id }) => ({ role: ROLE, id, containerPath: at ?? id }));
  const sandbox = path.join(sandboxes, container);
  return { method: "PUT", path: `/v1/containers/${container}`, body: { sandbox, volumes: list } };
}

function remove(container: string): Call {
  return { method: "DELETE", path: `/v1/containers/${container}` };
}

/** Volumes go one after the other; the last of these has lost all. */
function released(books: Books, volumes: readonly BookedVolume[]): readonly Books[] {
  let found: readonly Books[] = [books];
  for (const { container: _, ...volume } of volumes) {
    found = [...found, ...found.map((one) => withVolumes(one, { [volume.id]: volume }))];
  }
  return found;
}

function disk(sizeMb: number, extra: object = {}): object {
  const reservations = [{ type: "DYNAMIC", role: ROLE }];
  return { name: "disk", type: "SCALAR", scalar: { value: sizeMb }, reservations, ...extra };
}

function described({ id, sizeMb }: BookedVolume): object {
  return disk(sizeMb, { disk: { persistence: { id }, volume: { mode: "RW", container_path: PATH } } });
}

function create(volume: BookedVolume): object {
  return { type: "CREATE", create: { volumes: [described(volume)] } };
}

function destroy(volume: BookedVolume): object {
  return { type: "DESTROY", destroy: { volumes: [described(volume)] } };
}

function newVolume({ next }: Means): BookedVolume {
  return { id: `v${next()}`, sizeMb: UNIT_MB, retained: false };
}

function isDetached({ retained, container }: BookedVolume): boolean {
  return !retained && container === undefined;
}

function isAttached({ container }: BookedVolume): boolean {
  return container !== undefined;
}

function pick(
  { volumes }: Books,
  { chance }: Means,
  wanted: (volume: BookedVolume) => boolean,
): BookedVolume | undefined {
  const found = [...volumes.values()].filter(wanted);
  return found.length === 0 ? undefined : chance.pick(found);
}
