/**
 * Decides what makes exactly the asked-for volumes present in a container: which attachments stay, which are to be
 * mounted, which are to go. Purely; the engine mounts and unmounts.
 */
import { nameOf } from "./decide.ts";
import { HoldfastError } from "./error.ts";
import { refusalOf, stateOf } from "./lifecycle.ts";
import { attachmentPhases, type NodeState, type Transaction } from "./node.ts";
import { type Attachment, type Container, type Place, placeOf, type Volume } from "./records.ts";
import type { Mode } from "./resource.ts";
import { requireNotHandedOver } from "./sandboxes.ts";
import type { BootId, ContainerId, ContainerPath, Incarnation, Role, VolumeId, WallMs } from "./units.ts";

interface WantedVolume {
  readonly role: Role;
  readonly id: VolumeId;
  /** Default: the volume's own. */
  readonly containerPath?: ContainerPath;
  readonly mode: Mode;
}

export interface WantedContainer extends Place, Pick<Container, "id" | "runtime"> {
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
    requireNotHandedOver(tx.state, wanted);
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
    ...(wanted.process === undefined ? {} : { process: wanted.process }),
    ...(wanted.runtime === undefined ? {} : { runtime: wanted.runtime }),
    bootId: context.bootId,
    since: before?.since ?? context.now,
    by: before?.by ?? context.by,
    attachments: [...kept, ...lingering, ...toMount, ...toUnmount],
  });
  return { toMount, toUnmount };
}

export interface WantedLoan {
  readonly borrower: ContainerId;
  readonly role: Role;
  readonly id: VolumeId;
  readonly runtime: string;
}

/** Records that a container engine was given a volume, which it mounts by itself. Returns the volume. */
export function decideLoan(
  tx: Transaction,
  wanted: WantedLoan,
  context: AttachContext & { readonly bootTimeMs: number },
): Volume {
  const { borrower, runtime } = wanted;
  const before = tx.state.containers.get(borrower);
  if (before?.sandbox !== undefined) {
    throw new HoldfastError(
      "conflict",
      `Cannot attach to container ${borrower} of ${runtime}: a container of this id lives in ${describePlace(before)}`,
    );
  }
  const volume = requireLive(tx.state, borrower, wanted);
  const present = before?.attachments.find((attachment) => attachment.uuid === volume.uuid);
  if (present?.phase === "attached") return volume;
  if (present === undefined) requireAttachable(tx.state, { id: borrower }, volume, context);
  const attachment: Attachment = {
    uuid: volume.uuid,
    containerPath: volume.containerPath,
    mode: "RW",
    phase: "attached",
    mount: { backend: "lent", atBootMs: context.bootTimeMs, seen: false },
    madeMountpoint: false,
  };
  tx.set("containers", borrower, {
    id: borrower,
    runtime,
    bootId: context.bootId,
    since: before?.since ?? context.now,
    by: before?.by ?? context.by,
    attachments: [...(before?.attachments ?? []).filter(({ uuid }) => uuid !== volume.uuid), attachment],
  });
  markAttached(tx, [volume.uuid], context.now);
  return volume;
}

/** Replaces a container's attachments; a container without any is forgotten. What lingers twice does so once. */
export function setAttachments(tx: Transaction, id: ContainerId, attachments: readonly Attachment[]): void {
  const container = tx.state.containers.get(id);
  if (container === undefined) return;
  const distinct = attachments.filter(
    (one, index) => !attachments.slice(0, index).some((other) => bothLinger(one, other)),
  );
  tx.set("containers", id, distinct.length === 0 ? undefined : { ...container, attachments: distinct });
}

function bothLinger(left: Attachment, right: Attachment): boolean {
  const isSamePlace = left.uuid === right.uuid && left.containerPath === right.containerPath;
  return isSamePlace && left.phase === "lingering" && right.phase === "lingering";
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
  const volume = requireLive(state, wanted.id, entry);
  return { volume, containerPath: entry.containerPath ?? volume.containerPath, mode: entry.mode };
}

