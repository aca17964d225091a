/** Whether a volume can do what somebody means to ask of it. */
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { VolumeView } from "../../engine/engine.ts";
import { type Capability, someCapabilities } from "./capability.ts";
import type { Csi } from "./context.ts";
import { parseRequest, requiredText, stringMap } from "./fields.ts";
import { requireFileSystem } from "./file-system.ts";
import { mustFind } from "./find.ts";
import { isOn, parseParameters } from "./parameters.ts";

const REQUEST = z.object({
  volume_id: requiredText,
  volume_context: stringMap,
  volume_capabilities: someCapabilities,
  parameters: stringMap,
  mutable_parameters: stringMap,
});

/** As they came, to be confirmed. */
const ASKED = z.object({ volume_capabilities: z.unknown() });

/** As `ValidateVolumeCapabilities`. What is not confirmed is told why, and is no error. */
export async function validateCapabilities(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id, volume_context, parameters, ...fields } = parseRequest(REQUEST, request);
  const view = await mustFind(csi.engine, actor, volume_id);
  const against =
    whyUnable(view, fields.volume_capabilities) ??
    whyOther(view, { ...parameters, ...fields.mutable_parameters }) ??
    (await whyElsewhere(csi, actor, view, fields.volume_capabilities));
  if (against !== undefined) return { message: against };
  const { volume_capabilities } = parseRequest(ASKED, request);
  return { confirmed: { volume_context, volume_capabilities, parameters } };
}

function whyUnable({ volume }: VolumeView, wanted: readonly Capability[]): string | undefined {
  const obstacle = wanted.find((one) => one.obstacle !== undefined)?.obstacle;
  if (obstacle !== undefined) return obstacle;
  return wanted.some(({ shared }) => shared) && !volume.shared ? "The volume is not shared" : undefined;
}

function whyOther({ volume }: VolumeView, parameters: Readonly<Record<string, string>>): string | undefined {
  return refusalOf(() => {
    const { role = volume.role, containerPath = volume.containerPath, ...where } = parseParameters(parameters);
    const isSame = role === volume.role && containerPath === volume.containerPath && isOn(where, volume);
    return isSame ? undefined : "The volume was made with other parameters";
  });
}

async function whyElsewhere(
  { engine }: Csi,
  actor: Actor,
  { volume }: VolumeView,
  wanted: readonly Capability[],
): Promise<string | undefined> {
  try {
    for (const { fsType } of wanted) await requireFileSystem(engine, actor, volume, fsType);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

function refusalOf(look: () => string | undefined): string | undefined {
  try {
    return look();
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof HoldfastError && error.code === "invalid") return error.message;
  throw error;
}
