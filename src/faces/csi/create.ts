/** Create: disk is reserved for one volume and the volume made on it, at once, empty or as a copy of another. */
import { z } from "zod";
import { codeOf, HoldfastError } from "../../domain/error.ts";
import { planVolume } from "../../domain/new-volume.ts";
import type { Actor } from "../../domain/operation.ts";
import type { DiskResource } from "../../domain/resource.ts";
import { printSize } from "../../domain/size.ts";
import type { ContainerPath, MilliMb } from "../../domain/units.ts";
import type { Engine, VolumeView } from "../../engine/engine.ts";
import { performFirst } from "../http/perform-first.ts";
import { type Capability, requirePossible, someCapabilities } from "./capability.ts";
import { fits, sizeFor } from "./capacity-range.ts";
import { contentSource, copyContent, isCopyOf } from "./content-source.ts";
import type { Csi } from "./context.ts";
import { capacityRange, nameToBe, parseRequest, stringMap } from "./fields.ts";
import { nameReserved, newName, ownReservation, wireId } from "./names.ts";
import { isOn, parseParameters } from "./parameters.ts";
import { placesFor, wholeDisk } from "./places.ts";
import { CsiError } from "./status.ts";
import { requireHere, topologyRequirement } from "./topology.ts";
import { volumeEntry } from "./views.ts";
import type { Wanted } from "./wanted.ts";

const REQUEST = z.object({
  name: nameToBe,
  capacity_range: capacityRange.nullish(),
  volume_capabilities: someCapabilities,
  parameters: stringMap,
  mutable_parameters: stringMap.refine((map) => Object.keys(map).length === 0, "expected none: nothing is mutable"),
  volume_content_source: contentSource,
  accessibility_requirements: topologyRequirement,
});

const DEFAULT_PATH = "data" as ContainerPath;

/** As `CreateVolume`. */
export async function createVolume(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const fields = parseRequest(REQUEST, request);
  requirePossible(fields.volume_capabilities);
  requireHere(fields.accessibility_requirements, csi.nodeId);
  const wanted = wantedOf(csi, fields);
  // The name is taken in all roles.
  const view = await csi.alone(`the name ${wanted.name}`, () =>
    csi.alone(wireId(wanted), () => ensureVolume(csi, actor, wanted)),
  );
  return { volume: volumeEntry(csi, view, fields.volume_content_source?.wire) };
}

function wantedOf({ role: usual }: Csi, fields: z.output<typeof REQUEST>): Wanted {
  const parameters = parseParameters(fields.parameters);
  const role = parameters.role ?? usual;
  const { name, capacity_range: range, volume_capabilities: wanted } = fields;
  return {
    name,
    ...newName(role, name),
    range,
    shared: wanted.some(({ shared }) => shared),
    fsTypes: wanted.map(({ fsType }: Capability) => fsType).filter((type) => type !== ""),
    parameters,
    source: fields.volume_content_source,
  };
}

/** The volume that was asked for; it is made where there is none. */
export async function ensureVolume(csi: Csi, actor: Actor, wanted: Wanted): Promise<VolumeView> {
  const { engine } = csi;
  const existing = await engine.findVolume(actor, wanted.role, wanted.id);
  if (existing !== undefined && existing.copying === undefined) return asAsked(engine, actor, existing, wanted);
  const { resources } = await engine.resources(actor);
  requireNameFree(resources, wanted);
  try {
    if (wanted.source === undefined) await makeEmpty(csi, actor, resources, wanted);
    else
      await copyContent(engine, actor, wanted.source, {
        ...wanted,
        places: await placesFor(csi, actor, resources, wanted),
      });
  } catch (error) {
    if (codeOf(error) !== "duplicate_volume") throw error;
  }
  const made = await engine.findVolume(actor, wanted.role, wanted.id);
  if (made === undefined)
    throw new HoldfastError("conflict", `Cannot create volume ${wireId(wanted)}: it is gone again`);
  return asAsked(engine, actor, made, wanted);
}

async function makeEmpty(csi: Csi, actor: Actor, resources: readonly DiskResource[], wanted: Wanted): Promise<void> {
  const { engine, defaultSize } = csi;
  const { id, role, name, shared, parameters, ephemeral = false, onlyUnreserved = false } = wanted;
  const usable = onlyUnreserved ? resources.filter(({ reservations }) => reservations.length === 0) : resources;
  const places = await placesFor(csi, actor, usable, wanted);
  const asked = sizeFor(wanted.range, { usual: defaultSize, least: 0 as MilliMb });
  await performFirst(
    engine,
    actor,
    planVolume(places, {
      id,
      size: wholeDisk(places, wanted) ?? asked,
      containerPath: parameters.containerPath ?? DEFAULT_PATH,
      shared,
      own: ownReservation(role, name, { ephemeral }),
    }),
  );
}

/** @throws ALREADY_EXISTS when a volume of this name was made in another role */
function requireNameFree(resources: readonly DiskResource[], { name, role }: Wanted): void {
  const other = resources.find(
    ({ volume, reservations }) =>
      volume !== undefined && nameReserved(reservations) === name && reservations.at(-1)?.role !== role,
  );
  if (other === undefined) return;
  throw alreadyExists(name, `it exists in role ${other.reservations.at(-1)?.role}`);
}

/** @throws ALREADY_EXISTS naming the first thing that the volume there differs in; ABORTED while it is still copied */
async function asAsked(engine: Engine, actor: Actor, view: VolumeView, wanted: Wanted): Promise<VolumeView> {
  const { volume, copying } = view;
  const { name, parameters } = wanted;
  const reserved = nameReserved(volume.reservations);
  if (volume.snapshotOf !== undefined) throw alreadyExists(name, "a snapshot has this name");
  if (reserved !== undefined && reserved !== name) throw alreadyExists(name, `its id is that of ${reserved}`);
  if (!(await isCopyOf(engine, actor, volume, wanted.source)))
    throw alreadyExists(name, "its content comes from elsewhere");
  if (!fits(volume.size, wanted.range)) throw alreadyExists(name, `it has ${printSize(volume.size)}`);
  if (volume.shared !== wanted.shared) throw alreadyExists(name, volume.shared ? "it is shared" : "it is not shared");
  if (!isOn(parameters, volume)) throw alreadyExists(name, "it is on another disk");
  const { containerPath = volume.containerPath } = parameters;
  if (containerPath !== volume.containerPath) throw alreadyExists(name, `it has the path ${volume.containerPath}`);
  if (copying !== undefined)
    throw new CsiError("ABORTED", `Cannot create volume ${name} yet: it is still copied, repeat this call`);
  return view;
}

function alreadyExists(name: string, is: string): CsiError {
  return new CsiError("ALREADY_EXISTS", `Cannot create volume ${name}: it exists already, and ${is}`);
}
