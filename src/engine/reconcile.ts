/**
 * Compares what is recorded with what is there, and settles the difference. Recovery at start and the periodic
 * reconcile walk this same road, so nothing here runs only after a crash:
 *
 *   record              there                         becomes
 *   attaching           our mount or nothing          gone (it was never acknowledged), or lingering while held
 *   detaching           our mount, wherever / nothing attached again / gone, or lingering while held
 *   attached            exact / sandbox gone          adopted / gone, or shown while the mount is elsewhere
 *   attached            nothing, foreign, stacked     shown as damaged; nothing is mounted under a live container
 *   lingering           nobody holds it any more      gone
 *   lent                nobody is seen with it        gone, unless it was given out a moment ago
 *   any, process ended  its namespace's mount / none  lingering / gone, our empty mountpoint removed
 *   any, other boot     -                             gone, our empty mountpoint removed
 *   live                directory missing, other      shown as damaged, never made anew
 *   live, adopting      moved here, or not yet        moved back to where it was, forgotten
 *   live, copying       nobody copies it any more     moved to trash, and collected
 *   destroying          -                             moved to trash, retained
 *   retained            still under volumes/          moved to trash again (an interrupted restore)
 *   retained            nowhere                       forgotten: somebody emptied the trash
 *   collecting          -                             left to the collection, which goes on with it
 */
