/** Containers: puts volumes into sandboxes and takes them out, with an intent committed before the kernel is asked. */
import { forgiveLosses, noteStarted, releaseInstances } from "../domain/app-members.ts";
import { type AttachContext, decideAttach, markAttached, setAttachments } from "../domain/attach.ts";
import { nameOf } from "../domain/decide.ts";
import { codeOf, type ErrorCode, HoldfastError } from "../domain/error.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import {
  type Attachment,
  type Container,
  type ContainerProcess,
  type DirectoryThisBoot,
  type Place,
  pathIn,
  type Volume,
} from "../domain/records.ts";
import type { ContainerId, Incarnation } from "../domain/units.ts";
import type { HeldMount } from "../ports/holders.ts";
import type { Mounted, MountedAt, MountRequest } from "../ports/mounter.ts";
import type { ProcessRequest } from "../ports/processes.ts";
import { type ChosenPlan, withInstance } from "./app-choice.ts";
import type { AttachPlan } from "./attach-plan.ts";
import type { AttachRequest } from "./engine.ts";
import { diskOfVolume, rootOf } from "./handed-ports.ts";
import { mustBeAlone, requireHeldByNobody } from "./in-use.ts";
import type { CommitKind } from "./ledger.ts";
import { attachmentKey } from "./observations.ts";
import type { Parts } from "./parts.ts";

/** Attachments end with the boot, so they need not survive a power cut. */
const BOOT_SCOPED = { durable: false } as const;
const RELEASE = { durable: false, releases: true } as const;

/** What says that something broke, and nothing about who has a mount. */
const FAILURES: readonly ErrorCode[] = ["internal", "unavailable", "disk_full"];

/** @throws `no_such_process` */
export function planAttach(parts: Parts, { process, ...request }: AttachRequest): AttachPlan {
  return process === undefined ? request : { ...request, process: identify(parts, process) };
}

function identify(parts: Parts, request: ProcessRequest): ContainerProcess {
  if (parts.mounter.backend === "bind") return parts.processes.identify(request);
  throw new HoldfastError(
    "unsupported",
    `Cannot attach to process ${request.pid}: volumes appear as ${parts.mounter.backend}s here, attach to a sandbox`,
  );
}

/** The caller has the container to itself. */
export async function attachVolumes(parts: Parts, actor: Actor, asked: AttachPlan): Promise<void> {
  let request: ChosenPlan = asked;
  const by = actorName(actor);
  const { toMount, toUnmount } = await parts.ledger.transact({ ...BOOT_SCOPED, by }, (tx) => {
    // Which instance an app gives depends on who has the others at this moment.
    request = withInstance(parts, tx.state, asked);
    return decideAttach(tx, { ...request, id: request.container }, attachContext(parts, actor));
  });
  if (toMount.length === 0 && toUnmount.length === 0) return noteInstance(parts, request, by);

  const mounted: Attachment[] = [];
  const unmounted: Attachment[] = [];
  let lingering: readonly Attachment[];
  try {
    const copies = await copiesOf(parts, request.container, toUnmount);
    const busy = await busyElsewhere(parts, request.container, copies);
    if (busy !== undefined) throw busy;
    for (const attachment of toMount) {
      mounted.push(await mount(parts, request, attachment));
      await giveToGroup(parts, request, attachment);
    }
    for (const attachment of toUnmount) {
      await takeAway(parts, mountedAt(parts, request, attachment), { force: false });
      parts.observations.mounts.delete(attachmentKey(request.container, attachment.uuid));
      unmounted.push(attachment);
    }
    // What only moved to another path is attached there.
    lingering = await stillHeld(parts, request.container, left(unmounted, mounted), copies);
  } catch (error) {
    await takeBack(parts, by, request, { toMount, toUnmount, mounted, unmounted });
    throw error;
  }
  const { container, instance } = request;
  // Which instance was used last is told of after a power cut too.
  await parts.ledger.transact({ durable: instance !== undefined, by }, (tx) => {
    replace(tx.state.containers.get(container), tx, (attachment) => {
      if (isAmong(lingering, attachment)) return { ...attachment, phase: "lingering" };
      if (isAmong(unmounted, attachment)) return undefined;
      return mounted.find((done) => isSame(done, attachment)) ?? attachment;
    });
    releaseInstances(tx, container, uuidsOf(left(unmounted, mounted)));
    if (instance !== undefined) noteStarted(tx, instance, { container, now: parts.clock.now() });
    markAttached(tx, uuidsOf(mounted), parts.clock.now());
  });
}

