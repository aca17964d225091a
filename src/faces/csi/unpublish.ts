/** Unpublish: a volume is taken away from a path, and the path goes with it. */
import { basename } from "node:path";
import { z } from "zod";
import { parseContainerPath } from "../../domain/names.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Csi } from "./context.ts";
import { nameFor, removeInline } from "./ephemeral.ts";
import { parseRequest, requiredPath, requiredText } from "./fields.ts";
import { containerAt, type VolumeName, wireId } from "./names.ts";
import { isAt, publishedAt } from "./published.ts";
import { CsiError } from "./status.ts";
import { removeLeftover } from "./targets.ts";

const REQUEST = z.object({ volume_id: requiredText, target_path: requiredPath });

/** As `NodeUnpublishVolume`. A volume that is gone, or is not there, is fine: kubelet asks until it is told so. */
export async function unpublishVolume(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id, target_path: path } = parseRequest(REQUEST, request);
  return csi.inTurn(id, async () => {
    const container = containerAt(path);
    const other = publishedAt(await csi.engine.findContainer(actor, container));
    const name = nameFor(csi, id, other);
    if (other !== undefined && wireId(other) !== wireId(name)) throw isAnother(id, path, wireId(other));
    if (other === undefined) await takeStrayAway(csi, actor, { name, path });
    else await csi.engine.detach(actor, container, { force: false });
    if (other?.attachment.madeMountpoint !== true) await removeLeftover(path);
    await removeInline(csi, actor, { id, name });
    return {};
  });
}

function isAnother(id: string, path: string, other: string): CsiError {
  return new CsiError(
    "NOT_FOUND",
    `Cannot unpublish volume ${id}: no mount point of it is at ${path}, but of ${other}`,
  );
}

/**
 * The books may have been lost since it was published; whoever has it there now asks for it to be taken away.
 * @throws FAILED_PRECONDITION when it is still there after that
 */
async function takeStrayAway(
  { engine, targets }: Csi,
  actor: Actor,
  { name, path }: { readonly name: VolumeName; readonly path: string },
): Promise<void> {
  const view = await engine.findVolume(actor, name.role, name.id);
  if (view === undefined || (await isAt(path, view)) !== true) return;
  const containerPath = parseContainerPath(basename(path), "target_path: its name");
  await targets.inDirectoryOf(path, (sandbox) => engine.unmountStray(actor, { ...name, sandbox, containerPath }));
  if ((await isAt(path, view)) !== true) return;
  const message = `Cannot unpublish volume ${wireId(name)}: nobody knows how it came to ${path}, unmount it`;
  throw new CsiError("FAILED_PRECONDITION", message);
}
