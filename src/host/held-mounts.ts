/**
 * Mounts of volumes in every mount namespace. The mount table says of each mount which directory of its file system it
 * shows, and keeps up with renames: `/any/where/volumes/<uuid>/content`, later `/any/where/trash/<uuid>/content`. An
 * incarnation is a random name, so these two components tell it wherever the disk lies.
 */
import type { Incarnation } from "../domain/units.ts";
import type { HeldMount, Scope } from "../ports/holders.ts";
import { CONTENT_PATH, incarnationsIn } from "./content-path.ts";
import { type NamespaceTable, otherTables, ownTable } from "./mount-namespaces.ts";
import { parseMountTable } from "./mount-table.ts";
import { findShownMounts, type ShownMount } from "./namespace-walk.ts";
import { describeProcess } from "./processes.ts";

/**
 * Every mount of these volumes, or of something in them, as `Holders.mounts`. Where the kernel can tell that no other
 * namespace has any, no process is looked at; otherwise processes are asked, which also says who they are.
 * @throws `unavailable` when a namespace cannot be ruled out
 */
export function findHeldMounts(uuids: readonly Incarnation[], scope: Scope): readonly HeldMount[] {
  const wanted = new Set(uuids);
  const own = scope === "elsewhere" ? [] : heldIn(ownTable(), wanted);
  if (scope === "here") return own;
  const foreign = findShownMounts(wanted, { own: false });
  if (foreign?.length === 0) return own;
  const attributed = [...otherTables({ threads: scope === "everywhere" })].flatMap((table) => heldIn(table, wanted));
  return [...own, ...attributed, ...withoutProcess(foreign ?? [], attributed)];
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
  for (const { index } of text.matchAll(CONTENT_PATH)) {
    const end = text.indexOf("\n", index);
    lines.add(text.slice(text.lastIndexOf("\n", index) + 1, end === -1 ? undefined : end));
  }
  return lines;
}
