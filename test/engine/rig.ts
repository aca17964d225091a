/** A node whose whole world is a fake: its engine can be killed and started again over what outlives it. */
import { type Acls, PERMISSIVE, parseAcls } from "../../src/domain/acl.ts";
import { codeOf, type ErrorCode, HoldfastError } from "../../src/domain/error.ts";
import type { Actor, Operation } from "../../src/domain/operation.ts";
import type { Container, Volume } from "../../src/domain/records.ts";
import { type DiskResource, sourceKey } from "../../src/domain/resource.ts";
import type { ContainerId, ContainerPath, Principal, Role, VolumeId } from "../../src/domain/units.ts";
import type { AttachRequest } from "../../src/engine/engine.ts";
import { NodeEngine, type NodeEngineOptions } from "../../src/engine/node-engine.ts";
import type { Disk } from "../../src/ports/disk.ts";
import type { Metrics } from "../../src/ports/metrics.ts";
import type { Store } from "../../src/ports/store.ts";
import { createMemoryLog, type MemoryLog } from "../auth/memory-log.ts";
import { disk, reservedFor, volume } from "../domain/world.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { fakeRandom } from "../fakes/fake-random.ts";
import { MemoryDisk, type MemoryDiskOptions } from "../fakes/memory-disk.ts";
import { MemoryDrives } from "../fakes/memory-drives.ts";
import { MemoryHolders } from "../fakes/memory-holders.ts";
import { MemoryMounter, type MemoryMounterOptions } from "../fakes/memory-mounter.ts";
import { MemoryProcesses } from "../fakes/memory-processes.ts";
import { MemorySandboxes, type MemorySandboxesOptions } from "../fakes/memory-sandboxes.ts";
import { createMemoryStore, type MemoryStore, type MemoryStoreOptions } from "../fakes/memory-store.ts";
import { MemoryTrail } from "../fakes/memory-trail.ts";

export const PEER: Actor = { kind: "peer", uid: 0, name: "root" };
export const OPS: Actor = { kind: "principal", principal: "ops" as Principal };
export const ADS = [reservedFor("ads")];
export const RECONCILE_MS = 30_000;
export const GC = { delayMs: 7 * 86_400_000, headroom: 0.1, intervalMs: 60_000, minAgeMs: 3_600_000 };

export const SILENT: Metrics = { operation() {}, commit() {}, reconciled() {} };

export interface RigOptions {
  readonly declared?: readonly DiskResource[];
  readonly store?: MemoryStoreOptions;
  readonly disk?: MemoryDiskOptions;
  /** Beside the work root's, and always there. */
  readonly otherDisks?: readonly Disk[];
  readonly drives?: MemoryDrives;
  readonly mounter?: MemoryMounterOptions;
  readonly sandboxes?: Omit<MemorySandboxesOptions, "mounter">;
  readonly remarks?: NonNullable<NodeEngineOptions["remarks"]>;
}

export class Rig {
  readonly store: MemoryStore;
  readonly disk: MemoryDisk;
  readonly drives: MemoryDrives;
  readonly mounter: MemoryMounter;
  readonly sandboxes: MemorySandboxes;
  readonly holders = new MemoryHolders();
  readonly processes = new MemoryProcesses();
  readonly trail = new MemoryTrail();
  readonly clock = new FakeClock();
  readonly log: MemoryLog = createMemoryLog();
  engine: NodeEngine;
  #acls: Acls = PERMISSIVE;
  readonly #options: RigOptions;
  readonly #random = fakeRandom();

  constructor(options: RigOptions = {}) {
    this.#options = options;
    this.store = createMemoryStore(options.store);
    this.disk = new MemoryDisk(options.disk);
    this.drives = options.drives ?? new MemoryDrives();
    this.mounter = new MemoryMounter({ holders: this.holders, ...options.mounter });
    this.sandboxes = new MemorySandboxes({ ...options.sandboxes, mounter: this.mounter });
    this.engine = this.#newEngine(this.store);
  }

  /** Kills the daemon and starts it again: what was committed stays, what waits for an answer never gets one. */
  async restart(): Promise<void> {
    this.disk.crash();
    this.drives.crash();
    this.processes.forgetWatches();
    this.engine = this.#newEngine(this.store);
    await this.engine.start();
  }

  /** The power fails, and comes back. */
  async powerCut(): Promise<void> {
    this.store.powerCut();
    this.disk.powerCut();
    await this.reboot();
  }

  /** Another boot: no mount and no process is left. */
  async reboot(): Promise<void> {
    this.clock.reboot();
    this.mounter.reboot();
    this.holders.letGo();
    this.processes.reboot();
    await this.restart();
  }

  /** An engine over this world and another store. */
  useStore(store: Store): void {
    this.engine = this.#newEngine(store);
  }

  setAcls(file: unknown): void {
    this.#acls = parseAcls(file);
  }

  perform(...operations: readonly Operation[]) {
    return this.engine.perform(PEER, operations);
  }

