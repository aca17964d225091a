/**
 * The engine of one node: hands every call of the front door to the module that knows it, one container at a time,
 * measured; starts with recovery and keeps reconciling.
 */

import { authoriseFramework, mayView } from "../domain/authorise.ts";
import type { CollectRule } from "../domain/collect.ts";
import { codeOf, type ErrorCode, HoldfastError } from "../domain/error.ts";
import type { JsonObject } from "../domain/json.ts";
import { type Actor, actorName, type Operation } from "../domain/operation.ts";
import { type OperationRecord, operationKey, type Volume } from "../domain/records.ts";
import type { DiskResource } from "../domain/resource.ts";
import { roleOf } from "../domain/resource.ts";
import type { AgentId, AppId, ContainerId, Incarnation, Role, VolumeId, WallMs } from "../domain/units.ts";
import type { Disk } from "../ports/disk.ts";
import type { Drives } from "../ports/drives.ts";
import type { EventTrail } from "../ports/event-trail.ts";
import type { Store } from "../ports/store.ts";
import { Accountant } from "./accountant.ts";
import { adoptDirectories } from "./adopt.ts";
import { prepareApp } from "./app-attach.ts";
import { viewApp, viewApps } from "./app-views.ts";
import { changeApp, createApp, deleteApp, putApp, visibleApp, wipeApp } from "./apps.ts";
import { attachVolumes, detachVolumes, planAttach } from "./attach.ts";
import type { AttachPlan } from "./attach-plan.ts";
import { viewSandbox, viewSandboxes } from "./collect-sandboxes-request.ts";
import { Collector } from "./collector.ts";
import { Copies } from "./copies.ts";
import { LiveDiskTable } from "./disk-table.ts";
import { DiskKeeper } from "./disks.ts";
import { Endings } from "./ended.ts";
import type {
  AdoptOutcome,
  AdoptRequest,
  AppInstanceView,
  AppView,
  AttachRequest,
  CollectOutcome,
  CollectRequest,
  ContainerView,
  CopyRequest,
  DescribeRequest,
  Engine,
  EventListener,
  EventPage,
  EventsQuery,
  FrameworkFacts,
  LendRequest,
  MarkRequest,
  NodeResources,
  NodeStatus,
  PerformOptions,
  RestoreRequest,
  SandboxView,
  StrayMount,
  VolumeFilter,
  VolumePage,
  VolumeQuery,
  VolumeView,
  WipeOptions,
} from "./engine.ts";
import { Events } from "./events.ts";
import type { Ports } from "./handed-ports.ts";
import { Labeller } from "./labeller.ts";
import { Ledger } from "./ledger.ts";
import { lendVolume, settleLoans, takeLoansBack } from "./loans.ts";
import { markVolume } from "./marks.ts";
import { listNearlyFull } from "./nearly-full.ts";
import { describeVolume } from "./note.ts";
import { Observations } from "./observations.ts";
import type { Parts } from "./parts.ts";
import { performOperations } from "./perform.ts";
import { reconcileContainers, reconcileVolumes, settleInterrupted } from "./reconcile.ts";
import { checkDisks, claimVolumes, findOrphans, type RecoverySummary, recover, recoverBehind } from "./recover.ts";
import { findRetained, restoreVolume } from "./restore.ts";
import { discardSandbox, keepSandbox } from "./sandboxes.ts";
import { Serial } from "./serial.ts";
import { settleBeforeAttach } from "./settle-books.ts";
import { unmountStray } from "./stray.ts";
import {
  countStates,
  findVolume,
  latestContainers,
  listProblems,
  viewCollection,
  viewContainer,
  viewContainers,
  viewDisks,
  viewHolders,
  viewVolume,
  viewVolumes,
} from "./views.ts";
import { pageVolumes } from "./volume-page.ts";

/** Outcomes are kept this long, and this many. */
const OUTCOME_AGE_MS = 24 * 3_600_000;
const OUTCOMES_MAX = 10_000;