import { loseInstances } from "../domain/app-members.ts";
import { setAttachments } from "../domain/attach.ts";
import { nameOf } from "../domain/decide.ts";
import { messageOf } from "../domain/error.ts";
import { type Attachment, type Container, pathIn, sameDirectory, type Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import type { ContainerId, Incarnation } from "../domain/units.ts";
import type { Finding } from "../ports/disk.ts";
import type { MountFinding } from "../ports/mounter.ts";
import { takeAdoptionsBack } from "./adopt.ts";
import { mountedAt, takeAway } from "./attach.ts";
import { retire } from "./destroy.ts";
import { describeAbsence } from "./disk-table.ts";
import { endContainer } from "./ended.ts";
import { checkHold } from "./hold.ts";
import { lentVolumes, settleLoans } from "./loans.ts";
import { momentNow } from "./moment.ts";
import { attachmentKey } from "./observations.ts";
import type { Parts } from "./parts.ts";

/** What a pass did, for the log and for `status`. */
export interface Reconciled {
  readonly adopted: number;
  readonly cleared: number;
  readonly completed: number;
}

/** Examined between two turns of the event loop: about 2 ms. */
const VOLUMES_PER_SLICE = 500;

const BOOT_SCOPED = { durable: false, releases: true } as const;

/** Every container, each for itself. */
export async function reconcileContainers(parts: Parts): Promise<Reconciled> {
  const counts = { adopted: 0, cleared: 0, completed: 0 };
  const ids = [...parts.ledger.state.containers.values()].map((container) => container.id);
  await Promise.all(
    ids.map((id) =>
      parts.serial.run(id, async () => {
        const container = parts.ledger.state.containers.get(id);
        if (container === undefined) return;
        if (container.bootId === parts.clock.bootId()) await reconcileContainer(parts, container, counts);
        else await clearContainer(parts, container, counts);
      }),
    ),
  );
  await settleLoans(parts, lentVolumes(parts.ledger.state));
  return counts;
}

/** Settles what an interrupted request left of a container. The caller has the container to itself. */
export async function settleInterrupted(parts: Parts, id: ContainerId): Promise<void> {
  const container = parts.ledger.state.containers.get(id);
  const isIntent = ({ phase }: Attachment) => phase === "attaching" || phase === "detaching";
  if (container === undefined || !container.attachments.some(isIntent)) return;
  await reconcileContainer(parts, container, { adopted: 0, cleared: 0, completed: 0 });
}

/** A reboot ended every mount; what may be left are the mountpoints that we made. */
async function clearContainer(parts: Parts, container: Container, counts: { cleared: number }): Promise<void> {
  for (const attachment of container.attachments) {
    parts.observations.mounts.delete(attachmentKey(container.id, attachment.uuid));
    try {
      if (attachment.mount?.backend !== "lent") await parts.mounter.clear(mountedAt(parts, container, attachment));
    } catch (error) {
      parts.log.warn({ error, container: container.id }, "Cannot clear a mountpoint of an earlier boot");
    }
    counts.cleared += 1;
  }
  await parts.ledger.transact({ ...BOOT_SCOPED, because: "the machine was rebooted" }, (tx) => {
    tx.set("containers", container.id, undefined);
    loseInstances(tx, container, momentNow(parts));
  });
}

async function reconcileContainer(
  parts: Parts,
  container: Container,
  counts: { adopted: number; cleared: number; completed: number },
): Promise<void> {
  if (container.sandbox === undefined) return;
  const end = await endContainer(parts, container);
  if (end !== "alive") {
    if (end === "over") counts.cleared += container.attachments.length;
    return;
  }
  const after: Attachment[] = [];
  for (const attachment of container.attachments) {
    const kept = await reconcileAttachment(parts, container, attachment);
    if (kept === undefined) counts.cleared += 1;
    else after.push(kept);
    if (kept === attachment) counts.adopted += 1;
    else if (kept !== undefined) counts.completed += 1;
  }
  const { attachments } = container;
  if (after.length === attachments.length && after.every((one, index) => one === attachments[index])) return;
  await parts.ledger.transact({ ...BOOT_SCOPED, because: "found so by the reconcile" }, (tx) => {
    setAttachments(tx, container.id, after);
    loseInstances(tx, container, momentNow(parts));
  });
}

/** The attachment as it shall be recorded now; the very same object when nothing changed, `undefined` when it is over. */
async function reconcileAttachment(
  parts: Parts,
  container: Container,
  attachment: Attachment,
): Promise<Attachment | undefined> {
  try {
    const { settled, problem } = await settleAttachment(parts, container, attachment);
    note(parts, container, attachment, problem);
    return settled;
  } catch (error) {
    // What cannot be settled now is shown and looked at again; the others shall not wait for it.
    note(parts, container, attachment, messageOf(error));
    return attachment;
  }
}

interface Settlement {
  readonly settled: Attachment | undefined;
  readonly problem?: string | undefined;
}

async function settleAttachment(parts: Parts, container: Container, attachment: Attachment): Promise<Settlement> {
  if (attachment.phase === "lingering") return { settled: await settleLingering(parts, container, attachment) };
  const place = mountedAt(parts, container, attachment);
  const finding = await parts.mounter.inspect(place);
  const isThere = finding.state === "exact" || finding.state === "stacked";
  switch (attachment.phase) {
    case "attaching":
      if (isThere || (await straying(parts, container, attachment)) !== undefined) {
        await takeAway(parts, place, { force: true });
      } else await parts.mounter.clear(place);
      return { settled: await unlessReleased(parts, { ...attachment, phase: "lingering" }) };
    case "detaching": {
      if (isThere) return { settled: { ...attachment, phase: "attached" } };
      const mountPoint = await straying(parts, container, attachment);
      if (mountPoint !== undefined) {
        const problem = `its volume is still mounted at ${mountPoint}: detach container ${container.id}`;
        return { settled: { ...attachment, phase: "attached" }, problem };
      }
      await parts.mounter.clear(place);
      return { settled: await unlessReleased(parts, { ...attachment, phase: "lingering" }) };
    }
    case "attached":
      if (finding.state === "sandbox_gone") return settleGone(parts, container, attachment);
      return { settled: attachment, problem: describeMount(container, attachment, finding) };
  }
}

/** What was taken for ended and is not has its mount still; what was detached by force has none. */
async function settleLingering(
  parts: Parts,
  container: Container,
  attachment: Attachment,
): Promise<Attachment | undefined> {
  if (container.process !== undefined && attachment.mount !== undefined) {
    const { state } = await parts.mounter.inspect(mountedAt(parts, container, attachment));
    if (state === "exact") return { ...attachment, phase: "attached" };
  }
  return unlessReleased(parts, attachment);
}

/** A sandbox that is gone may only have been renamed: our mount has moved along, and the volume is not free. */
async function settleGone(parts: Parts, container: Container, attachment: Attachment): Promise<Settlement> {
  const mountPoint = await straying(parts, container, attachment);
  if (mountPoint !== undefined) {
    const cure = `stop container ${container.id} and detach it`;
    const problem = `sandbox ${container.sandbox} is gone, yet its volume is mounted at ${mountPoint}: ${cure}`;
    return { settled: attachment, problem };
  }
  parts.log.info({ container: container.id }, "Released a container whose sandbox is gone");
  return { settled: await unlessReleased(parts, { ...attachment, phase: "lingering" }) };
}

/** Where our namespace has the volume mounted although no other container does: covered, changed, or moved away. */
async function straying(parts: Parts, container: Container, { uuid }: Attachment): Promise<string | undefined> {
  const others = parts.ledger.state.containersOf(uuid).filter(({ id }) => id !== container.id);
  const places = others.flatMap(({ sandbox, attachments }) =>
    attachments.map(({ containerPath }) => `${sandbox}/${containerPath}`),
  );
  const mounts = await parts.holders.mounts([uuid], "everywhere");
  return mounts.find(({ namespace, mountPoint }) => namespace === "host" && !places.includes(mountPoint))?.mountPoint;
}

/** What lingers does so until nobody holds it any more. */
async function unlessReleased(parts: Parts, attachment: Attachment): Promise<Attachment | undefined> {
  return (await isHeld(parts, attachment.uuid)) ? attachment : undefined;
}

function describeMount(container: Container, attachment: Attachment, finding: MountFinding): string | undefined {
  const place = pathIn(container.sandbox ?? "/", attachment.containerPath);
  const cure = `stop container ${container.id} and detach it`;
  switch (finding.state) {
    case "exact":
    case "sandbox_gone":
      return undefined;
    case "missing":
      return `the mount at ${place} was removed behind our back: ${cure}`;
    case "stacked":
      return `the mount at ${place} is there more than once: ${cure}`;
    case "foreign":
      return `the mount at ${place} is not what was recorded (${finding.reason}): ${cure}`;
  }
}

function note(parts: Parts, container: Container, { uuid }: Attachment, problem: string | undefined): void {
  const { mounts } = parts.observations;
  const key = attachmentKey(container.id, uuid);
  const isNews = mounts.has(key) !== (problem !== undefined);
  if (problem === undefined) mounts.delete(key);
  else mounts.set(key, problem);
  if (!isNews) return;
  if (problem !== undefined) parts.log.warn({ attachment: key }, problem);
  const volume = parts.ledger.state.volumes.get(uuid);
  parts.events.note({
    type: problem === undefined ? "repaired" : "damaged",
    ...(volume === undefined ? {} : { role: volume.role, id: volume.id }),
    uuid,
    container: container.id,
    ...(volume?.app === undefined ? {} : { app: volume.app.id }),
    ...(problem === undefined ? {} : { message: problem }),
  });
}

/** Unknown means held. */
async function isHeld(parts: Parts, uuid: Incarnation): Promise<boolean> {
  try {
    if ((await parts.holders.mounts([uuid], "elsewhere")).length > 0) return true;
    return (await parts.holders.processes([uuid])).length > 0;
  } catch (error) {
    parts.log.warn({ error, volume: uuid }, "Cannot tell whether a volume is still held");
    return true;
  }
}

/**
 * These volumes' directories. Stops when so much time is used up; returns how many half-done operations were taken up
 * again, and the volumes that were not looked at.
 */
export async function reconcileVolumes(
  parts: Parts,
  volumes: readonly Volume[],
  budgetMs = Number.POSITIVE_INFINITY,
): Promise<{ readonly resumed: number; readonly rest: readonly Volume[] }> {
  if (volumes.some(({ origin }) => origin !== undefined)) await takeAdoptionsBack(parts);
  const endMs = performance.now() + budgetMs;
  const toRetire: Volume[] = [];
  let examined = 0;
  while (examined < volumes.length && performance.now() < endMs) {
    for (const { uuid } of volumes.slice(examined, examined + VOLUMES_PER_SLICE)) {
      const volume = parts.ledger.state.volumes.get(uuid);
      if (volume !== undefined && examine(parts, volume) === "retire") toRetire.push(volume);
    }
    examined += VOLUMES_PER_SLICE;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const due = toRetire.filter((volume) => parts.observations.mayRetry(volume.uuid, parts.clock.bootTimeMs()));
  if (due.length > 0) await retire(parts, due);
  return { resumed: due.length, rest: volumes.slice(examined) };
}

/** Notes what is wrong with a volume's directory, and says whether it has yet to go to trash. */
function examine(parts: Parts, volume: Volume): "retire" | "stay" {
  const disk = parts.disks.get(sourceKey(volume.source));
  if (disk === undefined) {
    const absence = parts.disks.absent.get(sourceKey(volume.source));
    const reason = absence === undefined ? "this node does not have its disk: declare it" : describeAbsence(absence);
    parts.observations.damage.set(volume.uuid, reason);
    return "stay";
  }
  switch (volume.phase) {
    case "live": {
      if (volume.copying !== undefined) parts.observations.damage.delete(volume.uuid);
      if (volume.origin !== undefined || volume.copying !== undefined) return "stay";
      const damage = describeDirectory(volume, disk.examine(volume.uuid), disk.root);
      if (damage === undefined) {
        if (parts.observations.damage.delete(volume.uuid)) noteDamage(parts, "repaired", volume);
        checkHold(parts, volume);
      } else if (parts.observations.damage.get(volume.uuid) !== damage) {
        parts.observations.damage.set(volume.uuid, damage);
        parts.log.error({ volume: volume.uuid }, `Volume ${nameOf(volume)} is damaged: ${damage}`);
        noteDamage(parts, "damaged", volume, damage);
      }
      return "stay";
    }
    case "destroying":
      return "retire";
    case "collecting":
      // The collection that was begun ends it.
      return "stay";
    case "retained":
      return disk.examineTrash(volume.uuid).state === "missing" ? "retire" : "stay";
  }
}

function noteDamage(parts: Parts, type: "damaged" | "repaired", volume: Volume, message?: string): void {
  const { role, id, uuid, app } = volume;
  const owner = app === undefined ? {} : { app: app.id };
  parts.events.note({ type, role, id, uuid, ...owner, ...(message === undefined ? {} : { message }) });
}

function describeDirectory(volume: Volume, finding: Finding, root: string): string | undefined {
  const place = `${root}/volumes/${volume.uuid}/content`;
  const cure = `bring it back from where it went or from a backup and run holdfast rebuild, or destroy the volume`;
  switch (finding.state) {
    case "missing":
      return `its directory ${place} is missing: ${cure}`;
    case "foreign":
      return `${place} is not its directory (${finding.reason}): ${cure}`;
    case "present":
      if (sameDirectory(finding.directory, volume.directory)) return undefined;
      return `${place} is another directory than was recorded: ${cure}`;
  }
}
