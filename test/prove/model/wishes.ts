/** Random wishes: numbers that become requests only when it is known what is there, so that they meet, and shrink. */
import fc from "fast-check";
import { meant } from "./docker.ts";
import type { AskedOperation, AskedVolume } from "./operations.ts";
import {
  holdersOf,
  live,
  type Model,
  type ModelVolume,
  present,
  retained,
  STATIC_ROLE,
  type Stack,
  type Who,
} from "./reference.ts";
import type { Ask } from "./request.ts";
import type { Manner } from "./send.ts";

const KINDS = [
  "RESERVE",
  "UNRESERVE",
  "CREATE",
  "DESTROY",
  "GROW_VOLUME",
  "SHRINK_VOLUME",
  "list",
  "recreate",
  "outcome",
  "restore",
  "mark",
  "gc",
  "attach",
  "detach",
  "docker create",
  "docker remove",
  "docker get",
  "docker mount",
  "docker unmount",
] as const;

const COMMON: readonly (typeof KINDS)[number][] = [
  "CREATE",
  "DESTROY",
  "DESTROY",
  "list",
  "restore",
  "mark",
  "gc",
  "attach",
  "attach",
  "docker mount",
];

export interface Wish {
  readonly kind: (typeof KINDS)[number];
  readonly who: Who;
  readonly way: Manner["way"];
  readonly old: boolean;
  /** Answers to whatever is to be chosen. */
  readonly picks: readonly number[];
}

export const EVENTS = [
  "stop",
  "kill",
  "reboot",
  "power cut",
  "reconcile",
  "wait",
  "wait for days",
  "clock forward",
  "clock back",
  "write",
  "sit",
  "leave",
  "hold",
  "let go",
  "start",
  "end",
] as const;

export type Deed =
  | { readonly deed: "ask"; readonly wish: Wish; readonly ann: boolean }
  /** Two clients at the same time, or one twice. */
  | { readonly deed: "together"; readonly wish: Wish; readonly other: Wish | "again"; readonly ann: boolean }
  /** The client has not heard the answer, and asks once more. */
  | { readonly deed: "again"; readonly ann: boolean }
  | { readonly deed: "event"; readonly event: (typeof EVENTS)[number]; readonly pick: number; readonly ann: boolean };

const pick = fc.nat({ max: 119 });
const wish: fc.Arbitrary<Wish> = fc.record({
  kind: fc.oneof(
    { weight: 2, arbitrary: fc.constantFrom(...COMMON) },
    { weight: 3, arbitrary: fc.constantFrom(...KINDS) },
  ),
  who: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom<Who>("root", "ops") },
    { weight: 4, arbitrary: fc.constant<Who>("ann") },
    { weight: 1, arbitrary: fc.constant<Who>("nobody") },
  ),
  way: fc.constantFrom<Manner["way"]>("list", "form", "call"),
  old: fc.boolean(),
  picks: fc.array(pick, { minLength: 16, maxLength: 16 }),
});
const ann = fc.nat({ max: 3 }).map((one) => one === 3);

/** What a sequence begins with, so that there is something to ask for. */
export interface Start {
  readonly isFurnished: boolean;
  readonly deeds: readonly Deed[];
}

const deeds: fc.Arbitrary<Deed[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: fc.record({ deed: fc.constant("ask" as const), wish, ann }) },
    {
      weight: 3,
      arbitrary: fc.record({
        deed: fc.constant("together" as const),
        wish,
        other: fc.oneof(wish, fc.constant("again" as const)),
        ann,
      }),
    },
    { weight: 1, arbitrary: fc.record({ deed: fc.constant("again" as const), ann }) },
    {
      weight: 5,
      arbitrary: fc.record({ deed: fc.constant("event" as const), event: fc.constantFrom(...EVENTS), pick, ann }),
    },
  ),
  { minLength: 1, maxLength: 24, size: "max" },
);

export const starts: fc.Arbitrary<Start> = fc.noBias(
  fc.record({ isFurnished: fc.nat({ max: 3 }).map((one) => one > 0), deeds }),
);

