/**
 * Create: reserves disk for one volume and creates the volume on it, at once. Where too little disk is unreserved, a
 * volume takes what its role has reserved otherwise, which stays reserved when the volume goes.
 */
import { codeOf, HoldfastError } from "../../domain/error.ts";
import { planVolume } from "../../domain/new-volume.ts";
import type { Actor, Operation } from "../../domain/operation.ts";
import type { DiskResource } from "../../domain/resource.ts";
import { printSize } from "../../domain/size.ts";
import type { ContainerPath, MilliMb, Role } from "../../domain/units.ts";
import type { Engine } from "../../engine/engine.ts";
import { performFirst } from "../http/perform-first.ts";
import { type DockerName, findByName, type LiveVolume, ownReservation } from "./names.ts";
import type { CreateRequest, VolumeOptions } from "./requests.ts";

const DEFAULT_PATH = "data" as ContainerPath;

export interface CreateDefaults {
  readonly role: Role;
  /** Of a volume that is created without a size; `undefined` refuses it. */
  readonly size: MilliMb | undefined;
}

/** Everything that a new volume needs. */
interface Wanted extends Required<VolumeOptions> {
  readonly name: DockerName;
}

/** Does nothing when the volume is there as it was asked for. */
export async function createVolume(
  engine: Engine,
  actor: Actor,
  request: CreateRequest,
  defaults: CreateDefaults,
): Promise<void> {
  const resources = await resourcesOf(engine, actor);
  const existing = findByName(resources, request.name, defaults.role);
  if (existing !== undefined) return requireAsAsked(existing, request);
  const wanted = complete(request, defaults);
  try {
    await performFirst(engine, actor, planCreate(resources, wanted));
  } catch (error) {
    if (codeOf(error) !== "duplicate_volume") throw error;
    // Somebody was faster.
    const other = findByName(await resourcesOf(engine, actor), request.name, defaults.role);
    if (other === undefined) throw nameOfAnother(wanted, error);
    requireAsAsked(other, request);
  }
}

async function resourcesOf(engine: Engine, actor: Actor): Promise<readonly DiskResource[]> {
  return (await engine.resources(actor)).resources;
}

function complete({ name, options }: CreateRequest, defaults: CreateDefaults): Wanted {
  const role = name.role ?? options.role ?? defaults.role;
  if (options.role !== undefined && options.role !== role) {
    throw new HoldfastError("invalid", `Cannot create volume ${name.text}: the option role is ${options.role}`);
  }
  const size = options.size ?? defaults.size;
  if (size === undefined) {
    throw new HoldfastError(
      "invalid",
      `Cannot create volume ${name.text}: the option size is missing, for example size=512M`,
    );
  }
  return { name, role, size, shared: options.shared ?? true, path: options.path ?? DEFAULT_PATH };
}

/** Lists of operations each of which would create the volume, the one to try first; never none. */
function planCreate(resources: readonly DiskResource[], wanted: Wanted): readonly (readonly Operation[])[] {
  const { role, size, name, shared, path } = wanted;
  const own = ownReservation(role, name.role === undefined ? name.id : `${role}/${name.id}`);
  return planVolume(resources, { id: name.id, size, containerPath: path, shared, own });
}

/** @throws `conflict` naming the first option that the volume there differs in */
function requireAsAsked({ role, resource }: LiveVolume, { name, options }: CreateRequest): void {
  const { size, volume } = resource;
  const refuse = (is: string) => {
    throw new HoldfastError("conflict", `Cannot create volume ${name.text}: it exists already, and ${is}`);
  };
  if (options.role !== undefined && options.role !== role) refuse(`is of role ${role}, not ${options.role}`);
  if (options.size !== undefined && options.size !== size) {
    refuse(`has ${printSize(size)}, not ${printSize(options.size)}`);
  }
  if (options.shared !== undefined && options.shared !== volume.shared) {
    refuse(volume.shared ? "is shared" : "is not shared");
  }
  if (options.path !== undefined && options.path !== volume.containerPath) {
    refuse(`has the path ${volume.containerPath}, not ${options.path}`);
  }
}

function nameOfAnother({ name, role }: Wanted, cause: unknown): HoldfastError {
  const other = `${role}/${name.id}`;
  return new HoldfastError(
    "duplicate_volume",
    `Cannot create volume ${name.text} in role ${role}: a volume ${other} exists that was not created as ${name.text}, name it ${other}`,
    { cause },
  );
}