/** The container may have had the volumes before it asked for them by the app's name. */
async function noteInstance(parts: Parts, { container, instance }: ChosenPlan, by: string): Promise<void> {
  if (instance === undefined) return;
  await parts.ledger.transact({ durable: true, by }, (tx) =>
    noteStarted(tx, instance, { container, now: parts.clock.now() }),
  );
}

/** What was unmounted and is not at another path now. */
function left(unmounted: readonly Attachment[], mounted: readonly Attachment[]): readonly Attachment[] {
  return unmounted.filter(({ uuid }) => !mounted.some((other) => other.uuid === uuid));
}

function uuidsOf(attachments: readonly Attachment[]): readonly Incarnation[] {
  return attachments.map(({ uuid }) => uuid);
}

export function attachContext(parts: Parts, actor: Actor): AttachContext {
  return {
    by: actorName(actor),
    now: parts.clock.now(),
    bootId: parts.clock.bootId(),
    damageOf: (uuid) => parts.observations.damageOf(uuid),
  };
}

/** Takes everything away that the container has. The caller has the container to itself. */
export async function detachVolumes(
  parts: Parts,
  id: ContainerId,
  { force, ...why }: { readonly force: boolean } & Pick<CommitKind, "by" | "because">,
): Promise<void> {
  const container = await parts.ledger.read((state) => state.containers.get(id));
  if (container === undefined) return forgive(parts, id);
  const mounts = container.attachments.filter((attachment) => attachment.phase !== "lingering");
  await parts.ledger.transact({ ...RELEASE, ...why }, (tx) => setPhase(tx, id, mounts, "detaching"));

  const { unmounted, lingering, refusal } = await release(parts, container, mounts, { force });
  for (const { uuid } of [...unmounted, ...lingering]) parts.observations.mounts.delete(attachmentKey(id, uuid));

  await parts.ledger.transact({ ...RELEASE, ...why }, (tx) => {
    replace(tx.state.containers.get(id), tx, (attachment) => {
      if (isAmong(lingering, attachment)) return { ...attachment, phase: "lingering" };
      if (isAmong(unmounted, attachment)) return undefined;
      return attachment.phase === "detaching" ? { ...attachment, phase: "attached" } : attachment;
    });
    releaseInstances(tx, id, uuidsOf([...unmounted, ...lingering]));
  });
  if (refusal !== undefined) throw refusal;
}

/** What became of a container's mounts. */
interface Released {
  readonly unmounted: readonly Attachment[];
  /** Taken away, and somebody has it still. */
  readonly lingering: readonly Attachment[];
  /** Why one is still there. */
  readonly refusal?: unknown;
}

async function release(
  parts: Parts,
  container: Container,
  mounts: readonly Attachment[],
  { force }: { readonly force: boolean },
): Promise<Released> {
  const [first] = mounts;
  // Of several none is taken away before it is known of all that nobody sits in a copy.
  if (mounts.length === 1 && first !== undefined && isNobodyElses(parts, container.id, first)) {
    const released = await releaseEach(parts, container, mounts, { force, alone: true });
    if (codeOf(released.refusal) !== "in_use") return released;
  }
  const copies = await copiesOf(parts, container.id, mounts);
  const busy = force ? undefined : await busyElsewhere(parts, container.id, copies);
  if (busy !== undefined) return { unmounted: [], lingering: [], refusal: busy };
  const released = await releaseEach(parts, container, mounts, { force });
  const kept = await stillHeld(parts, container.id, released.unmounted, copies);
  return { ...released, lingering: [...released.lingering, ...kept] };
}

async function releaseEach(
  parts: Parts,
  container: Container,
  mounts: readonly Attachment[],
  options: Parameters<typeof takeAway>[2],
): Promise<Released> {
  const unmounted: Attachment[] = [];
  const lingering: Attachment[] = [];
  let refusal: unknown;
  for (const attachment of mounts.toReversed()) {
    try {
      const outcome = await takeAway(parts, mountedAt(parts, container, attachment), options);
      (outcome === "held" ? lingering : unmounted).push(attachment);
    } catch (error) {
      refusal ??= await withProcesses(parts, container, attachment, error);
    }
  }
  return { unmounted, lingering, refusal };
}

