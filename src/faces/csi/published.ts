/** What is published where, by the books, and whether it is there. */
import { stat } from "node:fs/promises";
import type { Actor } from "../../domain/operation.ts";
import { pathIn } from "../../domain/records.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { ContainerView, Engine, VolumeView } from "../../engine/engine.ts";
import { containerAt, wireId } from "./names.ts";
import { CsiError } from "./status.ts";

/** What runs the containers that stand for published volumes, for people. */
export const RUNTIME = "csi";

type Published = ContainerView["attachments"][number];

/** What is published at a path now; `undefined` for nothing. */
export function publishedAt(container: ContainerView | undefined): Published | undefined {
  return container?.attachments.find(({ attachment }) => attachment.phase !== "lingering");
}

/** How the volume is published at a path. @throws NOT_FOUND when it is not */
export async function requirePublished(
  engine: Engine,
  actor: Actor,
  { volume }: VolumeView,
  path: string,
): Promise<Published> {
  const published = publishedAt(await engine.findContainer(actor, containerAt(path)));
  if (published?.attachment.uuid === volume.uuid) return published;
  throw new CsiError("NOT_FOUND", `Cannot find volume ${wireId(volume)} at ${path}: it is not published there`);
}

/**
 * Who has the volume. What is published by the books, and nothing is there because somebody unmounted it, is not published
 * any more: nobody would ever unpublish it, as whoever cleans up after a pod by himself asks for nothing.
 */
export async function stillPublished(engine: Engine, actor: Actor, view: VolumeView): Promise<readonly ContainerId[]> {
  const still: ContainerId[] = [];
  for (const id of view.containers) {
    const found = await engine.findContainer(actor, id);
    const target = targetOf(found);
    if (target !== undefined && (await isAt(target, view)) === false) await engine.detach(actor, id, { force: false });
    else still.push(id);
  }
  return still;
}

/** Whether a path leads to the volume's content; `undefined` when that cannot be told. */
export async function isAt(path: string, { path: content }: VolumeView): Promise<boolean | undefined> {
  try {
    const ours = await stat(content);
    const there = await stat(path).catch(nothing);
    return there !== undefined && there.ino === ours.ino && there.dev === ours.dev;
  } catch {
    return undefined;
  }
}

/** Where CSI has published a container's volume; `undefined` for containers of others. */
function targetOf(container: ContainerView | undefined): string | undefined {
  const { runtime, sandbox } = container?.container ?? {};
  const published = publishedAt(container);
  if (runtime !== RUNTIME || sandbox === undefined || published === undefined) return undefined;
  return pathIn(sandbox, published.attachment.containerPath);
}

/** @throws what says anything else than that there is nothing */
function nothing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
}
