/** Unpublish: a volume is taken away from a path, and the path goes with it. */
import { z } from "zod";
import type { Actor } from "../../domain/operation.ts";
import type { Csi } from "./context.ts";
import { inlineName, removeInline } from "./ephemeral.ts";
import { parseRequest, requiredPath, requiredText } from "./fields.ts";
import { containerAt, parseWireId, type VolumeName, wireId } from "./names.ts";
import { isAt, publishedAt } from "./published.ts";
import { CsiError } from "./status.ts";
import { removeLeftover } from "./targets.ts";

const REQUEST = z.object({ volume_id: requiredText, target_path: requiredPath });

/** As `NodeUnpublishVolume`. A volume that is gone, or is not there, is fine: kubelet asks until it is told so. */
export async function unpublishVolume(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id, target_path: path } = parseRequest(REQUEST, request);
  return csi.inTurn(id, async () => {
    const name = parseWireId(id) ?? inlineName(csi, id);
    const container = containerAt(path);
    const other = publishedAt(await csi.engine.findContainer(actor, container));
    if (other !== undefined && wireId(other) !== wireId(name)) throw isAnother(id, path, wireId(other));
    if (other === undefined) await requireAway(csi, actor, name, path);
    else await csi.engine.detach(actor, container, { force: false });
    if (other?.attachment.madeMountpoint !== true) await removeLeftover(path);
    await removeInline(csi, actor, id);
    return {};
  });
}

function isAnother(id: string, path: string, other: string): CsiError {
  return new CsiError(
    "NOT_FOUND",
    `Cannot unpublish volume ${id}: no mount point of it is at ${path}, but of ${other}`,
  );
}

/** @throws FAILED_PRECONDITION when it is there and the books say nothing of it: they were lost, or somebody else mounted it */
async function requireAway({ engine }: Csi, actor: Actor, name: VolumeName, path: string): Promise<void> {
  const view = await engine.findVolume(actor, name.role, name.id);
  if (view === undefined || (await isAt(path, view)) !== true) return;
  const message = `Cannot unpublish volume ${wireId(name)}: nobody knows how it came to ${path}, unmount it`;
  throw new CsiError("FAILED_PRECONDITION", message);
}