/** By the books. */
function isNobodyElses(parts: Parts, id: ContainerId, { uuid }: Attachment): boolean {
  return parts.ledger.state.containersOf(uuid).every((other) => other.id === id);
}

/** Its process ended before it was taken away. */
async function forgive(parts: Parts, id: ContainerId): Promise<void> {
  if (parts.ledger.state.apps.size === 0) return;
  await parts.ledger.transact({ durable: true }, (tx) => forgiveLosses(tx, id));
}

/** Where a recorded attachment is, as the mounter wants it. */
export function mountedAt(parts: Parts, { sandbox, process }: Place, attachment: Attachment): MountedAt {
  const volume = volumeOf(parts, attachment.uuid);
  const { mount } = attachment;
  if (sandbox === undefined || mount?.backend === "lent") throw new Error("What is lent is mounted by others");
  return {
    sandbox,
    ...(process === undefined ? {} : { process }),
    containerPath: attachment.containerPath,
    uuid: volume.uuid,
    diskRoot: rootOf(parts.disks, volume.source),
    directory: volume.directory,
    mode: attachment.mode,
    ...(mount === undefined ? {} : { mount }),
    ...(attachment.mountpoint === undefined ? {} : { mountpoint: attachment.mountpoint }),
    madeMountpoint: attachment.madeMountpoint,
  };
}

function volumeOf(parts: Parts, uuid: Incarnation): Volume {
  const volume = parts.ledger.state.volumes.get(uuid);
  if (volume === undefined)
    throw new HoldfastError("damaged", `Cannot find the record of volume ${uuid}, run holdfast doctor`);
  return volume;
}

async function mount(parts: Parts, request: AttachPlan, attachment: Attachment): Promise<Attachment> {
  const volume = volumeOf(parts, attachment.uuid);
  const wanted: MountRequest = {
    sandbox: request.sandbox,
    ...(request.process === undefined ? {} : { process: request.process }),
    containerPath: attachment.containerPath,
    uuid: volume.uuid,
    diskRoot: diskOfVolume(parts.disks, volume).root,
    directory: volume.directory,
    mode: attachment.mode,
    ...(volume.firstAttachedAt === undefined ? { owner: request.owner ?? "sandbox" } : {}),
  };
  try {
    const mounted = await (mustBeAlone(parts, request.container, volume)
      ? mountAlone(parts, request.container, { volume, wanted })
      : parts.mounter.attach(wanted));
    const madeMountpoint = mounted.madeMountpoint || isMadeByUs(parts, mounted.mountpoint);
    return { ...attachment, ...mounted, madeMountpoint, phase: "attached" };
  } catch (error) {
    throw withName(error, volume);
  }
}

/** Who the mounter takes for somebody else may be nobody; it says nothing of who. */
async function mountAlone(
  parts: Parts,
  container: ContainerId,
  { volume, wanted }: { readonly volume: Volume; readonly wanted: MountRequest },
): Promise<Mounted> {
  try {
    return await parts.mounter.attach({ ...wanted, alone: true });
  } catch (error) {
    if (codeOf(error) !== "in_use") throw error;
    await requireHeldByNobody(parts, container, volume);
    return await parts.mounter.attach(wanted);
  }
}

/** When it is mounted: the first attach gives the top to its owner. */
async function giveToGroup(parts: Parts, { group, signal }: AttachPlan, attachment: Attachment): Promise<void> {
  if (group === undefined || attachment.mode === "RO") return;
  const volume = volumeOf(parts, attachment.uuid);
  await diskOfVolume(parts.disks, volume).giveToGroup(volume, group, signal === undefined ? {} : { signal });
}

/** Whether the mountpoint was made for another container of the same root, and is left for the last of them to remove. */
function isMadeByUs(parts: Parts, mountpoint: DirectoryThisBoot | undefined): boolean {
  if (mountpoint === undefined) return false;
  const { ino, device } = mountpoint;
  return [...parts.ledger.state.containers.values()].some(({ attachments }) =>
    attachments.some((one) => one.madeMountpoint && one.mountpoint?.ino === ino && one.mountpoint.device === device),
  );
}

