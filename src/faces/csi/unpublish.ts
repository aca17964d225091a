/** Unpublish: a volume is taken away from a path, and the path goes with it. */
import { rmdir } from "node:fs/promises";
import { z } from "zod";
import type { Actor } from "../../domain/operation.ts";
import type { Csi } from "./context.ts";
import { inlineName, removeInline } from "./ephemeral.ts";
import { parseRequest, requiredPath, requiredText } from "./fields.ts";
import { containerAt, parseWireId, wireId } from "./names.ts";
import { publishedAt } from "./published.ts";
import { CsiError } from "./status.ts";

const REQUEST = z.object({ volume_id: requiredText, target_path: requiredPath });

/** As `NodeUnpublishVolume`. A volume that is gone, or is not there, is fine: kubelet asks until it is told so. */
export async function unpublishVolume(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id, target_path: path } = parseRequest(REQUEST, request);
  return csi.alone(id, async () => {
    const name = parseWireId(id) ?? inlineName(csi, id);
    const container = containerAt(path);
    const other = publishedAt(await csi.engine.findContainer(actor, container));
    if (other !== undefined && wireId(other) !== wireId(name)) throw isAnother(id, path, wireId(other));
    if (other !== undefined) await csi.engine.detach(actor, container, { force: false });
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

/** An empty directory at a target is of no use to anybody, whoever made it; anything else there is not ours. */
async function removeLeftover(path: string): Promise<void> {
  await rmdir(path).catch(() => undefined);
}
