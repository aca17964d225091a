/** What outlives the daemon: disk, checkpoint, kernel, processes; and what is known to be true of it. */
import { PERMISSIVE } from "../../src/domain/acl.ts";
import type { ContainerProcess, Volume } from "../../src/domain/records.ts";
import { sourceKey } from "../../src/domain/resource.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import { NodeEngine } from "../../src/engine/node-engine.ts";
import type { Log } from "../../src/ports/log.ts";
import type { Random } from "../../src/ports/random.ts";
import { disk } from "../domain/world.ts";
import { PEER, SILENT } from "../engine/rig.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { fakeRandom } from "../fakes/fake-random.ts";
import { MemoryDisk } from "../fakes/memory-disk.ts";
import { NO_DRIVES } from "../fakes/memory-drives.ts";
import { MemoryHolders } from "../fakes/memory-holders.ts";
import { MemoryMounter } from "../fakes/memory-mounter.ts";
import { MemoryProcesses } from "../fakes/memory-processes.ts";
import { MemorySandboxes } from "../fakes/memory-sandboxes.ts";
import { createMemoryStore } from "../fakes/memory-store.ts";
import { MemoryTrail } from "../fakes/memory-trail.ts";
import type { Chance } from "./chance.ts";
import {
  drive,
  Life,
  letRest,
  mortalClock,
  mortalDisk,
  mortalHolders,
  mortalMounter,
  mortalSandboxes,
  mortalStore,
} from "./life.ts";

export const DECLARED_MB = 1_000;
const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };

export type Death = "kill" | "power cut";

/** How many names a sandbox has. */
export const SANDBOX_NAMES = 3;

export class World {
  readonly store = createMemoryStore();
  readonly holders = new MemoryHolders();
  readonly mounter = new MemoryMounter({ holders: this.holders });
  readonly processes = new MemoryProcesses();
  readonly sandboxes = new MemorySandboxes({ mounter: this.mounter });
  readonly clock = new FakeClock();
  readonly disk: MemoryDisk;
  /** Every incarnation that was ever seen in the checkpoint, with the files that containers wrote into it. */
  readonly files = new Map<Incarnation, number>();

  /** What somebody asked to be deleted for good. */
  readonly mayGo = new Set<Incarnation>();

  readonly #inits = new Map<string, ContainerProcess>();
  #lastPid = 1_000;

  /** Directories that are to be adopted, by path: each is there, or is a volume's. Its inode. */
  readonly strays = new Map<string, string>();
  /** The inodes of all that there ever were. */
  readonly strayInodes = new Set<string>();

  /** Sandboxes that nobody asked to collect. */
  readonly boxes = new Set<string>();

  /** Ids whose symlinks a power cut may have left in any state. */
  readonly doubtfulLinks = new Set<string>();

  readonly #random: Random;

  constructor(seed: number) {
    this.#random = fakeRandom(seed + 1);
    const enforcement = seed % 2 === 0 ? "nothing" : "project-quota";
    this.disk = new MemoryDisk({ random: fakeRandom(seed), enforcement });
  }

  engine(life: Life): NodeEngine {
    return new NodeEngine({
      store: mortalStore(this.store, life),
      trail: new MemoryTrail(),
      declared: [disk(DECLARED_MB)],
      disks: new Map([
        [sourceKey(this.disk.source), mortalDisk(this.disk, life, ({ id }) => this.doubtfulLinks.add(id))],
      ]),
      drives: NO_DRIVES,
      mounter: mortalMounter(this.mounter, life),
      holders: mortalHolders(this.holders, life),
      processes: this.processes,
      sandboxes: mortalSandboxes(this.sandboxes, life),
      clock: mortalClock(this.clock, life),
      random: this.#random,
      log: QUIET,
      metrics: SILENT,
      acls: () => PERMISSIVE,
      reconcileIntervalMs: 2_000,
      gc: { delayMs: 7 * 86_400_000, headroom: 0.1, intervalMs: 60_000, minAgeMs: 3_600_000 },
    });
  }