/** When it is looked whether an engine has mounted what it was lent: from then on it is known to have it or not. */
const LOOKS_AT_LOAN_MS = [500, 2_000, 8_000];

export interface NodeEngineOptions extends Omit<Ports, "disks"> {
  readonly store: Store;
  /** Where events are kept. */
  readonly trail: EventTrail;
  /** Those that are always there, by `sourceKey`: the work root's. */
  readonly disks: ReadonlyMap<string, Disk>;
  /** All others. */
  readonly drives: Drives;
  readonly declared: readonly DiskResource[];
  readonly reconcileIntervalMs: number;
  /** The rule by which retained volumes are collected, and how often it is looked at. */
  readonly gc: CollectRule & { readonly intervalMs: number };
  /** What the program around the engine has to show with the status. */
  readonly remarks?: () => Pick<NodeStatus, "problems" | "notices">;
}

export class NodeEngine implements Engine {
  readonly #parts: Parts;
  readonly #disks: DiskKeeper;
  readonly #collector: Collector;
  readonly #copies: Copies;
  readonly #accountant: Accountant;
  readonly #endings: Endings;
  readonly #reconcileIntervalMs: number;
  readonly #startedAt: WallMs;
  readonly #remarks: NonNullable<NodeEngineOptions["remarks"]>;
  /** Interrupts what may take long before it has begun anything. */
  readonly #stopping = new AbortController();
  #ready = false;
  #recovery: RecoverySummary | undefined;
  #cancelReconcile: (() => void) | undefined;
  #behind: Promise<void> = Promise.resolve();
  /** Each resolves when a request has ended, however it did. */
  readonly #running = new Set<Promise<void>>();

  constructor(options: NodeEngineOptions) {
    const events = new Events(options);
    const onReload = (): void => {
      void this.#guarded("Cannot write labels", () => this.#parts.labeller.rewriteStale());
    };
    const ledger = new Ledger(options.store, options.declared, onReload, events.committed);
    const table = new LiveDiskTable(options.disks);
    const ports: Ports = { ...options, disks: table };
    const labeller = new Labeller(ports, ledger);
    const own = { ledger, labeller, events, observations: new Observations(), serial: new Serial() };
    this.#parts = { ...ports, ...own, gc: options.gc };
    const declared = options.declared.map(({ source }) => source);
    this.#disks = new DiskKeeper({ parts: this.#parts, table, drives: options.drives, declared });
    this.#collector = new Collector(this.#parts, options.gc.intervalMs);
    this.#copies = new Copies(this.#parts);
    this.#accountant = new Accountant(this.#parts);
    this.#endings = new Endings(this.#parts);
    this.#reconcileIntervalMs = options.reconcileIntervalMs;
    this.#startedAt = options.clock.now();
    this.#remarks = options.remarks ?? (() => ({ problems: [], notices: [] }));
  }

  get ready(): boolean {
    return this.#ready;
  }

  get agentId(): AgentId {
    return this.#parts.ledger.header.agentId;
  }