  /** Reserves as much as a volume needs for role `ads` and creates it. */
  async create(id: string, options: { readonly sizeMb?: number; readonly shared?: boolean } = {}): Promise<Volume> {
    const sizeMb = options.sizeMb ?? 100;
    await this.perform(
      { type: "RESERVE", resources: [disk(sizeMb, ADS)] },
      { type: "CREATE", volumes: [volume(id, sizeMb, ADS, { shared: options.shared ?? false })] },
    );
    return this.live(id);
  }

  async destroy(id: string, sizeMb = 100): Promise<void> {
    await this.perform(destroying(id, sizeMb));
  }

  attach(request: Partial<AttachRequest> & Pick<AttachRequest, "volumes">) {
    return this.engine.attach(PEER, { container: WEB, sandbox: "/sandbox", ...request });
  }

  detach(container: ContainerId = WEB, force = false): Promise<void> {
    return this.engine.detach(PEER, container, { force });
  }

  async live(id: string): Promise<Volume> {
    return (await this.view(id)).volume;
  }

  view(id: string) {
    return this.engine.volume(PEER, "ads" as Role, id as VolumeId);
  }

  /** Every incarnation of the node with the state that people see: `db detached`. */
  async states(): Promise<string[]> {
    const views = await this.engine.volumes(PEER);
    return views.map((view) => `${view.volume.id} ${view.state}`);
  }

  /** What is recorded of a container: `db at data: attached`. */
  async attachments(id: ContainerId = WEB): Promise<string[]> {
    const views = await this.engine.containers(PEER);
    const found = views.find((view) => view.container.id === id);
    return (found?.attachments ?? []).map(
      ({ attachment, id: name }) => `${name} at ${attachment.containerPath}: ${attachment.phase}`,
    );
  }

  /** The container as the store has it. */
  storedContainer(id: ContainerId = WEB): Container | undefined {
    return this.store.contents().records.containers.get(id);
  }

  /** Labels are synced some time after the answer. */
  async syncLabels(): Promise<void> {
    this.clock.advance(1_000);
    await settle();
  }

  #newEngine(store: Store): NodeEngine {
    const disks = [this.disk, ...(this.#options.otherDisks ?? [])];
    return new NodeEngine({
      store,
      trail: this.trail,
      declared: this.#options.declared ?? [disk(1_000)],
      disks: new Map(disks.map((one) => [sourceKey(one.source), one])),
      drives: this.drives,
      mounter: this.mounter,
      holders: this.holders,
      processes: this.processes,
      sandboxes: this.sandboxes,
      clock: this.clock,
      random: this.#random,
      log: this.log,
      metrics: SILENT,
      acls: () => this.#acls,
      reconcileIntervalMs: RECONCILE_MS,
      gc: GC,
      ...(this.#options.remarks === undefined ? {} : { remarks: this.#options.remarks }),
    });
  }
}

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const rig = new Rig(options);
  await rig.engine.start();
  return rig;
}

export const WEB = "web" as ContainerId;
export const API = "api" as ContainerId;

/** A volume of role `ads` as a container asks for it. */
export function wanted(
  id: string,
  options: { readonly at?: string; readonly mode?: "RW" | "RO" } = {},
): AttachRequest["volumes"][number] {
  return {
    role: "ads" as Role,
    id: id as VolumeId,
    containerPath: (options.at ?? "data") as ContainerPath,
    mode: options.mode ?? "RW",
  };
}

export const target = (containerPath = "data", sandbox = "/sandbox") => ({
  sandbox,
  containerPath: containerPath as ContainerPath,
});

export function creating(...ids: readonly string[]): Operation {
  return { type: "CREATE", volumes: ids.map((id) => volume(id, 100, ADS)) };
}

export function destroying(id: string, sizeMb = 100): Operation {
  return { type: "DESTROY", volumes: [volume(id, sizeMb, ADS)] };
}

export function reserving(sizeMb: number): Operation {
  return { type: "RESERVE", resources: [disk(sizeMb, ADS)] };
}

/** The code that work is refused with; `done` when it is not. */
export async function outcomeOf(work: Promise<unknown>): Promise<ErrorCode | "done"> {
  try {
    await work;
    return "done";
  } catch (error) {
    return codeOf(error);
  }
}

/** The refusal itself. */
export async function refusalOf(work: Promise<unknown>): Promise<HoldfastError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof HoldfastError) return error;
    throw error;
  }
  throw new Error("Expected a refusal, but it went through");
}

/** Lets everything run that needs nobody's help. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A pause that lets everything pass but the named call, until it is opened. */
export function gateAt(name: string) {
  let gate: PromiseWithResolvers<void> | undefined;
  return {
    pause: async (call: string): Promise<void> => {
      if (call === name) await gate?.promise;
    },
    shut: (): void => {
      gate = Promise.withResolvers();
    },
    open: (): void => {
      gate?.resolve();
      gate = undefined;
    },
  };
}

export const BROKEN = new HoldfastError("internal", "Told to fail by the test");
export const BUSY = new HoldfastError("busy", "Told to be busy by the test");