  /** Where a volume can be seen. */
  placesOf(uuid: Incarnation): readonly string[] {
    return this.mounter.places().filter((place) => this.mounter.shownAt(place) === uuid);
  }

  /** The volumes of role `common`. */
  get common(): readonly { readonly uuid: Incarnation; readonly id: string }[] {
    return [...this.store.contents().records.volumes.values()].filter(({ role }) => role === "common");
  }

  /** How many files must be in a volume: a new one is empty, or as what it was copied from. */
  filesIn({ uuid, copyOf, snapshotOf }: Volume): number {
    const source = (copyOf ?? snapshotOf)?.uuid;
    return this.files.get(uuid) ?? (source === undefined ? 0 : (this.files.get(source) ?? 0));
  }

  /** Remembers every volume of the checkpoint that is not in the making. */
  getToKnow(): void {
    for (const volume of this.store.contents().records.volumes.values()) {
      if (volume.origin === undefined && volume.copying === undefined) {
        this.files.set(volume.uuid, this.filesIn(volume));
      }
    }
    // What is a volume now may be collected one day.
    for (const path of this.strays.keys()) if (!this.disk.foreign().includes(path)) this.strays.delete(path);
  }

  /** A directory beside the volumes, with 1 MB in it. */
  layDown(path: string): void {
    const { ino } = this.disk.addForeign(path, { usedBytes: 2 ** 20 });
    this.strays.set(path, ino);
    this.strayInodes.add(ino);
  }

  /** A container's directory. */
  unpack(path: string): void {
    this.sandboxes.add(path, SANDBOX_NAMES);
    this.boxes.add(path);
  }

  /** A container writes into a volume that is attached. */
  write(uuid: Incarnation): void {
    this.disk.fill(uuid);
    this.files.set(uuid, (this.files.get(uuid) ?? 0) + 1);
  }

  /** A process enters one of the volumes that are mounted. */
  enter(chance: Chance): void {
    const uuids = this.mounter.places().flatMap((place) => this.mounter.shownAt(place) ?? []);
    const uuid = uuids.length === 0 ? undefined : chance.pick(uuids);
    if (uuid === undefined || uuid === "foreign") return;
    this.mounter.sitIn(uuid);
    this.holders.sitIn(uuid);
  }

  /** The first process of a container, started if there is none. */
  initOf(container: string): ContainerProcess {
    const known = this.#inits.get(container);
    if (known !== undefined && !this.processes.hasEnded(known)) return known;
    this.#lastPid += 1;
    const process = this.processes.start(this.#lastPid);
    this.#inits.set(container, process);
    return process;
  }

  /** It ends, with its mount namespace and whoever sat in it. */
  end(container: string): void {
    const process = this.initOf(container);
    this.mounter.endNamespace(process);
    for (const { uuid } of [...this.holders.holding]) if (this.placesOf(uuid).length === 0) this.leave(uuid);
    this.processes.end(process.pid);
  }

  /** Every process leaves one volume, or all of them. */
  leave(uuid?: Incarnation): void {
    for (const { uuid: held } of [...this.holders.holding]) {
      if (uuid === undefined || held === uuid) this.mounter.setFree(held);
    }
    this.holders.letGo(uuid);
  }

  /** The daemon dies, perhaps with everything else. */
  async die(life: Life, death: Death, chance?: Chance): Promise<void> {
    life.dead = true;
    this.processes.forgetWatches();
    if (death === "kill") {
      this.disk.crash();
      return;
    }
    // What was not synced may be there or not.
    for (const undo of life.unsynced()) if (chance?.percent(50) ?? true) await undo();
    this.store.powerCut();
    this.disk.powerCut();
    this.clock.reboot();
    this.mounter.reboot();
    this.processes.reboot();
    this.leave();
  }

  /** Starts, finishes what there is to finish, and stops. */
  async recover(): Promise<void> {
    const life = new Life();
    const engine = this.engine(life);
    await drive(life, engine.start());
    // Waits for what goes on in the background; by itself nothing is due.
    await drive(life, engine.collect(PEER, { dryRun: false }));
    await letRest(life);
    await drive(life, engine.stop());
    this.disk.crash();
  }
}