const IDS = ["a", "b", "c"];
const CONTAINERS = ["c1", "c2", "c3"];
const SANDBOXES = ["/s1", "/s1", "/s2"];
const PATHS = ["data", "data", "logs"];
const BORROWERS = ["d1", "d1", "d2", "d2", "d3", "c1"];
export const PIDS = [101, 102];
const STACKS: readonly Stack[] = [
  [{ type: "DYNAMIC", role: "ads" }],
  [{ type: "DYNAMIC", role: "ads" }],
  [{ type: "DYNAMIC", role: "ads", principal: "ann" }],
  [{ type: "DYNAMIC", role: "eng", principal: "ops" }],
  [{ type: "DYNAMIC", role: "docker" }],
  [{ type: "STATIC", role: STATIC_ROLE }],
  [
    { type: "STATIC", role: STATIC_ROLE },
    { type: "DYNAMIC", role: `${STATIC_ROLE}/x` },
  ],
  [
    { type: "DYNAMIC", role: "ads" },
    { type: "DYNAMIC", role: "ads/web" },
  ],
];

/** Something of everything. */
export const FURNITURE: Ask = {
  ask: "operations",
  list: {
    by: "root",
    operations: [
      {
        type: "RESERVE",
        items: [
          { sizeMb: 80, stack: [{ type: "DYNAMIC", role: "ads" }] },
          { sizeMb: 60, stack: [{ type: "DYNAMIC", role: "ads", principal: "ann" }] },
          { sizeMb: 60, stack: [{ type: "DYNAMIC", role: "eng", principal: "ops" }] },
        ],
      },
      {
        type: "CREATE",
        volumes: [
          { id: "a", sizeMb: 20, stack: [{ type: "DYNAMIC", role: "ads" }], path: "data", shared: false },
          {
            id: "b",
            sizeMb: 20,
            stack: [{ type: "DYNAMIC", role: "ads", principal: "ann" }],
            path: "data",
            shared: true,
            principal: "ann",
          },
          {
            id: "c",
            sizeMb: 20,
            stack: [{ type: "DYNAMIC", role: "ads", principal: "ann" }],
            path: "logs",
            shared: false,
            principal: "ann",
          },
          {
            id: "a",
            sizeMb: 20,
            stack: [{ type: "DYNAMIC", role: "eng", principal: "ops" }],
            path: "data",
            shared: false,
          },
        ],
      },
    ],
  },
};

/** Deals out picks, in order. */
class Hand {
  readonly #picks: readonly number[];
  #dealt = 0;

  constructor(picks: readonly number[]) {
    this.#picks = picks;
  }

  below(limit: number): number {
    const value = this.#picks[this.#dealt % this.#picks.length] ?? 0;
    this.#dealt += 1;
    return value % limit;
  }

  /** The first ones are the simplest. */
  of<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("Nothing to choose from");
    return item;
  }

  /** Rarely. */
  rarely(): boolean {
    return this.below(15) === 14;
  }
}

