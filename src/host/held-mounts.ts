/**
 * Mounts of volumes in every mount namespace. The mount table says of each mount which directory of its file system it
 * shows, and keeps up with renames: `/any/where/volumes/<uuid>/content`, later `/any/where/trash/<uuid>/content`. An
 * incarnation is a random name, so these two components tell it wherever the disk lies.
 */
import type { Incarnation } from "../domain/units.ts";
import type { HeldMount, Scope } from "../ports/holders.ts";
import { type NamespaceTable, otherTables, ownTable } from "./mount-namespaces.ts";
import { parseMountTable } from "./mount-table.ts";
import {
  findShownMounts,
  type KnownMounts,
  type LookOptions,
  OWN_NAMESPACE,
  type ShownMount,
} from "./namespace-walk.ts";
import { describeProcess } from "./processes.ts";

const CONTENT = /\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/content(?![^/ ])/g;

/** Each attach and detach looks: on a node with many containers asking for every mount would cost milliseconds. */
const known: Readonly<Record<Exclude<Scope, "everywhere">, KnownMounts>> = {
  anywhere: new Map(),
  elsewhere: new Map(),
};

/** The incarnations whose content a path is, or lies in. */
export function incarnationsIn(path: string): readonly Incarnation[] {
  return Array.from(path.matchAll(CONTENT), ([, uuid]) => uuid as Incarnation);
}

/**
 * Every mount of these volumes, or of something in them, as `Holders.mounts`. Where the kernel can tell that no other
 * namespace has any, no process is looked at; otherwise processes are asked, which also says who they are.
 * @throws `unavailable` when a namespace cannot be ruled out
 */
export function findHeldMounts(uuids: readonly Incarnation[], scope: Scope): readonly HeldMount[] {
  const wanted = new Set(uuids);
  const shown = findShownMounts(wanted, lookOf(scope));
  const foreign = shown?.filter(({ namespaceId }) => namespaceId !== OWN_NAMESPACE);
  const isOwnRuledOut = scope === "elsewhere" || (scope === "anywhere" && shown?.length === foreign?.length);
  const own = isOwnRuledOut && shown !== undefined ? [] : heldIn(ownTable(), wanted);
  if (foreign?.length === 0) return own;
  const attributed = [...otherTables({ threads: scope === "everywhere" })].flatMap((table) => heldIn(table, wanted));
  return [...own, ...attributed, ...withoutProcess(foreign ?? [], attributed)];
}

function lookOf(scope: Scope): LookOptions {
  // Where content is to be deleted, nothing is taken from an earlier look; and our own table is read in any case.
  return scope === "everywhere"
    ? { incarnationsIn }
    : { incarnationsIn, known: known[scope], own: scope === "anywhere" };
}

/** All there are, ours first. */
export function* mountTables(): Generator<NamespaceTable> {
  yield ownTable();
  yield* otherTables({ threads: true });
}

/** What no process shows is held all the same: by a namespace that is kept by a bind of its link alone. */
function withoutProcess(foreign: readonly ShownMount[], attributed: readonly HeldMount[]): HeldMount[] {
  return foreign
    .filter(({ uuid }) => !attributed.some((mount) => mount.uuid === uuid))
    .map(({ uuid, namespaceId, mountId }) => ({
      uuid,
      namespace: String(namespaceId),
      mountId: String(mountId),
      mountPoint: "a place no process shows",
      pid: 0,
      command: "none",
      cgroup: "",
    }));
}

/** The mounts of one namespace that show these volumes. */
export function heldIn({ namespace, pid, text }: NamespaceTable, wanted: ReadonlySet<Incarnation>): HeldMount[] {
  const held = new Map<string, HeldMount>();
  for (const line of linesWithContent(text)) {
    for (const mount of parseMountTable(line)) {
      for (const uuid of incarnationsIn(mount.root.toString("latin1"))) {
        if (!wanted.has(uuid)) continue;
        const mountId = String(mount.mountId);
        const mountPoint = mount.mountPoint.toString();
        held.set(`${mountId} ${uuid}`, { uuid, namespace, mountId, mountPoint, pid, ...describeProcess(pid) });
      }
    }
  }
  return [...held.values()];
}

/** Few lines are about volumes: only these are taken apart. */
function linesWithContent(text: string): ReadonlySet<string> {
  const lines = new Set<string>();
  for (const { index } of text.matchAll(CONTENT)) {
    const end = text.indexOf("\n", index);
    lines.add(text.slice(text.lastIndexOf("\n", index) + 1, end === -1 ? undefined : end));
  }
  return lines;
}
