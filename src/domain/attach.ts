/**
 * Decides what makes exactly the asked-for volumes present in a container: which attachments stay, which are to be
 * mounted, which are to go. Purely; the engine mounts and unmounts.
 */
import { nameOf } from "./decide.ts";
import { HoldfastError } from "./error.ts";
import { refusalOf, stateOf } from "./lifecycle.ts";
import { attachmentPhases, type NodeState, type Transaction } from "./node.ts";
import type { Attachment, Container, Volume } from "./records.ts";
import type { Mode } from "./resource.ts";
import type { BootId, ContainerId, ContainerPath, Incarnation, Role, VolumeId, WallMs } from "./units.ts";

interface WantedVolume {
  readonly role: Role;
  readonly id: VolumeId;
  /** Default: the volume's own. */
  readonly containerPath?: ContainerPath;
  readonly mode: Mode;
}

export interface WantedContainer {
  readonly id: ContainerId;
  readonly sandbox: string;
  readonly volumes: readonly WantedVolume[];
}

export interface AttachContext {
  readonly by: string;
  readonly now: WallMs;
  readonly bootId: BootId;
  /** Why a volume is damaged; `undefined` for a healthy one. */
  readonly damageOf: (uuid: Incarnation) => string | undefined;
}

export interface AttachDecision {
  readonly toMount: readonly Attachment[];
  readonly toUnmount: readonly Attachment[];
}

/**
 * Records the intents: new attachments `attaching`, those no longer wanted `detaching`. The caller has the container
 * to itself.
 */
export function decideAttach(tx: Transaction, wanted: WantedContainer, context: AttachContext): AttachDecision {
  const before = tx.state.containers.get(wanted.id);
  requireSamePlace(before, wanted);
  const volumes = wanted.volumes.map((volume) => resolve(tx.state, wanted, volume));
  requireDistinct(wanted, volumes);

  const kept: Attachment[] = [];
  const toMount: Attachment[] = [];
  for (const { volume, containerPath, mode } of volumes) {
    const present = before?.attachments.find(
      (attachment) =>
        attachment.uuid === volume.uuid &&
        attachment.containerPath === containerPath &&
        attachment.phase !== "lingering",
    );
    if (present?.phase === "attached" && present.mode === mode && context.damageOf(volume.uuid) === undefined) {
      kept.push(present);
      continue;
    }
    requireAttachable(tx.state, wanted, volume, context);
    requireFreePath(tx.state, wanted, volume, containerPath);
    toMount.push({ uuid: volume.uuid, containerPath, mode, phase: "attaching", madeMountpoint: false });
  }

  const gone = (before?.attachments ?? []).filter((attachment) => !kept.includes(attachment));
  const toUnmount = gone
    .filter((attachment) => attachment.phase !== "lingering")
    .map((attachment): Attachment => ({ ...attachment, phase: "detaching" }));
  const lingering = gone.filter((attachment) => attachment.phase === "lingering");
  if (toMount.length === 0 && toUnmount.length === 0) return { toMount, toUnmount };

  tx.set("containers", wanted.id, {
    id: wanted.id,
    sandbox: wanted.sandbox,
    bootId: context.bootId,
    since: before?.since ?? context.now,
    by: before?.by ?? context.by,
    attachments: [...kept, ...lingering, ...toMount, ...toUnmount],
  });
  return { toMount, toUnmount };
}

/** Replaces a container's attachments; a container without any is forgotten. */
export function setAttachments(tx: Transaction, id: ContainerId, attachments: readonly Attachment[]): void {
  const container = tx.state.containers.get(id);
  if (container === undefined) return;
  tx.set("containers", id, attachments.length === 0 ? undefined : { ...container, attachments });
}

/** Notes that these volumes have been attached, so that their owner is never set again. */
export function markAttached(tx: Transaction, uuids: readonly Incarnation[], now: WallMs): void {
  for (const uuid of uuids) {
    const volume = tx.state.volumes.get(uuid);
    if (volume?.firstAttachedAt === undefined && volume !== undefined) {
      tx.set("volumes", uuid, { ...volume, firstAttachedAt: now });
    }
  }
}

interface ResolvedVolume {
  readonly volume: Volume;
  readonly containerPath: ContainerPath;
  readonly mode: Mode;
}

function resolve(state: NodeState, wanted: WantedContainer, entry: WantedVolume): ResolvedVolume {
  const volume = state.live(entry.role, entry.id);
  if (volume === undefined) {
    throw new HoldfastError(
      "no_such_volume",
      `Cannot attach volume ${entry.role}/${entry.id} to container ${wanted.id}: there is no such volume`,
    );
  }
  return { volume, containerPath: entry.containerPath ?? volume.containerPath, mode: entry.mode };
}

function requireSamePlace(before: Container | undefined, wanted: WantedContainer): void {
  if (before === undefined || before.sandbox === wanted.sandbox) return;
  throw new HoldfastError(
    "conflict",
    `Cannot attach to container ${wanted.id} in ${wanted.sandbox}: a container of this id lives in ${before.sandbox}`,
  );
}

function requireDistinct(wanted: WantedContainer, volumes: readonly ResolvedVolume[]): void {
  const uuids = new Set<Incarnation>();
  const paths = new Set<ContainerPath>();
  for (const { volume, containerPath } of volumes) {
    if (uuids.has(volume.uuid)) {
      throw new HoldfastError(
        "invalid",
        `Cannot attach to container ${wanted.id}: volume ${nameOf(volume)} is listed twice`,
      );
    }
    if (paths.has(containerPath)) {
      throw new HoldfastError(
        "invalid",
        `Cannot attach to container ${wanted.id}: path ${containerPath} is listed twice`,
      );
    }
    uuids.add(volume.uuid);
    paths.add(containerPath);
  }
}

function requireAttachable(state: NodeState, wanted: WantedContainer, volume: Volume, context: AttachContext): void {
  const damage = context.damageOf(volume.uuid);
  const others = state.containersOf(volume.uuid).filter((container) => container.id !== wanted.id);
  const own =
    state.containers.get(wanted.id)?.attachments.filter((attachment) => attachment.uuid === volume.uuid) ?? [];
  const held = own.some((attachment) => attachment.phase === "lingering");
  const phases = others.length === 0 && !held ? [] : attachmentPhases(state, volume.uuid);
  const code = refusalOf(stateOf(volume.phase, phases, damage !== undefined), volume.shared ? "share" : "attach");
  if (code === undefined) return;
  const holder = others[0]?.id ?? wanted.id;
  const reason = damage ?? `in use by container ${holder}${held ? ", which was detached by force and lingers" : ""}`;
  throw new HoldfastError(code, `Cannot attach volume ${nameOf(volume)} to container ${wanted.id}: ${reason}`, {
    details: { container: holder },
  });
}

/** One sandbox may serve several containers; one path in it serves one volume. */
function requireFreePath(state: NodeState, wanted: WantedContainer, volume: Volume, path: ContainerPath): void {
  for (const container of state.containersIn(wanted.sandbox)) {
    for (const attachment of container.attachments) {
      if (attachment.containerPath !== path || attachment.phase === "lingering") continue;
      const occupant = state.volumes.get(attachment.uuid);
      throw new HoldfastError(
        "conflict",
        `Cannot attach volume ${nameOf(volume)} at ${path}: occupied by volume ${occupant === undefined ? attachment.uuid : nameOf(occupant)} of container ${container.id}`,
      );
    }
  }
}
