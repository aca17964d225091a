/** What Nomad tells a host volume plugin: all of it by environment variables, which are what it was asked, not what is so. */
import { HoldfastError } from "../../domain/error.ts";
import { fieldOf, parseNumber, parseObject, parseString } from "../../domain/json.ts";
import { parseRole, parseVolumeId } from "../../domain/names.ts";
import { refuse, show } from "../../domain/refusal.ts";
import { parseSizeMb } from "../../domain/size.ts";
import { BYTES_PER_MB, type MilliMb } from "../../domain/units.ts";
import type { VolumeName } from "./options.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A host volume of Nomad's. */
export interface NomadVolume {
  readonly volume: VolumeName;
  /** Where Nomad keeps its host volumes; absolute. */
  readonly directory: string;
  /** What people call it in Nomad. */
  readonly name: string;
  readonly namespace: string;
  /** Root directory of a PATH or MOUNT disk; absent: wherever there is room. */
  readonly disk?: string;
  /** Owner of the top of the new volume. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** What sizes are acceptable; `undefined` is no limit. */
export interface SizeRange {
  readonly min: MilliMb | undefined;
  readonly max: MilliMb | undefined;
}

const DEFAULT_ROLE = "nomad";
const PARAMETERS = ["role", "disk", "uid", "gid"];
const ID_MAX = 2 ** 32 - 2;

/** @throws `invalid` naming the variable or the parameter */
export function readNomadVolume(environment: Environment): NomadVolume {
  const parameters = readParameters(environment["DHV_PARAMETERS"]);
  const owner = readOwner(parameters);
  const { disk } = parameters;
  return {
    volume: {
      role: parseRole(parameters["role"] ?? DEFAULT_ROLE, "the parameter role"),
      id: parseVolumeId(required(environment, "DHV_VOLUME_ID"), "DHV_VOLUME_ID"),
    },
    directory: absolute(required(environment, "DHV_VOLUMES_DIR")),
    name: required(environment, "DHV_VOLUME_NAME"),
    namespace: required(environment, "DHV_NAMESPACE"),
    ...(disk === undefined ? {} : { disk }),
    ...(owner === undefined ? {} : { owner }),
  };
}

/** The least size is rounded up to whole MB, the largest one down. @throws `invalid` */
export function readSizeRange(environment: Environment): SizeRange {
  const min = readBytes(environment, "DHV_CAPACITY_MIN_BYTES");
  const max = readBytes(environment, "DHV_CAPACITY_MAX_BYTES");
  const range = {
    min: min === 0 ? undefined : parseSizeMb(Math.ceil(min / BYTES_PER_MB), "DHV_CAPACITY_MIN_BYTES"),
    max: max === 0 ? undefined : parseSizeMb(Math.floor(max / BYTES_PER_MB), "DHV_CAPACITY_MAX_BYTES"),
  };
  if (range.min !== undefined && range.max !== undefined && range.min > range.max) {
    refuse("the capacity", `${min} to ${max} bytes`, "a range with a whole number of MiB in it");
  }
  return range;
}

/** Nomad's parameters are text, and `null` when there are none. */
function readParameters(json: string | undefined): Readonly<Record<string, string | undefined>> {
  const value = parseJson(json ?? "null");
  if (value === null) return {};
  const parameters = parseObject(value, "DHV_PARAMETERS");
  const unknown = Object.keys(parameters).find((key) => !PARAMETERS.includes(key));
  if (unknown !== undefined) refuse(`the parameter ${show(unknown)}`, "unknown", PARAMETERS.join(", "));
  return Object.fromEntries(
    Object.keys(parameters).map((key) => [key, parseString(fieldOf(parameters, key), `the parameter ${key}`)]),
  );
}

function readOwner({ uid, gid }: Readonly<Record<string, string | undefined>>): NomadVolume["owner"] {
  if (uid === undefined && gid === undefined) return undefined;
  if (uid === undefined || gid === undefined) {
    throw new HoldfastError("invalid", "Cannot use the parameters: uid and gid go together");
  }
  return { uid: readId(uid, "uid"), gid: readId(gid, "gid") };
}

function readId(value: string, name: string): number {
  const id = /^\d+$/.test(value) ? Number(value) : Number.NaN;
  return id <= ID_MAX ? id : refuse(`the parameter ${name}`, show(value), `a number from 0 to ${ID_MAX}`);
}

function readBytes(environment: Environment, name: string): number {
  const value = environment[name] ?? "0";
  const bytes = parseNumber(/^\d+$/.test(value) ? Number(value) : Number.NaN, name);
  return Number.isSafeInteger(bytes) ? bytes : refuse(name, show(value), "a number of bytes");
}

function required(environment: Environment, name: string): string {
  const value = environment[name];
  if (value !== undefined && value !== "") return value;
  throw new HoldfastError("invalid", `Cannot serve Nomad: the environment has no ${name}`);
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : refuse("DHV_VOLUMES_DIR", show(path), "an absolute path");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HoldfastError("invalid", "Cannot parse DHV_PARAMETERS: it is not JSON", { cause });
  }
}
