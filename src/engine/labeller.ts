/**
 * Keeps labels and symlinks, the redundant copies of the checkpoint that people, tools and `rebuild` read: written
 * before an operation is answered, synced behind it. The checkpoint remembers through which revision they are on disk,
 * so that recovery rewrites only the few that may be missing.
 */
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Disk } from "../ports/disk.ts";
import type { Ports } from "./handed-ports.ts";
import type { Ledger } from "./ledger.ts";

/** Labels are synced together when none was written for so long: each sync would hold up the commits beside it. */
const QUIET_MS = 500;
/** At the latest after so many such waits. */
const WAITS_MAX = 10;

/** Written between two turns of the event loop: a few milliseconds. */
const LABELS_PER_SLICE = 50;

export class Labeller {
  readonly #ports: Ports;
  readonly #ledger: Ledger;
  /** Revisions that were given out and whose labels are not yet known to be on disk. */
  readonly #outstanding = new Map<number, Incarnation>();
  /** With all revisions that the label had since it was synced: the last one stands for them. */
  #unsynced = new Map<Disk, Map<Incarnation, readonly number[]>>();
  #staleNodeLabels = new Set<Disk>();
  #scheduled: (() => void) | undefined;
  /** Something was written since the last look. */
  #touched = false;
  #waits = 0;
  #running: Promise<void> | undefined;

  constructor(ports: Ports, ledger: Ledger) {
    this.#ports = ports;
    this.#ledger = ledger;
  }

  /** Announces labels in the same turn in which their revisions were given out. */
  expect(volumes: readonly Volume[]): void {
    for (const { uuid, revision } of volumes) this.#outstanding.set(revision, uuid);
  }

  /** Their commit failed; what the store has nevertheless is left to the next recovery. */
  forget(volumes: readonly Volume[]): void {
    for (const { uuid, revision } of volumes) {
      if (this.#ledger.state.volumes.get(uuid)?.revision !== revision) this.#outstanding.delete(revision);
    }
  }

  /** Writes labels now; a label that cannot be written is logged and written again by the next recovery. */
  write(volumes: readonly Volume[]): void {
    for (const volume of volumes) {
      const disk = this.#ports.disks.get(sourceKey(volume.source));
      // It is written when its disk is there.
      if (disk === undefined) continue;
      try {
        disk.writeLabel(volume);
        const unsynced = this.#unsynced.get(disk) ?? new Map<Incarnation, readonly number[]>();
        const revisions = [...(unsynced.get(volume.uuid) ?? []), volume.revision];
        this.#unsynced.set(disk, unsynced.set(volume.uuid, revisions));
      } catch (error) {
        this.#ports.log.warn({ error, volume: volume.uuid }, "Cannot write a volume's label");
      }
    }
    this.#schedule();
  }

  /** Writes every label that is not known to be on disk: after a start, and after a failed commit. */
  async rewriteStale(): Promise<void> {
    const { state, labelledThrough } = this.#ledger;
    const stale = [...state.volumes.values()].filter(
      ({ uuid, revision }) => revision > labelledThrough && this.#needsLabel(uuid),
    );
    this.expect(stale);
    await this.#inSlices(stale, (some) => {
      const left = some.filter((volume) => this.#isUnchanged(volume));
      // Whoever changed one labels it.
      for (const volume of some) if (!left.includes(volume)) this.#outstanding.delete(volume.revision);
      this.write(left);
    });
    this.reservationsChanged();
  }

