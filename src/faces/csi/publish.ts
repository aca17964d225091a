/** Publish: a volume appears at a path of this node. It stays there through restarts, until it is unpublished. */
import { realpath, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { z } from "zod";
import { parseContainerPath } from "../../domain/names.ts";
import type { Actor } from "../../domain/operation.ts";
import { pathIn } from "../../domain/records.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { ContainerView, Engine, VolumeView } from "../../engine/engine.ts";
import { type Capability, requiredCapability, requirePossible } from "./capability.ts";
import type { Csi } from "./context.ts";
import { ensureInline, isInline } from "./ephemeral.ts";
import { parseRequest, requiredPath, requiredText, stringMap } from "./fields.ts";
import { requireFileSystem } from "./file-system.ts";
import { mustFind } from "./find.ts";
import { containerAt, wireId } from "./names.ts";
import { publishedAt } from "./published.ts";
import { CsiError } from "./status.ts";

/** What runs the containers that stand for published volumes, for people. */
const RUNTIME = "csi";

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
  return csi.alone(id, async () => {
    const view = isInline(context)
      ? await ensureInline(csi, actor, { id, context, wanted })
      : await mustFind(csi.engine, actor, id);
    await publishFound(csi, actor, { view, path, wanted, readonly });
    return {};
  });
}

interface Publishing {
  readonly view: VolumeView;
  readonly path: string;
  readonly wanted: Capability;
  readonly readonly: boolean;
}

async function publishFound(
  { engine }: Csi,
  actor: Actor,
  { view, path, wanted, readonly }: Publishing,
): Promise<void> {
  const { volume } = view;
  await requireFileSystem(engine, actor, volume, wanted.fsType);
  const target: Target = { path, volume, mode: readonly || wanted.readOnly ? "RO" : "RW" };
  const container = containerAt(path);
  requireSame(await engine.findContainer(actor, container), target);
  requireAllowedElsewhere(volume, await stillPublished(engine, actor, view), { own: container, wanted });
  await engine.attach(actor, {
    container,
    sandbox: await resolved(path),
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
  });
}

/**
 * Who has the volume. What is published by the books, and nothing is there because somebody unmounted it, is not published
 * any more: nobody would ever unpublish it, as whoever cleans up after a pod by himself asks for nothing.
 */
async function stillPublished(engine: Engine, actor: Actor, view: VolumeView): Promise<readonly ContainerId[]> {
  const still: ContainerId[] = [];
  for (const id of view.containers) {
    const found = await engine.findContainer(actor, id);
    const target = targetOf(found);
    if (target !== undefined && (await isGone(target, view))) await engine.detach(actor, id, { force: false });
    else still.push(id);
  }
  return still;
}

/** Where CSI has published a container's volume; `undefined` for containers of others. */
function targetOf(container: ContainerView | undefined): string | undefined {
  const { runtime, sandbox } = container?.container ?? {};
  const published = publishedAt(container);
  if (runtime !== RUNTIME || sandbox === undefined || published === undefined) return undefined;
  return pathIn(sandbox, published.attachment.containerPath);
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

/** The directory that the target lies in, without symlinks: kubelet's own root may be one. */
async function resolved(path: string): Promise<string> {
  const directory = dirname(path);
  try {
    return await realpath(directory);
  } catch (cause) {
    throw new CsiError("FAILED_PRECONDITION", `Cannot publish at ${path}: ${directory} is not there`, { cause });
  }
}

/** Whether the volume's content is there and the path leads elsewhere, or nowhere. What cannot be told is not gone. */
async function isGone(path: string, { path: content }: VolumeView): Promise<boolean> {
  try {
    const ours = await stat(content);
    const there = await stat(path).catch(nothing);
    return there === undefined || there.ino !== ours.ino || there.dev !== ours.dev;
  } catch {
    return false;
  }
}

/** @throws what says anything else than that there is nothing */
function nothing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
}