  /** Reads the checkpoint, recovers, and is ready when it resolves. */
  async start(): Promise<void> {
    await this.#parts.ledger.open();
    for (const disk of this.#parts.disks.values()) claimVolumes(this.#parts, disk);
    await this.#disks.openAll();
    const { summary, rest } = await recover(this.#parts);
    await this.#copies.settle();
    this.#recovery = summary;
    this.#ready = true;
    this.#endings.watchAll();
    this.#behind = this.#guarded("Cannot finish the recovery behind readiness", () =>
      recoverBehind(this.#parts, rest, this.#stopping.signal),
    );
    this.#scheduleReconcile();
    this.#collector.start();
    this.#accountant.start();
  }

  /** Finishes what was begun. Nothing is unmounted. */
  async stop(): Promise<void> {
    this.#ready = false;
    this.#stopping.abort();
    this.#parts.events.stop();
    this.#cancelReconcile?.();
    this.#endings.stop();
    await Promise.all([this.#collector.stop(), this.#accountant.stop(), this.#copies.stop()]);
    await this.#disks.stop();
    await this.#behind;
    await Promise.all(this.#running);
    await this.#guarded("Cannot sync labels", () => this.#parts.labeller.flush());
    await this.#parts.ledger.close();
    await this.#disks.close();
  }

  perform(actor: Actor, operations: readonly Operation[], options: PerformOptions = {}): Promise<OperationRecord> {
    const type = operations.length === 1 ? (operations[0]?.type.toLowerCase() ?? "none") : "list";
    return this.#measured(type, () => performOperations(this.#parts, actor, operations, options));
  }

  attach(actor: Actor, request: AttachRequest): Promise<ContainerView> {
    return this.#measured("attach", async () => {
      requireLocal(actor);
      const plan = { ...planAttach(this.#parts, request), signal: this.#stopping.signal };
      await prepareApp(this.#parts, actor, plan);
      await settleBeforeAttach(this.#parts, plan.volumes, plan.container);
      return this.#parts.serial.run(plan.container, async () => {
        await settleInterrupted(this.#parts, plan.container);
        await attachVolumes(this.#parts, actor, plan);
        this.#endings.watch(plan.container);
        return this.#parts.ledger.read((state) => {
          const container = state.containers.get(plan.container) ?? emptyContainer(this.#parts, actor, plan);
          return viewContainer(this.#parts, state, container);
        });
      });
    });
  }

  lend(actor: Actor, request: LendRequest): Promise<VolumeView> {
    return this.#measured("lend", async () => {
      requireLocal(actor);
      await settleBeforeAttach(this.#parts, [request]);
      const { uuid } = await lendVolume(this.#parts, actor, request);
      this.#lookAtLoan(uuid);
      return this.#parts.ledger.read((state) =>
        viewVolume(this.#parts, state, mustHave(state.volumes.get(uuid), uuid)),
      );
    });
  }

  giveBack(actor: Actor, { borrower, role, id }: LendRequest): Promise<void> {
    return this.#measured("give_back", async () => {
      requireLocal(actor);
      const uuid = await this.#parts.ledger.read((state) => state.live(role, id)?.uuid);
      if (uuid !== undefined) await takeLoansBack(this.#parts, actor, borrower, uuid);
    });
  }

  detach(actor: Actor, container: ContainerId, options: { readonly force: boolean }): Promise<void> {
    return this.#measured("detach", () =>
      this.#parts.serial.run(container, async () => {
        requireLocal(actor);
        await settleInterrupted(this.#parts, container);
        await takeLoansBack(this.#parts, actor, container);
        await detachVolumes(this.#parts, container, { force: options.force, by: actorName(actor) });
        this.#endings.watch(container);
      }),
    );
  }

  unmountStray(actor: Actor, mount: StrayMount): Promise<void> {
    return this.#measured("unmount_stray", async () => {
      requireLocal(actor);
      await unmountStray(this.#parts, mount);
    });
  }

  adopt(actor: Actor, request: AdoptRequest): Promise<AdoptOutcome> {
    return this.#measured("adopt", () => adoptDirectories(this.#parts, actor, request, this.#stopping.signal));
  }

  copy(actor: Actor, request: CopyRequest): Promise<VolumeView> {
    return this.#measured("copy", async () => {
      const uuid = await this.#copies.copy(actor, request);
      return this.#parts.ledger.read((state) =>
        viewVolume(this.#parts, state, mustHave(state.volumes.get(uuid), uuid)),
      );
    });
  }

  createApp(actor: Actor, definition: JsonObject): Promise<AppView> {
    return this.#measured("app_create", async () => this.app(actor, await createApp(this.#parts, actor, definition)));
  }

  changeApp(
    actor: Actor,
    id: AppId,
    definition: JsonObject,
    { create }: { readonly create: boolean },
  ): Promise<AppView> {
    return this.#measured("app_change", async () => {
      const put = create ? putApp : changeApp;
      return this.app(actor, await put(this.#parts, actor, id, definition));
    });
  }

  deleteApp(actor: Actor, id: AppId, { force }: { readonly force: boolean }): Promise<void> {
    return this.#measured("app_delete", () => deleteApp(this.#parts, actor, id, force));
  }

  wipeApp(actor: Actor, id: AppId, options: WipeOptions): Promise<readonly AppInstanceView[]> {
    return this.#measured("app_wipe", () => wipeApp(this.#parts, actor, id, options));
  }

  async apps(actor: Actor): Promise<readonly AppView[]> {
    this.#requireReady();
    return this.#parts.ledger.read((state) => viewApps(this.#parts, state, actor));
  }

  async app(actor: Actor, id: AppId): Promise<AppView> {
    this.#requireReady();
    return this.#parts.ledger.read((state) => viewApp(state, visibleApp(this.#parts, state, actor, id)));
  }

  restore(actor: Actor, request: RestoreRequest): Promise<VolumeView> {
    return this.#measured("restore", async () => {
      const { uuid } = await this.#parts.ledger.read((state) => findRetained(this.#parts, state, actor, request));
      await this.#parts.serial.run(uuid, () => restoreVolume(this.#parts, actor, uuid, request.as));
      return this.#parts.ledger.read((state) =>
        viewVolume(this.#parts, state, mustHave(state.volumes.get(uuid), uuid)),
      );
    });
  }

  describe(actor: Actor, request: DescribeRequest): Promise<VolumeView> {
    return this.#measured("describe", async () => {
      const uuid = await describeVolume(this.#parts, actor, request);
      return this.#parts.ledger.read((state) =>
        viewVolume(this.#parts, state, mustHave(state.volumes.get(uuid), uuid)),
      );
    });
  }