/** The mounter knows incarnations only; people know names. */
function withName(error: unknown, volume: Volume): unknown {
  if (!(error instanceof HoldfastError)) return error;
  const message = error.message.replaceAll(volume.uuid, nameOf(volume));
  return new HoldfastError(error.code, message, { cause: error, ...(error.details && { details: error.details }) });
}

/** Takes a mount away; by force also from under its processes, which then still hold the volume. */
export async function takeAway(
  parts: Parts,
  place: MountedAt,
  { force, alone = false }: { readonly force: boolean; readonly alone?: boolean },
): Promise<"free" | "held"> {
  try {
    await parts.mounter.detach(place, { lazy: false, alone });
    return "free";
  } catch (error) {
    if (await isAwayAfterAll(parts, place, error)) return "free";
    if (!force || codeOf(error) !== "busy") throw error;
    await parts.mounter.detach(place, { lazy: true });
    return "held";
  }
}

/** What failed may have been the look behind the unmount. */
async function isAwayAfterAll(parts: Parts, place: MountedAt, error: unknown): Promise<boolean> {
  if (FAILURES.includes(codeOf(error))) {
    try {
      if ((await parts.mounter.inspect(place)).state !== "missing") return false;
      await parts.mounter.clear(place);
      return true;
    } catch {
      // What was refused first says more.
    }
  }
  return false;
}

interface HalfDone {
  readonly toMount: readonly Attachment[];
  readonly toUnmount: readonly Attachment[];
  readonly mounted: readonly Attachment[];
  readonly unmounted: readonly Attachment[];
}

/** All or nothing: unmounts what was just mounted and mounts again what was just unmounted. */
async function takeBack(parts: Parts, by: string, request: AttachPlan, half: HalfDone): Promise<void> {
  const stuck: Attachment[] = [];
  for (const attachment of half.mounted.toReversed()) {
    try {
      // Nobody was told of it yet, but a process may have found it nevertheless.
      const outcome = await takeAway(parts, mountedAt(parts, request, attachment), { force: true });
      if (outcome === "held") stuck.push({ ...attachment, phase: "lingering" });
    } catch (error) {
      parts.log.error({ error, container: request.container }, "Cannot take a volume out of a sandbox again");
      // Still an intent, which the next look takes back.
      stuck.push({ ...attachment, phase: "attaching" });
    }
  }
  const remounted: Attachment[] = [];
  const lost: Attachment[] = [];
  for (const attachment of half.unmounted) {
    try {
      remounted.push(await mount(parts, request, attachment));
    } catch (error) {
      parts.log.error({ error, container: request.container }, "Cannot put a volume back into a sandbox");
      lost.push(attachment);
    }
  }
  const because = "an attach failed and was taken back";
  await parts.ledger.transact({ ...RELEASE, by, because }, (tx) => {
    replace(tx.state.containers.get(request.container), tx, (attachment) => {
      if (isAmong(lost, attachment)) return undefined;
      if (attachment.phase === "lingering") return attachment;
      const known = [...stuck, ...remounted].find((done) => isSamePlace(done, attachment));
      if (known !== undefined) return known;
      if (isAmong(half.toMount, attachment)) return undefined;
      return isAmong(half.toUnmount, attachment) ? { ...attachment, phase: "attached" } : attachment;
    });
  });
}

/**
 * Mounts of these volumes in other mount namespaces than the daemon's, besides the container's own mounts. A volume that
 * another container has as well is in use in any case: whose a mount is, is asked when the last of them goes. An
 * unreadable namespace blocks destroy, not detach.
 */
async function copiesOf(
  parts: Parts,
  id: ContainerId,
  attachments: readonly Attachment[],
): Promise<readonly HeldMount[]> {
  const alone = attachments.filter((attachment) => isNobodyElses(parts, id, attachment));
  if (alone.length === 0 || parts.mounter.backend === "symlink") return [];
  const { process, sandbox = "/" } = parts.ledger.state.containers.get(id) ?? {};
  const isOwn = ({ namespace, mountPoint, uuid }: HeldMount) =>
    namespace === process?.mountNamespace &&
    alone.some((one) => one.uuid === uuid && mountPoint === pathIn(sandbox, one.containerPath));
  try {
    const mounts = await parts.holders.mounts(
      alone.map(({ uuid }) => uuid),
      "elsewhere",
    );
    return mounts.filter((mount) => !isOwn(mount));
  } catch (error) {
    parts.log.warn({ error }, "Cannot look into every mount namespace");
    return [];
  }
}

