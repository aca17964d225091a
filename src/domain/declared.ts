/**
 * What the operator declares with `--resources`, in Mesos's text form (`disk(ads):2048;disk(*):8192;cpus:4`) or as a JSON
 * array: disk, unreserved or statically reserved. It is believed as given. Other resources are none of Holdfast's
 * business and come back by name.
 */
import { fieldOf, parseObject, parseString } from "./json.ts";
import { parseResource } from "./mesos-format.ts";
import { refuse, show } from "./refusal.ts";
import { type DiskResource, type DiskSource, poolKey, sourceKey } from "./resource.ts";
import { printSize } from "./size.ts";
import { addSizes, MAX_MB, type MilliMb } from "./units.ts";

export interface DeclaredResources {
  /** One for each pool. */
  readonly disks: readonly DiskResource[];
  /** Names of the resources that are not disk, each once. */
  readonly ignored: readonly string[];
}

/** One entry: its name, and the resource in Mesos's JSON. */
interface Entry {
  readonly name: string;
  readonly json: unknown;
  readonly place: string;
}

const WHAT = "the declared resources";
/** `name:value` or `name(role):value`; no two parts can share what is between them, or a long text would take for ever. */
const TEXT_ENTRY = /^(?<name>[^\s(){}[\]:"]+)\s*(?:\((?<role>[^():]*)\)\s*)?:(?<value>[^:]+)$/;

/**
 * @throws `invalid` what is neither form, has no size, is reserved dynamically, or is a volume; and a MOUNT disk, which
 * belongs to one pool as a whole, that is declared twice
 */
export function parseDeclaredResources(text: string): DeclaredResources {
  const entries = text.trimStart().startsWith("[") ? parseJsonEntries(text) : parseTextEntries(text);
  const disks = entries.filter(({ name }) => name === "disk").map(parseDisk);
  requireExclusiveMounts(disks);
  const ignored = entries.map(({ name }) => name).filter((name) => name !== "disk");
  return { disks: merge(disks), ignored: [...new Set(ignored)] };
}

function parseJsonEntries(text: string): readonly Entry[] {
  return parseArray(text).map((json, index) => {
    const place = `${WHAT}: item ${index + 1}`;
    return { name: parseString(fieldOf(parseObject(json, place), "name"), `${place}: name`), json, place };
  });
}

function parseArray(text: string): readonly unknown[] {
  try {
    return JSON.parse(text);
  } catch {
    return refuse(WHAT, show(text), "a JSON array or a text like disk(ads):2048;disk(*):8192");
  }
}

function parseTextEntries(text: string): readonly Entry[] {
  const parts = text.split(";").map((part) => part.trim());
  return parts.filter((part) => part !== "").map(parseTextEntry);
}

function parseTextEntry(text: string, index: number): Entry {
  const place = `${WHAT}: item ${index + 1}`;
  const groups = TEXT_ENTRY.exec(text)?.groups;
  if (groups === undefined) return refuse(place, show(text), "name:value or name(role):value");
  const { name = "", role = "*", value = "" } = groups;
  const scalar = { value: value.replaceAll(" ", "") };
  return { name, json: { name: "disk", type: "SCALAR", role: role.trim(), scalar }, place };
}

function parseDisk({ json, place }: Entry): DiskResource {
  const disk = parseResource(json, place);
  if (disk.volume !== undefined) {
    refuse(`${place}: disk.persistence`, "present", "none: volumes are created by operations");
  }
  if (disk.reservations.at(-1)?.type === "DYNAMIC") {
    refuse(`${place}: reservation`, "dynamic", "a static one: disk is reserved dynamically by operations");
  }
  return disk;
}

/** A MOUNT disk is taken whole: nothing else may share its root, not even a PATH disk. */
function requireExclusiveMounts(disks: readonly DiskResource[]): void {
  const seen = new Map<string, DiskSource["type"]>();
  for (const { source } of disks) {
    if (source.type === "ROOT") continue;
    const other = seen.get(source.root);
    if (other !== undefined && [other, source.type].includes("MOUNT")) {
      refuse(`${WHAT}: MOUNT disk ${show(source.root)}`, "declared twice", "one resource that has all of it");
    }
    seen.set(source.root, source.type);
  }
}

/**
 * @param resolve leads a path to where its symlinks lead
 * @throws `invalid` disks that lie in one another, or in one directory under two names, or in the work root or around it
 */
export function requireApart(
  disks: readonly Pick<DiskResource, "source">[],
  workRoot: string,
  resolve: (path: string) => string,
): void {
  const places = new Map([["work root", { name: "the work root", root: resolve(workRoot) }]]);
  for (const { source } of disks) {
    if (source.type === "ROOT") continue;
    const name = `${source.type} disk ${show(source.root)}`;
    places.set(sourceKey(source), { name, root: resolve(source.root) });
  }
  for (const [key, inner] of places) {
    for (const [other, outer] of places) {
      if (key === other || !`${inner.root}/`.startsWith(outer.root === "/" ? "/" : `${outer.root}/`)) continue;
      const relation = inner.root === outer.root ? "the same directory as" : "inside";
      refuse(`${WHAT}: ${inner.name}`, `${relation} ${outer.name}`, "disks apart from each other and the work root");
    }
  }
}

/** Adds up what is declared of one pool, in the order of its first mention. */
function merge(disks: readonly DiskResource[]): readonly DiskResource[] {
  const pools = new Map<string, DiskResource>();
  for (const disk of disks) {
    const key = poolKey(disk.source, disk.reservations);
    const other = pools.get(key);
    pools.set(key, other === undefined ? disk : { ...disk, size: sum(other, disk) });
  }
  return [...pools.values()];
}

function sum(left: DiskResource, right: DiskResource): MilliMb {
  const size = addSizes(left.size, right.size);
  return Number.isSafeInteger(size) ? size : refuse(`${WHAT}: total`, printSize(size), `at most ${MAX_MB} MB`);
}
