/** How full a volume is, and how well: the usage and condition of 1.12, and the health of 1.13. */
import { statfs } from "node:fs/promises";
import { z } from "zod";
import type { Actor } from "../../domain/operation.ts";
import { toBytes } from "../../domain/units.ts";
import type { VolumeView } from "../../engine/engine.ts";
import type { Csi } from "./context.ts";
import { mustFindPublished } from "./ephemeral.ts";
import { parseRequest, requiredPath, requiredText } from "./fields.ts";
import { containerAt, wireId } from "./names.ts";
import { publishedAt, requirePublished } from "./published.ts";
import { condition } from "./views.ts";

const STATS = z.object({ volume_id: requiredText, volume_path: requiredPath });
const HEALTH = z.object({
  volume_id: requiredText,
  volume_publish_path: z.preprocess((value) => (value === "" ? undefined : value), requiredPath.optional()),
});

const UNIT = { BYTES: 1, INODES: 2 } as const;
const VOLUME_HEALTH = { INACCESSIBLE: 1, DEGRADED: 3 } as const;
const STORAGE_DEGRADED = 2;
const PROBLEMS_MAX = 10;

/** As `NodeGetVolumeStats`. What nobody has counted yet is not told. */
export async function volumeStats(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id, volume_path: path } = parseRequest(STATS, request);
  const view = await mustFindPublished(csi, actor, { id, path });
  const { problem } = await requirePublished(csi.engine, actor, view, path);
  return { usage: await usageOf(view, path), volume_condition: condition(view.problem ?? problem) };
}

async function usageOf({ volume, usage }: VolumeView, path: string): Promise<readonly object[]> {
  if (usage === undefined) return [];
  const total = toBytes(volume.size);
  const bytes = { unit: UNIT.BYTES, total, used: usage.usedBytes, available: Math.max(0, total - usage.usedBytes) };
  if (usage.inodes === undefined) return [bytes];
  const files = await statfs(path).catch(() => undefined);
  const room = files === undefined || files.files === 0 ? {} : { total: files.files, available: files.ffree };
  return [bytes, { unit: UNIT.INODES, used: usage.inodes, ...room }];
}

/** As `NodeGetVolumeHealth`, also of a volume that could not be published. */
export async function volumeHealth(csi: Csi, request: unknown, actor: Actor): Promise<object> {
  const { volume_id: id, volume_publish_path: path } = parseRequest(HEALTH, request);
  const view = await mustFindPublished(csi, actor, { id, path });
  const container = path === undefined ? undefined : await csi.engine.findContainer(actor, containerAt(path));
  const published = publishedAt(container);
  const mountProblem = published?.attachment.uuid === view.volume.uuid ? published.problem : undefined;
  return {
    volume_health: {
      volume_id: wireId(view.volume),
      health_statuses: [...volumeStatuses(view), ...mountStatuses(mountProblem)],
    },
  };
}

function volumeStatuses({ state, problem }: VolumeView): readonly object[] {
  if (problem === undefined) return [];
  return state === "damaged"
    ? [{ status: VOLUME_HEALTH.INACCESSIBLE, reason: "VolumeDamaged", message: problem }]
    : [{ status: VOLUME_HEALTH.DEGRADED, reason: "VolumeFailing", message: problem }];
}

function mountStatuses(problem: string | undefined): readonly object[] {
  return problem === undefined
    ? []
    : [{ status: VOLUME_HEALTH.INACCESSIBLE, reason: "MountDamaged", message: problem }];
}

/** As `NodeGetStorageHealth`. */
export async function storageHealth({ engine }: Csi, _request: unknown, actor: Actor): Promise<object> {
  const { problems } = await engine.status(actor);
  if (problems.length === 0) return { backend_health: [] };
  return {
    backend_health: [{ status: STORAGE_DEGRADED, reason: "NodeHasProblems", message: inShort(problems) }],
  };
}

/** An answer that is too long is none. */
function inShort(problems: readonly string[]): string {
  const [shown, more] = [problems.slice(0, PROBLEMS_MAX), problems.length - PROBLEMS_MAX];
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}