function requireLive(state: NodeState, container: ContainerId, name: Pick<WantedVolume, "role" | "id">): Volume {
  const volume = state.live(name.role, name.id);
  if (volume !== undefined) return volume;
  throw new HoldfastError(
    "no_such_volume",
    `Cannot attach volume ${name.role}/${name.id} to container ${container}: there is no such volume`,
  );
}

function requireSamePlace(before: Container | undefined, wanted: WantedContainer): void {
  if (before === undefined || placeOf(before) === placeOf(wanted)) return;
  throw new HoldfastError(
    "conflict",
    `Cannot attach to container ${wanted.id} in ${describePlace(wanted)}: a container of this id lives in ${describePlace(before)}`,
  );
}

function describePlace({ sandbox, process, runtime }: Place & Pick<Container, "runtime">): string {
  if (sandbox === undefined) return runtime ?? "a container engine";
  return process === undefined ? sandbox : `${sandbox} of process ${process.pid}`;
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

function requireAttachable(
  state: NodeState,
  wanted: Pick<WantedContainer, "id">,
  volume: Volume,
  context: AttachContext,
): void {
  if (volume.snapshotOf !== undefined) {
    const reason = "it is a snapshot, make a volume of it by copying it";
    throw new HoldfastError(
      "unsupported",
      `Cannot attach volume ${nameOf(volume)} to container ${wanted.id}: ${reason}`,
    );
  }
  const damage = context.damageOf(volume.uuid);
  const others = state.containersOf(volume.uuid).filter((container) => container.id !== wanted.id);
  const own =
    state.containers.get(wanted.id)?.attachments.filter((attachment) => attachment.uuid === volume.uuid) ?? [];
  const held = own.some((attachment) => attachment.phase === "lingering");
  const phases = others.length === 0 && !held ? [] : attachmentPhases(state, volume.uuid);
  const code = refusalOf(stateOf(volume, phases, damage !== undefined), volume.shared ? "share" : "attach");
  if (code === undefined) return;
  const holder = others[0]?.id ?? wanted.id;
  const reason =
    damage === undefined && isInTheMaking(volume)
      ? `it is being ${volume.origin === undefined ? "copied" : "adopted"}`
      : (damage ?? `in use by container ${holder}${held ? ", which was detached by force and lingers" : ""}`);
  throw new HoldfastError(code, `Cannot attach volume ${nameOf(volume)} to container ${wanted.id}: ${reason}`, {
    details: { container: holder },
  });
}

function isInTheMaking({ origin, copying }: Volume): boolean {
  return origin !== undefined || copying !== undefined;
}

function otherMode({ id }: WantedContainer, volume: Volume, { containerPath, mode, phase }: Attachment): HoldfastError {
  const is =
    phase === "attached" ? `it is there in mode ${mode}, detach it first to change that` : `it is ${phase} there`;
  return new HoldfastError(
    "conflict",
    `Cannot attach volume ${nameOf(volume)} to container ${id} at ${containerPath}: ${is}`,
  );
}

/** One sandbox may serve several containers; one path in it serves one volume. */
function requireFreePath(state: NodeState, wanted: WantedContainer, volume: Volume, path: ContainerPath): void {
  for (const container of state.containersIn(placeOf(wanted) ?? wanted.sandbox)) {
    for (const attachment of container.attachments) {
      if (attachment.containerPath !== path || attachment.phase === "lingering") continue;
      if (container.id === wanted.id && attachment.uuid === volume.uuid) throw otherMode(wanted, volume, attachment);
      const occupant = state.volumes.get(attachment.uuid);
      throw new HoldfastError(
        "conflict",
        `Cannot attach volume ${nameOf(volume)} at ${path}: occupied by volume ${occupant === undefined ? attachment.uuid : nameOf(occupant)} of container ${container.id}`,
      );
    }
  }
}
