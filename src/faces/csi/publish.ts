/** Publish: a volume appears at a path of this node. It stays there through restarts, until it is unpublished. */
import { basename } from "node:path";
import { z } from "zod";
import { parseContainerPath } from "../../domain/names.ts";
import type { Actor } from "../../domain/operation.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { AttachRequest, ContainerView, VolumeView } from "../../engine/engine.ts";
import { type Capability, requiredCapability, requirePossible } from "./capability.ts";
import type { Csi } from "./context.ts";
import { ensureInline, isInline, removeInline } from "./ephemeral.ts";
import { parseRequest, requiredPath, requiredText, stringMap } from "./fields.ts";
import { requireFileSystem } from "./file-system.ts";
import { mustFind } from "./find.ts";
import { containerAt, wireId } from "./names.ts";
import { RUNTIME, stillPublished } from "./published.ts";
import { CsiError } from "./status.ts";
import { directoryOf } from "./targets.ts";

const REQUEST = z.object({
  volume_id: requiredText,
  target_path: requiredPath,
  volume_capability: requiredCapability,
  readonly: z.boolean(),
  volume_context: stringMap,
});

interface Target {
  readonly path: string;
  readonly volume: VolumeView["volume"];
  readonly mode: "RW" | "RO";
}

/** As `NodePublishVolume`. */
export async function publishVolume(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const {
    volume_id: id,
    target_path: path,
    volume_capability: wanted,
    readonly,
    volume_context: context,
  } = parseRequest(REQUEST, request);
  requirePossible([wanted]);
  return csi.inTurn(id, async () => {
    if (isInline(context)) await publishInline(csi, actor, { id, context, path, wanted, readonly });
    else await publishFound(csi, actor, { view: await mustFind(csi.engine, actor, id), path, wanted, readonly });
    return {};
  });
}

/** Kubelet does not unpublish what was never published: a new volume that cannot be goes with the refusal. */
async function publishInline(
  csi: Csi,
  actor: Actor,
  { id, context, ...how }: Omit<Publishing, "view"> & { readonly id: string; readonly context: Record<string, string> },
): Promise<void> {
  await directoryOf(how.path);
  const { view, isNew } = await ensureInline(csi, actor, { id, context, wanted: how.wanted });
  try {
    await publishFound(csi, actor, { ...how, view });
  } catch (error) {
    if (isNew) await removeInline(csi, actor, { id, name: view.volume }).catch(() => undefined);
    throw error;
  }
}

interface Publishing {
  readonly view: VolumeView;
  readonly path: string;
  readonly wanted: Capability;
  readonly readonly: boolean;
}

async function publishFound(
  { engine, targets }: Csi,
  actor: Actor,
  { view, path, wanted, readonly }: Publishing,
): Promise<void> {
  const { volume } = view;
  await requireFileSystem(engine, actor, volume, wanted.fsType);
  const target: Target = { path, volume, mode: readonly || wanted.readOnly ? "RO" : "RW" };
  const container = containerAt(path);
  requireSame(await engine.findContainer(actor, container), target);
  requireAllowedElsewhere(volume, await stillPublished(engine, actor, view), { own: container, wanted });
  const wish: Omit<AttachRequest, "sandbox"> = {
    container,
    runtime: RUNTIME,
    volumes: [
      {
        role: volume.role,
        id: volume.id,
        containerPath: parseContainerPath(basename(path), "target_path: its name"),
        mode: target.mode,
      },
    ],
    ...(wanted.group === undefined ? {} : { group: wanted.group }),
  };
  await targets.inDirectoryOf(path, (sandbox) => engine.attach(actor, { ...wish, sandbox }));
}

/** @throws ALREADY_EXISTS when something else is published at the path, or the same in another way */
function requireSame(present: ContainerView | undefined, { path, volume, mode }: Target): void {
  for (const { attachment, role, id } of present?.attachments ?? []) {
    if (attachment.phase === "lingering") continue;
    const isSame = attachment.uuid === volume.uuid && attachment.mode === mode;
    if (isSame) continue;
    const what =
      attachment.uuid === volume.uuid ? `it is there in mode ${attachment.mode}` : `${wireId({ role, id })} is`;
    throw new CsiError("ALREADY_EXISTS", `Cannot publish volume ${wireId(volume)} at ${path}: ${what}`);
  }
}

/** @throws FAILED_PRECONDITION when somebody has it, and it is not to be shared */
function requireAllowedElsewhere(
  volume: VolumeView["volume"],
  containers: readonly ContainerId[],
  { own, wanted }: { readonly own: ContainerId; readonly wanted: Capability },
): void {
  const other = containers.find((container) => container !== own);
  if (other === undefined || (wanted.shared && volume.shared)) return;
  const why = volume.shared ? "the access mode allows one place" : "it is not shared";
  const message = `Cannot publish volume ${wireId(volume)}: container ${other} has it, and ${why}`;
  throw new CsiError("FAILED_PRECONDITION", message);
}
