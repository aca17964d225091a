/**
 * Opens the disks beside the work root's, and keeps looking after them: one that is not there disables its own volumes
 * and nothing else, and is used as soon as it is there.
 *
 *   absent ── the right one lies at its path ──▶ opened, recorded, its volumes claimed ──▶ open
 *   open ──── its path shows something else, or it fails ──▶ nobody begins anything new ──▶ absent
 *
 * Which one is the right one, a record says. What went away is closed when the last call has come back from it, however
 * long that takes; only then it is opened again.
 */
import { messageOf } from "../domain/error.ts";
import { type DirectoryIdentity, type DiskRecord, sameDirectory, type Volume } from "../domain/records.ts";
import { type DiskSource, sourceKey } from "../domain/resource.ts";
import type { Disk } from "../ports/disk.ts";
import type { DriveSource, Drives, Sight } from "../ports/drives.ts";
import { type Expected, isSameMount, whyGone, whyNotUsable } from "./disk-identity.ts";
import { describeAbsence, type LiveDiskTable } from "./disk-table.ts";
import { type Lease, leaseDisk } from "./lease.ts";
import type { Parts } from "./parts.ts";
import { reconcileVolumes } from "./reconcile.ts";
import { checkDisk, claimVolumes } from "./recover.ts";
import { endsSoon } from "./soon.ts";

/** Nobody waits longer for a disk that does not answer. */
const ANSWER_MS_MAX = 2_000;
const SILENT = "it does not answer: look at its device and the kernel's log";
const READ_ONLY = "its file system is read-only: look at the kernel's log, repair it and mount it read-write";
const FIRST_RETRY_MS = 30_000;
const LONGEST_RETRY_MS = 10 * 60_000;

interface Slot {
  readonly key: string;
  readonly source: DriveSource;
  /** The look that is under way: each that hangs occupies a thread, so there is one a disk. */
  trying?: Promise<void> | undefined;
  opened?: { readonly lease: Lease; readonly sight: Sight } | undefined;
  /** What went away is being closed. */
  closing?: Promise<void> | undefined;
  /** What could not be opened. */
  failed?: Failure | undefined;
}

interface Failure {
  readonly sight: Sight;
  readonly attempts: number;
  readonly reason: string;
  /** By boot time. */
  readonly retryAtMs: number;
}

export interface DiskKeeperOptions {
  readonly parts: Parts;
  /** Disks that are in it from the beginning are somebody else's. */
  readonly table: LiveDiskTable;
  readonly drives: Drives;
  /** What the operator declared. */
  readonly declared: readonly DiskSource[];
}

export class DiskKeeper {
  readonly #options: DiskKeeperOptions;
  readonly #others: ReadonlySet<string>;
  readonly #slots = new Map<string, Slot>();
  #isStarted = false;
  #isStopping = false;

  constructor(options: DiskKeeperOptions) {
    this.#options = options;
    this.#others = new Set(options.table.keys());
  }

  /** Opens what is there. Volumes are claimed, and have yet to be examined. */
  async openAll(): Promise<void> {
    await this.check();
    this.#isStarted = true;
  }

