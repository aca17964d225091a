/** A node for the scheduler's tests: it decides as the engine does, in memory, and remembers outcomes by id. */
import { type Acls, PERMISSIVE } from "../../../src/domain/acl.ts";
import { authorise, authoriseFramework } from "../../../src/domain/authorise.ts";
import { completeOperations } from "../../../src/domain/complete.ts";
import { HoldfastError } from "../../../src/domain/error.ts";
import { type Actor, actorName, type Operation } from "../../../src/domain/operation.ts";
import { type OperationRecord, operationKey } from "../../../src/domain/records.ts";
import type { DiskResource } from "../../../src/domain/resource.ts";
import type { AgentId, WallMs } from "../../../src/domain/units.ts";
import { validateOperations } from "../../../src/domain/validate-operation.ts";
import type { EventListener, FrameworkFacts, PerformOptions } from "../../../src/engine/engine.ts";
import type { SchedulerOptions } from "../../../src/faces/scheduler/scheduler.ts";
import { World } from "../../domain/world.ts";
import { AGENT_ID } from "../../fakes/fake-engine.ts";

type SchedulerEngine = SchedulerOptions["engine"];

export class NodeDouble implements SchedulerEngine {
  readonly agentId = AGENT_ID as AgentId;
  readonly world: World;
  readonly notes: FrameworkFacts[] = [];
  acls: Acls = PERMISSIVE;
  /** How many lists were performed, and not only told again. */
  performed = 0;
  /** Thrown by `perform` while it is set; with `afterCommit` when all is done. */
  failure: { readonly error: Error; readonly afterCommit?: boolean } | undefined;
  /** What `perform` waits for. */
  gate: Promise<void> = Promise.resolve();
  readonly #outcomes = new Map<string, OperationRecord>();
  readonly #followers = new Set<EventListener>();

  constructor(...declared: readonly DiskResource[]) {
    this.world = new World(...declared);
  }

  requireFramework(actor: Actor, roles: readonly string[]): void {
    authoriseFramework(this.acls, actor, roles);
  }

  noteFramework(_actor: Actor, facts: FrameworkFacts): void {
    this.notes.push(facts);
  }

  async resources() {
    const resources = [...this.world.state.resources()];
    return { agentId: this.agentId, resources, closedDisks: new Set<string>(), absentDisks: new Set<string>() };
  }

  async perform(actor: Actor, asked: readonly Operation[], { id }: PerformOptions = {}): Promise<OperationRecord> {
    await this.gate;
    const request = JSON.stringify(asked);
    const key = operationKey(actorName(actor), id ?? "");
    const known = id === undefined ? undefined : this.#outcomes.get(key);
    if (known !== undefined) {
      if (known.request === request) return known;
      throw new HoldfastError("operation_id_reused", "Cannot perform operation: the id was used before");
    }
    if (this.failure !== undefined && this.failure.afterCommit !== true) throw this.failure.error;
    const operations = validateOperations(actor, completeOperations(this.world.state, actor, asked));
    authorise(this.acls, actor, operations, { creator: () => "" });
    const { summaries } = this.world.perform(...operations);
    this.performed += 1;
    const by = actorName(actor);
    const record = { id: id ?? "", by, at: this.performed as WallMs, request, operations: summaries };
    if (id !== undefined) this.#outcomes.set(key, record);
    this.changed();
    if (this.failure !== undefined) throw this.failure.error;
    return record;
  }

  async operation(actor: Actor, id: string): Promise<OperationRecord> {
    const found = this.#outcomes.get(operationKey(actorName(actor), id));
    if (found === undefined) throw new HoldfastError("no_such_operation", "Cannot show the operation: there is none");
    return found;
  }

  async operations(actor: Actor): Promise<readonly OperationRecord[]> {
    const isTold = ({ by }: OperationRecord) => actor.kind === "peer" || by === actorName(actor);
    return [...this.#outcomes.values()].filter(isTold).toReversed();
  }

  follow(_actor: Actor, _query: object, listener: EventListener): () => void {
    this.#followers.add(listener);
    return () => void this.#followers.delete(listener);
  }

  /** The operator does something. */
  operate(...operations: readonly Operation[]): void {
    this.world.perform(...operations);
    this.changed();
  }

  /** Outcomes are kept for a time only. */
  forgetOutcomes(): void {
    this.#outcomes.clear();
  }

  private changed(): void {
    for (const listener of this.#followers) {
      void listener({ seq: 1, at: 0 as WallMs, by: "x", type: "reserved" });
    }
  }
}
