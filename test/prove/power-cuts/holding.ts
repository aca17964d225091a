/** What one client has on the node, and what of it is a fact that a power cut must leave alone. */
import { createHash } from "node:crypto";
import type { Change, Facts } from "./ledger.ts";

export interface Volume {
  readonly id: string;
  readonly sizeMb: number;
  readonly state: "live" | "retained";
  /** Protected while it lives, pinned while it is retained. */
  readonly isMarked: boolean;
  /** Who has it. No fact: every mount ends with the power. */
  readonly container?: string;
  /** What its files contain, by their names, in the form of `describeContent`. */
  readonly files: ReadonlyMap<string, string>;
}

/** Disk reserved for the client's role, and the volumes in it. Every id is used once. */
export interface Holding {
  readonly reservedMb: number;
  readonly volumes: ReadonlyMap<string, Volume>;
}

export const NOTHING: Holding = { reservedMb: 0, volumes: new Map() };

export function factsOf(role: string, { reservedMb, volumes }: Holding): Facts {
  const facts = new Map<string, string>();
  if (reservedMb > 0) facts.set(`${role} reserved`, `${reservedMb} MB`);
  for (const { id, sizeMb, state, isMarked, files } of volumes.values()) {
    facts.set(`${role}/${id}`, `${sizeMb} MB ${state}${isMarked ? ", marked" : ""}`);
    for (const [name, content] of files) facts.set(`${role}/${id}/${name}`, content);
  }
  return facts;
}

export function changeBetween(before: Facts, after: Facts): Change {
  const gone = [...before.keys()].filter((key) => !after.has(key)).map((key) => [key, null] as const);
  const come = [...after].filter(([key, value]) => before.get(key) !== value);
  return Object.fromEntries([...gone, ...come]);
}

export function withVolume(holding: Holding, ...changed: readonly Volume[]): Holding {
  return { ...holding, volumes: new Map([...holding.volumes, ...changed.map((one) => [one.id, one] as const)]) };
}

export function withoutVolume(holding: Holding, id: string): Holding {
  return { ...holding, volumes: new Map([...holding.volumes].filter(([other]) => other !== id)) };
}

/** What of the reservation no live volume has. */
export function freeMb({ reservedMb, volumes }: Holding): number {
  return [...volumes.values()].reduce(
    (free, { sizeMb, state }) => (state === "live" ? free - sizeMb : free),
    reservedMb,
  );
}

export function describeContent(content: Buffer): string {
  return `${content.length} bytes, ${createHash("sha256").update(content).digest("hex").slice(0, 12)}`;
}
