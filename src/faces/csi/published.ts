/** What is published where, by the books. */
import type { Actor } from "../../domain/operation.ts";
import type { ContainerView, Engine, VolumeView } from "../../engine/engine.ts";
import { containerAt, wireId } from "./names.ts";
import { CsiError } from "./status.ts";

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