  /**
   * Looks at every disk: takes those that are there, lets go of those that are not any more. One that does not answer is
   * waited for a little; it comes when it comes. `now`: what could not be opened is tried again at once.
   */
  async check({ now = false }: { readonly now?: boolean } = {}): Promise<void> {
    this.#findSlots();
    await Promise.all([...this.#slots.values()].map((slot) => this.#settle(slot, now)));
  }

  /** Opens nothing any more; what is open stays so. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const looks = [...this.#slots.values()].flatMap(({ trying }) => trying ?? []);
    await endsSoon(this.#options.parts.clock, ANSWER_MS_MAX, Promise.all(looks));
  }

  /** Nobody uses the disks any more; what still hangs in one is left behind. */
  async close(): Promise<void> {
    for (const slot of this.#slots.values()) if (slot.opened !== undefined) this.#letGo(slot, slot.opened.lease);
    const ends = [...this.#slots.values()].flatMap(({ closing }) => closing ?? []);
    await endsSoon(this.#options.parts.clock, ANSWER_MS_MAX, Promise.all(ends));
  }

  /** One a source: what is declared, and what volumes are on record of. */
  #findSlots(): void {
    const { declared, parts, table } = this.#options;
    const wanted = new Map<string, DriveSource>();
    const want = (source: DiskSource): void => {
      if (source.type !== "ROOT" && !this.#others.has(sourceKey(source))) wanted.set(sourceKey(source), source);
    };
    declared.forEach(want);
    for (const { source } of parts.ledger.state.volumes.values()) want(source);
    for (const [key, source] of wanted) if (!this.#slots.has(key)) this.#slots.set(key, { key, source });
    for (const { key, opened, trying } of this.#slots.values()) {
      if (wanted.has(key) || opened !== undefined || trying !== undefined) continue;
      this.#slots.delete(key);
      table.absent.delete(key);
      parts.observations.closedDisks.delete(key);
    }
  }

  async #settle(slot: Slot, now: boolean): Promise<void> {
    slot.trying ??= this.#try(slot, now)
      .catch((error: unknown) => this.#noteUnknown(slot, error))
      .finally(() => {
        slot.trying = undefined;
      });
    const answered = await endsSoon(this.#options.parts.clock, ANSWER_MS_MAX, slot.trying);
    // Of an open one, those who use it say so.
    if (!answered && slot.opened === undefined) this.#noteAbsent(slot, SILENT);
  }

  async #try(slot: Slot, now: boolean): Promise<void> {
    const { drives } = this.#options;
    let look = await drives.look(slot.source);
    if (slot.opened !== undefined) {
      const reason = look.state === "absent" ? look.reason : whyGone(slot.opened.sight, look);
      if (reason === undefined) return this.#noteWritable(slot, look.state === "present" && look.isReadOnly);
      this.#leave(slot, reason);
    }
    if (slot.closing !== undefined) {
      await slot.closing;
      look = await drives.look(slot.source);
    }
    if (this.#isStopping) return;
    if (look.state === "absent") return this.#noteAbsent(slot, look.reason);
    const isBare = look.isReadOnly && look.directory === undefined;
    const reason =
      whyNotUsable(this.#expected(slot), look) ?? this.#namesake(slot, look) ?? (isBare ? READ_ONLY : undefined);
    if (reason !== undefined) return this.#noteAbsent(slot, reason);
    if (now || this.#mayTry(slot, look)) await this.#open(slot, look);
  }

  #expected({ key, source }: Slot): Expected {
    const { state } = this.#options.parts.ledger;
    return { source, record: state.disks.get(key), hasVolumes: this.#volumesOf(key).length > 0 };
  }

  /** Two disks in one directory would take each other's volumes for their own. */
  #namesake({ key }: Slot, { directory }: Pick<Sight, "directory">): string | undefined {
    for (const [other, disk] of this.#options.table) {
      if (other === key || directory === undefined || !sameDirectory(disk.directory, directory)) continue;
      return `it is the same directory as disk ${disk.root}, or a copy of it: declare it once`;
    }
    return undefined;
  }

  #mayTry({ failed }: Slot, sight: Sight): boolean {
    if (failed === undefined || !isSameMount(failed.sight, sight)) return true;
    return failed.retryAtMs <= this.#options.parts.clock.bootTimeMs();
  }

  async #open(slot: Slot, seen: Sight): Promise<void> {
    const { drives } = this.#options;
    let disk: Disk;
    try {
      disk = await drives.open(slot.source);
    } catch (error) {
      return this.#noteFailure(slot, seen, messageOf(error));
    }
    try {
      // Somebody may have mounted or unmounted something in between.
      const after = await drives.look(slot.source);
      if (after.state === "absent" || !isWhatWasSeen(seen, after, disk)) throw new Error("it changed just now");
      await this.#record(slot, after, disk);
      const reason = this.#namesake(slot, disk);
      if (reason !== undefined) throw new Error(reason);
      if (this.#isStopping) return void (await disk.close());
      this.#take(slot, disk, after);
    } catch (error) {
      await disk.close();
      return this.#noteFailure(slot, seen, messageOf(error));
    }
    if (this.#isStarted) await this.#goOnWith(slot);
  }

  /** Durable before the first volume is made on it. */
  async #record({ key, source }: Slot, { fileSystemUuid }: Sight, { directory }: Disk): Promise<void> {
    const { ledger } = this.#options.parts;
    const known = ledger.state.disks.get(key);
    const uuid = fileSystemUuid ?? (isOf(known, directory) ? known.fileSystemUuid : undefined);
    if (isOf(known, directory) && known.fileSystemUuid === uuid) return;
    const record: DiskRecord = { source, ...(uuid === undefined ? {} : { fileSystemUuid: uuid }), directory };
    await ledger.transact({ durable: true }, (tx) => tx.set("disks", key, record));
  }

  #take(slot: Slot, disk: Disk, sight: Sight): void {
    const { parts, table } = this.#options;
    claimVolumes(parts, disk);
    const lease = leaseDisk(disk);
    slot.opened = { lease, sight };
    slot.failed = undefined;
    for (const { uuid } of this.#volumesOf(slot.key)) parts.observations.damage.delete(uuid);
    const wasAbsent = table.absent.delete(slot.key);
    table.set(slot.key, lease.disk);
    this.#noteWritable(slot, sight.isReadOnly);
    if (!wasAbsent) return;
    parts.log.info({ disk: disk.root }, `Disk ${disk.root} is back`);
    parts.events.note({ type: "disk-back", message: `Disk ${disk.root} is back` });
  }

  /** What a start does with every disk. Until then it takes no new reservations. */
  async #goOnWith({ key, opened }: Slot): Promise<void> {
    const { parts } = this.#options;
    if (opened !== undefined) await checkDisk(parts, opened.lease.disk);
    await reconcileVolumes(parts, this.#volumesOf(key));
    await parts.labeller.rewriteStale();
  }

  #leave(slot: Slot, reason: string): void {
    const { lease } = slot.opened ?? {};
    if (lease === undefined) return;
    const { observations } = this.#options.parts;
    this.#letGo(slot, lease);
    for (const map of [observations.usage, observations.promised, observations.readOnly]) map.delete(slot.key);
    this.#noteAbsent(slot, reason);
  }

  #letGo(slot: Slot, lease: Lease): void {
    slot.opened = undefined;
    this.#options.table.delete(slot.key);
    slot.closing = lease
      .end()
      .then((disk) => disk.close())
      .catch((error: unknown) => this.#options.parts.log.warn({ error }, `Cannot close disk ${slot.source.root}`))
      .finally(() => {
        slot.closing = undefined;
      });
  }

  #noteFailure(slot: Slot, sight: Sight, reason: string): void {
    const attempts = (slot.failed?.attempts ?? 0) + 1;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LONGEST_RETRY_MS);
    const retryAtMs = this.#options.parts.clock.bootTimeMs() + delayMs;
    slot.failed = { sight, attempts, reason, retryAtMs };
    this.#noteAbsent(slot, `it cannot be opened (${reason}), and is tried again`);
  }

  /** A look that failed says nothing about the disk. */
  #noteUnknown(slot: Slot, error: unknown): void {
    if (slot.opened === undefined) this.#noteAbsent(slot, `${messageOf(error)}, and is tried again`);
    else this.#options.parts.log.warn({ error, disk: slot.source.root }, `Cannot look after disk ${slot.source.root}`);
  }

  /** One sentence for the disk, however many volumes it has. */
  #noteAbsent({ key, source: { root } }: Slot, reason: string): void {
    const { table, parts } = this.#options;
    if (table.absent.get(key)?.reason === reason) return;
    table.absent.set(key, { root, reason });
    parts.observations.closedDisks.set(key, reason);
    const volumes = this.#volumesOf(key);
    for (const { uuid } of volumes) parts.observations.damage.set(uuid, describeAbsence({ root, reason }));
    parts.log.error({ disk: root, volumes: volumes.length }, `Disk ${root} cannot be used: ${reason}`);
    parts.events.note({ type: "disk-lost", message: `Disk ${root} cannot be used: ${reason}` });
  }

  #noteWritable({ key, opened }: Slot, isReadOnly: boolean): void {
    const { readOnly } = this.#options.parts.observations;
    opened?.lease.refuseVolumes(isReadOnly ? READ_ONLY : undefined);
    if (isReadOnly) readOnly.set(key, READ_ONLY);
    else readOnly.delete(key);
  }

  #volumesOf(key: string): readonly Volume[] {
    return [...this.#options.parts.ledger.state.volumes.values()].filter(({ source }) => sourceKey(source) === key);
  }
}

function isOf(record: DiskRecord | undefined, directory: DirectoryIdentity): record is DiskRecord {
  return record !== undefined && sameDirectory(record.directory, directory);
}

function isWhatWasSeen(seen: Sight, after: Sight, { directory }: Disk): boolean {
  if (!isSameMount(seen, after) || after.directory === undefined) return false;
  if (!sameDirectory(after.directory, directory)) return false;
  return seen.directory === undefined || sameDirectory(seen.directory, directory);
}