  async events(actor: Actor, query: EventsQuery): Promise<EventPage> {
    this.#requireReady();
    return this.#parts.events.page(actor, query);
  }

  requireEvents(actor: Actor, { role }: EventsQuery): void {
    if (mayView(this.#parts.acls(), actor, role)) return;
    throw new HoldfastError("forbidden", `Cannot follow events of role ${role}: it may not be viewed`);
  }

  follow(actor: Actor, query: EventsQuery, listener: EventListener, onEnd?: () => void): () => void {
    this.#requireReady();
    return this.#parts.events.follow(actor, query, listener, onEnd);
  }

  mark(actor: Actor, request: MarkRequest): Promise<VolumeView> {
    return this.#measured(request.mark, async () => {
      const uuid = await markVolume(this.#parts, actor, request);
      return this.#parts.ledger.read((state) =>
        viewVolume(this.#parts, state, mustHave(state.volumes.get(uuid), uuid)),
      );
    });
  }

  collect(actor: Actor, request: CollectRequest): Promise<CollectOutcome> {
    return this.#measured("gc", () => this.#collector.collect(actor, request));
  }

  discardSandbox(actor: Actor, path: string): Promise<SandboxView> {
    return this.#measured("gc_add", async () =>
      viewSandbox(this.#parts, await discardSandbox(this.#parts, actor, path)),
    );
  }

  keepSandbox(actor: Actor, path: string): Promise<void> {
    return this.#measured("gc_keep", () => keepSandbox(this.#parts, actor, path));
  }

  async sandboxes(actor: Actor): Promise<readonly SandboxView[]> {
    this.#requireReady();
    return viewSandboxes(this.#parts, actor);
  }

  requireFramework(actor: Actor, roles: readonly string[]): void {
    authoriseFramework(this.#parts.acls(), actor, roles);
  }

  noteFramework(actor: Actor, facts: FrameworkFacts): void {
    this.#parts.events.note(facts, actorName(actor));
  }

  async resources(actor: Actor): Promise<NodeResources> {
    this.#requireReady();
    const resources = await this.#parts.ledger.read((state) =>
      [...state.resources()].filter((resource) => mayView(this.#parts.acls(), actor, roleOf(resource.reservations))),
    );
    return {
      agentId: this.agentId,
      resources,
      closedDisks: new Set(this.#parts.observations.closedDisks.keys()),
      absentDisks: new Set(this.#parts.disks.absent.keys()),
    };
  }

  async volumes(actor: Actor, filter: VolumeFilter = {}): Promise<readonly VolumeView[]> {
    this.#requireReady();
    return this.#parts.ledger.read((state) => viewVolumes(this.#parts, state, actor, filter));
  }

  async volumePage(actor: Actor, query: VolumeQuery): Promise<VolumePage> {
    this.#requireReady();
    return this.#parts.ledger.read((state) => pageVolumes(this.#parts, state, actor, query));
  }

  async volume(actor: Actor, role: Role, id: VolumeId): Promise<VolumeView> {
    this.#requireReady();
    const view = await this.#parts.ledger.read((state) => findVolume(this.#parts, state, actor, role, id));
    const useHistory = this.#parts.observations.useHistory.get(view.volume.uuid);
    return {
      ...view,
      ...(await viewHolders(this.#parts, view.volume.uuid)),
      ...(useHistory === undefined ? {} : { useHistory }),
    };
  }

  async findVolume(actor: Actor, role: Role, id: VolumeId): Promise<VolumeView | undefined> {
    this.#requireReady();
    return this.#parts.ledger.read((state) => {
      const isLive = state.live(role, id) !== undefined;
      return isLive ? findVolume(this.#parts, state, actor, role, id) : undefined;
    });
  }

  async containers(actor: Actor): Promise<readonly ContainerView[]> {
    this.#requireReady();
    return viewContainers(this.#parts, actor);
  }

  async findContainer(actor: Actor, id: ContainerId): Promise<ContainerView | undefined> {
    this.#requireReady();
    requireLocal(actor);
    return this.#parts.ledger.read((state) => {
      const container = state.containers.get(id);
      return container === undefined ? undefined : viewContainer(this.#parts, state, container);
    });
  }

  async operations(actor: Actor): Promise<readonly OperationRecord[]> {
    this.#requireReady();
    const records = await this.#parts.ledger.read((state) => [...state.operations.values()]);
    return records
      .filter((record) => actor.kind === "peer" || record.by === actorName(actor))
      .sort((left, right) => right.at - left.at);
  }

  async operation(actor: Actor, id: string): Promise<OperationRecord> {
    this.#requireReady();
    const own = await this.#parts.ledger.read((state) => state.operations.get(operationKey(actorName(actor), id)));
    const found =
      own ?? (actor.kind === "peer" ? (await this.operations(actor)).find((one) => one.id === id) : undefined);
    if (found === undefined) throw new HoldfastError("no_such_operation", `Cannot show operation ${id}: there is none`);
    return found;
  }

  async status(actor: Actor): Promise<NodeStatus> {
    this.#requireReady();
    const parts = this.#parts;
    const view = await parts.ledger.read((state) => ({
      state,
      volumes: countStates(parts, state),
      containers: state.containers.size,
      latestContainers: latestContainers(state),
      collection: viewCollection(parts, state, actor),
      problems: listProblems(parts, state),
    }));
    const { disks, problems } = await viewDisks(parts, view.state);
    const remarks = this.#remarks();
    const trailProblem = parts.events.problem === undefined ? [] : [parts.events.problem];
    return {
      agentId: this.agentId,
      bootId: parts.clock.bootId(),
      ready: this.#ready,
      startedAt: this.#startedAt,
      mountBackend: parts.mounter.backend,
      disks,
      volumes: view.volumes,
      containers: view.containers,
      latestContainers: view.latestContainers,
      collection: view.collection,
      problems: [...view.problems, ...problems, ...trailProblem, ...remarks.problems],
      notices: [...listNearlyFull(parts, view.state, actor), ...remarks.notices],
      recovery: { ...(this.#recovery as RecoverySummary), orphans: parts.observations.orphans },
    };
  }

  async ping(): Promise<void> {
    this.#requireReady();
    await this.#parts.ledger.ping();
  }

  async reconcile(): Promise<void> {
    this.#requireReady();
    await this.#disks.check({ now: true });
    await this.#reconcile();
  }

  async #reconcileByItself(): Promise<void> {
    await this.#disks.check();
    await this.#reconcile();
  }

  async #reconcile(): Promise<void> {
    const startedAt = performance.now();
    await reconcileVolumes(this.#parts, [...this.#parts.ledger.state.volumes.values()]);
    await this.#copies.settle();
    await reconcileContainers(this.#parts);
    await checkDisks(this.#parts);
    await findOrphans(this.#parts);
    await this.#forgetOldOutcomes();
    this.#parts.metrics.reconciled("reconcile", performance.now() - startedAt);
  }

  /** Nobody waits for it; what is not seen by then is left to the reconcile. */
  #lookAtLoan(uuid: Incarnation): void {
    for (const delayMs of LOOKS_AT_LOAN_MS) {
      this.#parts.clock.after(delayMs, () => {
        if (this.#ready) void this.#guarded("Cannot look at a loan", () => settleLoans(this.#parts, [uuid]));
      });
    }
  }

  #scheduleReconcile(): void {
    this.#cancelReconcile = this.#parts.clock.after(this.#reconcileIntervalMs, () => {
      this.#behind = this.#behind
        .then(() => (this.#ready ? this.#guarded("Cannot reconcile", () => this.#reconcileByItself()) : undefined))
        .then(() => {
          if (this.#ready) this.#scheduleReconcile();
        });
    });
  }

  async #forgetOldOutcomes(): Promise<void> {
    const horizon = this.#parts.clock.now() - OUTCOME_AGE_MS;
    const records = [...this.#parts.ledger.state.operations].sort(([, left], [, right]) => right.at - left.at);
    const old = records.filter(([, record], index) => index >= OUTCOMES_MAX || record.at < horizon);
    if (old.length === 0) return;
    await this.#parts.ledger.transact({ durable: false, releases: true }, (tx) => {
      for (const [key] of old) tx.set("operations", key, undefined);
    });
  }

  async #measured<T>(type: string, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const ended = Promise.withResolvers<void>();
    let outcome: "ok" | ErrorCode = "ok";
    try {
      this.#requireReady();
      this.#running.add(ended.promise);
      return await work();
    } catch (error) {
      outcome = codeOf(error);
      throw error;
    } finally {
      this.#running.delete(ended.promise);
      ended.resolve();
      this.#parts.metrics.operation(type, outcome, performance.now() - startedAt);
    }
  }

  #requireReady(): void {
    if (!this.#ready) throw new HoldfastError("unavailable", "Cannot serve now: the daemon is starting or stopping");
  }

  /** For work that nobody waits for. */
  async #guarded(message: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#parts.log.error({ error }, message);
    }
  }
}

function mustHave(volume: Volume | undefined, uuid: Incarnation): Volume {
  if (volume === undefined) throw new HoldfastError("no_such_volume", `Cannot show volume ${uuid}: it is gone again`);
  return volume;
}

/** Attaching is the agent socket's alone. */
function requireLocal(actor: Actor): void {
  if (actor.kind !== "peer") throw new HoldfastError("forbidden", "Cannot attach or detach: only the agent socket may");
}

/** What is shown of a container that has no volumes (any more): it is not remembered. */
function emptyContainer(parts: Parts, actor: Actor, request: AttachPlan): ContainerView["container"] {
  return {
    id: request.container,
    sandbox: request.sandbox,
    ...(request.process === undefined ? {} : { process: request.process }),
    bootId: parts.clock.bootId(),
    since: parts.clock.now(),
    by: actorName(actor),
    attachments: [],
  };
}