/**
 * Those of which another mount namespace has kept its copy, or a process sits in one: a copy goes with its mountpoint,
 * and leaves the processes in it behind.
 */
async function stillHeld(
  parts: Parts,
  id: ContainerId,
  unmounted: readonly Attachment[],
  copies: readonly HeldMount[],
): Promise<readonly Attachment[]> {
  const copied = unmounted.filter(({ uuid }) => copies.some((copy) => copy.uuid === uuid));
  if (copied.length === 0) return [];
  const kept = await copiesOf(parts, id, copied);
  const processes = await parts.holders.processes(copied.map(({ uuid }) => uuid)).catch(() => undefined);
  // Unknown means held; the reconcile looks again.
  if (processes === undefined) return copied;
  return copied.filter(({ uuid }) => [...kept, ...processes].some((held) => held.uuid === uuid));
}

/** The kernel tells whether our own mount is busy, but not whether a copy of it in a container is; what it says of that. */
async function busyElsewhere(parts: Parts, id: ContainerId, copies: readonly HeldMount[]): Promise<unknown> {
  if (copies.length === 0) return undefined;
  try {
    const processes = await parts.holders.processes([...new Set(copies.map((copy) => copy.uuid))]);
    return processes.length === 0 ? undefined : busyWith(parts, id, processes);
  } catch (error) {
    return error;
  }
}

async function withProcesses(
  parts: Parts,
  container: Container,
  attachment: Attachment,
  error: unknown,
): Promise<unknown> {
  if (codeOf(error) !== "busy") return error;
  // Who it is may not be found out; that it is busy is known.
  const processes = await parts.holders.processes([attachment.uuid]).catch(() => []);
  return busyWith(parts, container.id, processes, error);
}

function busyWith(
  parts: Parts,
  id: ContainerId,
  processes: readonly { readonly uuid: Incarnation; readonly pid: number; readonly command: string }[],
  cause?: unknown,
): HoldfastError {
  const shown = processes.slice(0, 5).map((process) => `${process.pid} (${process.command})`);
  const volumes = [...new Set(processes.map((process) => nameOf(volumeOf(parts, process.uuid))))];
  const what = volumes.length === 0 ? "a volume" : `volume ${volumes.join(", ")}`;
  const who = shown.length === 0 ? "somebody that is not visible here" : `process ${shown.join(", ")}`;
  return new HoldfastError("busy", `Cannot detach container ${id}: ${what} is used by ${who}`, {
    cause,
    details: { pids: processes.map((process) => process.pid) },
  });
}

function setPhase(
  tx: Parameters<typeof setAttachments>[0],
  id: ContainerId,
  attachments: readonly Attachment[],
  phase: Attachment["phase"],
): void {
  replace(tx.state.containers.get(id), tx, (attachment) =>
    isAmong(attachments, attachment) ? { ...attachment, phase } : attachment,
  );
}

/** Replaces (or, with `undefined`, removes) each attachment of a container. */
function replace(
  container: Container | undefined,
  tx: Parameters<typeof setAttachments>[0],
  change: (attachment: Attachment) => Attachment | undefined,
): void {
  if (container === undefined) return;
  setAttachments(
    tx,
    container.id,
    container.attachments.flatMap((attachment) => change(attachment) ?? []),
  );
}

function isAmong(attachments: readonly Attachment[], attachment: Attachment): boolean {
  return attachments.some((other) => isSame(other, attachment));
}

/** What lingers is another attachment than the one that took its place. */
function isSame(left: Attachment, right: Attachment): boolean {
  return isSamePlace(left, right) && (left.phase === "lingering") === (right.phase === "lingering");
}

function isSamePlace(left: Attachment, right: Attachment): boolean {
  return left.uuid === right.uuid && left.containerPath === right.containerPath;
}