  /** Writes labels anew that are missing, damaged or old, whatever became of them since they were written. */
  async repair(signal: AbortSignal): Promise<void> {
    await this.#inSlices([...this.#ledger.state.volumes.values()], (some) => {
      if (signal.aborted) return;
      const bad = some.filter((volume) => this.#isUnchanged(volume) && this.#isBadlyLabelled(volume));
      for (const { uuid } of bad)
        this.#ports.log.warn({ volume: uuid }, "A label is missing, damaged or old, and is written anew");
      this.write(bad);
    });
  }

  /** A few at a time, and none of a change that is not stored yet. */
  async #inSlices(volumes: readonly Volume[], work: (some: readonly Volume[]) => void): Promise<void> {
    await this.#ledger.settled();
    for (let start = 0; start < volumes.length; start += LABELS_PER_SLICE) {
      if (start > 0) await new Promise<void>((resolve) => setImmediate(resolve));
      work(volumes.slice(start, start + LABELS_PER_SLICE));
    }
  }

  #isUnchanged({ uuid, revision }: Volume): boolean {
    return this.#ledger.state.volumes.get(uuid)?.revision === revision;
  }

  /** A label that is newer than the record stays: it may be the checkpoint that is of an earlier time. */
  #isBadlyLabelled(volume: Volume): boolean {
    // What is being adopted or copied has none yet.
    if (volume.origin !== undefined || volume.copying !== undefined || !this.#needsLabel(volume.uuid)) return false;
    const disk = this.#ports.disks.get(sourceKey(volume.source));
    return disk !== undefined && (disk.labelRevision(volume) ?? -1) < volume.revision;
  }

  /** Every disk's own label lists its reservations. */
  reservationsChanged(): void {
    for (const disk of this.#ports.disks.values()) this.#staleNodeLabels.add(disk);
    this.#schedule();
  }

  /** Resolves when everything written so far is on disk. */
  async flush(): Promise<void> {
    this.#scheduled?.();
    this.#scheduled = undefined;
    while (this.#running !== undefined) await this.#running;
    if (this.#unsynced.size === 0 && this.#staleNodeLabels.size === 0) return;
    await this.#run();
  }

  #schedule(): void {
    this.#touched = true;
    if (this.#scheduled === undefined && this.#running === undefined) this.#wait();
  }

  #wait(): void {
    this.#touched = false;
    this.#waits += 1;
    this.#scheduled = this.#ports.clock.after(QUIET_MS, () => {
      this.#scheduled = undefined;
      if (this.#touched && this.#waits < WAITS_MAX) this.#wait();
      else void this.#run();
    });
  }

  #run(): Promise<void> {
    this.#touched = false;
    this.#waits = 0;
    this.#running = this.#sync().finally(() => {
      this.#running = undefined;
      if (this.#touched) this.#wait();
    });
    return this.#running;
  }

  /** Failures are logged and left to the next recovery: the checkpoint has everything that labels have. */
  async #sync(): Promise<void> {
    const unsynced = this.#unsynced;
    const stale = this.#staleNodeLabels;
    this.#unsynced = new Map();
    this.#staleNodeLabels = new Set();
    for (const disk of stale) await this.#guarded(() => this.#writeNodeLabel(disk));
    for (const [disk, labels] of unsynced) {
      await this.#guarded(async () => {
        await disk.syncLabels([...labels.keys()]);
        this.#markSynced(disk, labels);
      });
    }
    await this.#guarded(() => this.#note());
  }

  /** A disk that fails is no other disk's problem. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#ports.log.warn({ error }, "Cannot sync labels");
    }
  }

  /** What was written again meanwhile has yet to be synced. */
  #markSynced(disk: Disk, labels: ReadonlyMap<Incarnation, readonly number[]>): void {
    for (const [uuid, revisions] of labels) {
      const again = this.#unsynced.get(disk)?.get(uuid) ?? [];
      for (const revision of revisions) if (!again.includes(revision)) this.#outstanding.delete(revision);
    }
  }

  async #writeNodeLabel(disk: Disk): Promise<void> {
    const reservations = await this.#ledger.read((state) =>
      [...state.reservations.values()].filter((entry) => sourceKey(entry.source) === sourceKey(disk.source)),
    );
    await disk.writeNodeLabel({ agentId: this.#ledger.header.agentId, reservations });
  }

  /** Of what is being collected the label goes first. */
  #needsLabel(uuid: Incarnation): boolean {
    const volume = this.#ledger.state.volumes.get(uuid);
    return volume !== undefined && volume.phase !== "collecting";
  }

  async #note(): Promise<void> {
    let through = this.#ledger.revision;
    for (const [revision, uuid] of this.#outstanding) {
      if (this.#needsLabel(uuid)) through = Math.min(through, revision - 1);
      else this.#outstanding.delete(revision);
    }
    if (through > this.#ledger.labelledThrough) await this.#ledger.noteLabelled(through);
  }
}