/** What the wish comes to where the model is the node's; `undefined` for nothing that makes sense. */
export function askFor(model: Model, { kind, who, way, picks }: Wish): Ask | undefined {
  const hand = new Hand(picks);
  switch (kind) {
    case "RESERVE":
    case "UNRESERVE":
    case "CREATE":
    case "DESTROY":
    case "GROW_VOLUME":
    case "SHRINK_VOLUME": {
      const isAgents = way !== "list" && who !== "root";
      const extras = isAgents ? (hand.rarely() ? { foreign: true } : {}) : listExtras(model, who, hand);
      return { ask: "operations", list: { by: who, operations: [operationOf(model, kind, hand)], ...extras } };
    }
    case "list": {
      const kinds = Array.from(
        { length: 1 + hand.below(3) },
        () => hand.of(KINDS.slice(0, 6)) as AskedOperation["type"],
      );
      const operations = kinds.map((one) => operationOf(model, one, hand));
      return { ask: "operations", list: { by: who, operations, ...listExtras(model, who, hand) } };
    }
    case "recreate": {
      const old = targetOf(model, hand);
      const created: AskedOperation = { type: "CREATE", volumes: [{ ...old, path: "data" }] };
      const operations: AskedOperation[] = [{ type: "DESTROY", volumes: [old] }, created];
      return { ask: "operations", list: { by: who, operations, ...listExtras(model, who, hand) } };
    }
    case "outcome":
      return { ask: "outcome", by: who, id: `k${hand.below(3)}` };
    case "restore": {
      const which = whichOf(model, "retained", hand);
      return { ask: "restore", by: who, which, ...(hand.below(4) === 3 ? { as: hand.of(IDS) } : {}) };
    }
    case "mark": {
      const mark = hand.of(["protect", "pin", "unprotect", "unpin"] as const);
      const phase = mark === "protect" || mark === "unprotect" ? "live" : "retained";
      return { ask: "mark", by: who, mark, which: whichOf(model, hand.rarely() ? "any" : phase, hand) };
    }
    case "gc": {
      const known = present(model).flatMap(({ uuid, phase }) =>
        uuid !== undefined && (phase === "retained" || hand.rarely()) ? [uuid] : [],
      );
      const uuids =
        hand.below(3) === 0 || known.length === 0
          ? {}
          : { uuids: [hand.of(known), ...(hand.rarely() ? [hand.of(known)] : [])] };
      return { ask: "gc", by: who, dryRun: hand.below(2) === 1, ...uuids };
    }
    case "attach":
      return attachOf(model, hand);
    case "detach":
      return { ask: "detach", container: hand.of([...CONTAINERS, "p101", "d1"]), force: hand.below(3) === 2 };
    case "docker create": {
      const wanted = {
        name: dockerName(model, hand),
        ...(hand.below(2) === 0 ? { sizeMb: 10 * (1 + hand.below(12)) } : {}),
        ...(hand.below(4) === 3 ? { role: hand.of(["docker", "ads", STATIC_ROLE]) } : {}),
        ...(hand.below(2) === 1 ? { shared: hand.below(2) === 1 } : {}),
        ...(hand.below(4) === 3 ? { path: hand.of(["data", "logs"]) } : {}),
      };
      return { ask: "docker create", wanted };
    }
    case "docker remove":
    case "docker get":
      return { ask: kind, name: dockerName(model, hand) };
    case "docker mount":
    case "docker unmount": {
      const name = dockerName(model, hand);
      const volume = meant(model, name);
      // Whose mount it is that is seen outside, nobody can tell.
      const isClouded = volume?.shared === true && (volume.held === true || volume.sat === true);
      return kind === "docker mount" && isClouded ? undefined : { ask: kind, name, borrower: hand.of(BORROWERS) };
    }
  }
}

function listExtras(model: Model, who: Who, hand: Hand): { readonly id?: string; readonly dryRun?: boolean } {
  const choice = hand.below(6);
  if (choice === 5) return { dryRun: true };
  if (choice < 3) return {};
  // One that was used has its content: another list is mostly refused.
  const fresh = ["k0", "k1", "k2"].filter(
    (id) => !model.outcomes.some((one) => one.by.startsWith(who) && one.id === id),
  );
  const id = fresh[0];
  return id === undefined || hand.rarely() ? { id: "k0" } : { id };
}

function operationOf(model: Model, type: AskedOperation["type"], hand: Hand): AskedOperation {
  switch (type) {
    case "RESERVE":
    case "UNRESERVE": {
      const items = Array.from({ length: hand.rarely() ? 2 : 1 }, () => ({
        sizeMb: sizeOf(hand, 16),
        stack: stackOf(model, hand),
      }));
      return { type, items };
    }
    case "CREATE":
      return { type, volumes: Array.from({ length: hand.rarely() ? 2 : 1 }, () => newVolume(model, hand)) };
    case "DESTROY":
      return { type, volumes: Array.from({ length: hand.rarely() ? 2 : 1 }, () => targetOf(model, hand)) };
    case "GROW_VOLUME":
    case "SHRINK_VOLUME":
      return { type, volume: targetOf(model, hand), byMb: sizeOf(hand, 4) };
  }
}

/** Rarely none at all. */
function sizeOf(hand: Hand, tens: number): number {
  const size = 10 * (1 + hand.below(tens));
  return hand.below(40) === 39 ? 0 : size;
}

/** Mostly one that is there. */
function stackOf(model: Model, hand: Hand): Stack {
  const known = model.reservations.map(({ stack }) => stack);
  return hand.below(3) > 0 && known.length > 0 ? hand.of(known) : hand.of(STACKS);
}

function newVolume(model: Model, hand: Hand): AskedVolume {
  return {
    id: hand.of(IDS),
    sizeMb: sizeOf(hand, 6),
    stack: stackOf(model, hand),
    path: hand.rarely() ? "logs/x" : hand.of(PATHS),
    shared: hand.below(3) === 2,
    ...(hand.rarely() ? { principal: hand.of(["ops", "ann"]) } : {}),
  };
}

/** Mostly a live volume, exactly; then one that is a little different, or none. */
function targetOf(model: Model, hand: Hand): AskedVolume {
  const there = present(model).filter(({ phase }) => phase === "live");
  if (there.length === 0 || hand.rarely()) return newVolume(model, hand);
  const { id, sizeMb, stack, path, shared, principal } = oneOf(model, there, hand);
  return {
    id,
    sizeMb: hand.rarely() ? sizeMb + 10 : sizeMb,
    stack: hand.rarely() ? stackOf(model, hand) : stack,
    path,
    shared,
    ...(principal === undefined || hand.below(2) === 1 ? {} : { principal }),
  };
}

/** Often one about which there is something to say. */
function oneOf(model: Model, volumes: readonly ModelVolume[], hand: Hand): ModelVolume {
  const special = volumes.filter(
    (one) => one.protected === true || one.pinned === true || one.held === true || holdersOf(model, one).length > 0,
  );
  return hand.below(2) === 1 && special.length > 0 ? hand.of(special) : hand.of(volumes);
}

/** By name or by incarnation. */
function whichOf(model: Model, phase: ModelVolume["phase"] | "any", hand: Hand) {
  const there = present(model).filter((one) => phase === "any" || one.phase === phase);
  if (there.length === 0 || hand.rarely()) return { role: hand.of(["ads", "eng"]), id: hand.of(IDS) };
  const { uuid, role, id } = oneOf(model, there, hand);
  if (uuid !== undefined && (hand.below(2) === 1 || isAmbiguous(model, role, id))) return { uuid };
  return { role, id };
}

/** Two that were destroyed at once: neither is the newest. */
function isAmbiguous(model: Model, role: string, id: string): boolean {
  const [first, second] = retained(model, role, id);
  return second !== undefined && first?.retired?.atMs === second.retired?.atMs;
}

function attachOf(model: Model, hand: Hand): Ask | undefined {
  const there = present(model).filter(({ phase }) => phase === "live");
  const isProcess = (model.processes.length > 0 && hand.below(3) === 2) || hand.rarely();
  const alive = model.processes.map((one) => one.pid);
  const pid = alive.length === 0 || hand.rarely() ? hand.of(PIDS) : hand.of(alive);
  const count = hand.of([1, 1, 2, 0, 2]);
  const volumes = Array.from({ length: count }, () => {
    const found = there.length > 0 && !hand.rarely() ? oneOf(model, there, hand) : { role: "ads", id: hand.of(IDS) };
    const path = hand.below(3) === 0 ? {} : { path: hand.of(["data", "logs", "tmp"]) };
    return { role: found.role, id: found.id, ...path, mode: hand.below(5) === 4 ? ("RO" as const) : ("RW" as const) };
  });
  const place = isProcess
    ? { container: `p${pid}`, sandbox: "/srv", pid }
    : { container: hand.of([...CONTAINERS, "d1"]), sandbox: hand.of(SANDBOXES) };
  // Who sits in a volume sits in all of its mounts here, also in one that is made for a moment.
  const isSatIn = volumes.some(({ role, id }) => live(model, role, id)?.sat === true);
  return isSatIn ? undefined : { ask: "attach", wanted: { ...place, volumes } };
}

function dockerName(model: Model, hand: Hand): string {
  const there = present(model).filter(({ phase }) => phase === "live");
  if (there.length === 0 || hand.below(4) === 3) return hand.of([...IDS, "ads/a", "docker/b"]);
  const { role, id } = oneOf(model, there, hand);
  return hand.below(2) === 0 ? id : `${role}/${id}`;
}
