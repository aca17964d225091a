/**
 * Mesos's v1 scheduler API for this node's disk: frameworks subscribe, are offered disk, and reserve, create, destroy and
 * unreserve by accepting offers. It decides nothing about disk itself: the engine performs what is accepted.
 *
 * `routes.ts` speaks HTTP; `call.ts` and `events.ts` know the wire; `frameworks.ts` knows who is there, `framework-id.ts`
 * whose an id is, `framework.ts` what is out to one of them; `offering.ts` makes offers, `accept.ts` takes them up; `feedback.ts` tells what became of
 * operations until that is acknowledged, and `outcomes.ts` finds out what was done before. No task runs here.
 */
import { randomUUID } from "node:crypto";
import { HoldfastError, messageOf } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Role } from "../../domain/units.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Log } from "../../ports/log.ts";
import { refusalOf, type Standing } from "../http/standing.ts";
import { acceptOffers } from "./accept.ts";
import type { FrameworkCall, Introduction } from "./call.ts";
import type { EventStream } from "./event-stream.ts";
import { errorEvent } from "./events.ts";
import type { Framework } from "./framework.ts";
import { FrameworkIds } from "./framework-id.ts";
import type { FrameworkInfo } from "./framework-info.ts";
import { Frameworks } from "./frameworks.ts";
import { Offering } from "./offering.ts";
import { Outcomes } from "./outcomes.ts";
import { reconcileOperations } from "./reconcile.ts";
import { reconcileTasks } from "./tasks.ts";

export interface SchedulerOptions {
  readonly engine: Pick<
    Engine,
    "agentId" | "requireFramework" | "noteFramework" | "resources" | "perform" | "operation" | "operations" | "follow"
  >;
  readonly clock: Clock;
  readonly log: Log;
  readonly hostname: string;
  /** What the ids of frameworks are sealed with, 32 random bytes: the same one for as long as the node is. */
  readonly idKey: Buffer;
}

/** Who subscribes, and whether they still may. */
export interface Subscriber {
  readonly actor: Actor;
  readonly standing: Standing;
}

/** Hears of everything that changes, whatever role it is in. */
const SELF: Actor = Object.freeze({ kind: "peer", uid: 0 });

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #ids: FrameworkIds;
  readonly #frameworks: Frameworks;
  readonly #offering: Offering;
  readonly #unfollow: () => void;

  constructor(options: SchedulerOptions) {
    const { engine, clock, log, hostname, idKey } = options;
    this.#options = options;
    this.#ids = new FrameworkIds(idKey);
    const nextOfferId = counter();
    this.#offering = new Offering({
      engine,
      clock,
      log,
      frameworks: () => this.#frameworks.connected(),
      nextOfferId,
    });
    this.#frameworks = new Frameworks({
      agent: { agentId: engine.agentId, hostname },
      clock,
      uuid: () => Buffer.from(randomUUID().replaceAll("-", ""), "hex").toString("base64"),
      outcomesOf: (id) => new Outcomes(engine, id),
      ids: this.#ids,
      onSubscribed: (framework, isNew) => this.#subscribed(framework, isNew),
      onGone: (framework) => this.#note("framework-gone", framework),
    });
    this.#unfollow = engine.follow(SELF, {}, () => this.#offering.soon());
  }

  find(frameworkId: string, actor: Actor): Framework | undefined {
    return this.#frameworks.get(frameworkId, actor);
  }

  /** Whether this node gave the id to another principal. */
  isAnothers(frameworkId: string, actor: Actor): boolean {
    return this.#ids.originOf(frameworkId, actor) === "another's";
  }

  /** What stands against it is told on the stream, which ends. */
  async subscribe({ actor, standing }: Subscriber, introduction: Introduction, stream: EventStream): Promise<void> {
    try {
      const { frameworkId, suppressedRoles } = introduction;
      const info = this.#admit(actor, introduction);
      const refusal = ({ roles }: FrameworkInfo) => standing() ?? refusalOf(() => this.#requireRoles(actor, roles));
      await this.#frameworks.subscribe({ actor, refusal, frameworkId, info, suppressedRoles }, stream);
    } catch (error) {
      const isRefusal = error instanceof HoldfastError && error.code !== "internal";
      if (!isRefusal) this.#options.log.error({ err: error }, "Cannot subscribe a framework");
      stream.end(errorEvent(isRefusal ? messageOf(error) : "Cannot subscribe: a failure inside Holdfast"));
    }
  }

  /** Credentials or ACLs are others: who would not be let in any more is told so, and disconnected. */
  review(): void {
    for (const framework of [...this.#frameworks.connected()]) {
      const refusal = framework.refusal(framework.info);
      if (refusal !== undefined) this.#frameworks.dismiss(framework, refusal.message);
    }
  }

  disconnected(stream: EventStream): void {
    this.#frameworks.disconnected(stream);
  }

  /**
   * A call by who subscribed the framework; resolves when it is done.
   * @throws `invalid`, `forbidden` an update that Mesos will not have
   */
  async carryOut(framework: Framework, actor: Actor, call: FrameworkCall): Promise<void> {
    const { engine, clock, log } = this.#options;
    switch (call.type) {
      case "TEARDOWN":
        return this.#frameworks.remove(framework);
      case "ACCEPT":
        return acceptOffers(framework, actor, call, {
          engine,
          offering: this.#offering,
          log,
          nowMs: () => clock.now(),
        });
      case "DECLINE":
        return this.#decline(framework, call);
      case "REVIVE":
        return this.#revive(framework, call.roles);
      case "SUPPRESS":
        framework.suppress(call.roles);
        return;
      case "KILL":
      case "RECONCILE":
        return reconcileTasks(framework, call.tasks, clock.now());
      case "ACKNOWLEDGE_OPERATION_STATUS":
        return framework.acknowledge(call.operationId, call.uuid);
      case "RECONCILE_OPERATIONS":
        return reconcileOperations(framework, actor, call.operationIds);
      case "UPDATE_FRAMEWORK":
        return this.#update(framework, actor, call);
      case "IDLE":
        return;
    }
  }

  /** What people should know about the frameworks: one sentence each. */
  notices(): readonly string[] {
    return this.#frameworks.notices();
  }

  /** Closes all streams. */
  stop(): void {
    this.#unfollow();
    this.#offering.stop();
    this.#frameworks.stop();
  }

  /** Each offer by itself: who declines offers to several roles declines each of them. */
  #decline(framework: Framework, { offerIds, refuseMs }: Extract<FrameworkCall, { type: "DECLINE" }>): void {
    for (const id of offerIds) {
      const taken = this.#offering.take(framework, [id]);
      if ("refusal" in taken) continue;
      framework.refuse(taken.role, taken.resources, refuseMs, () => this.#offering.soon());
    }
  }

  #revive(framework: Framework, roles: readonly string[]): void {
    framework.revive(roles);
    this.#offering.soon();
  }

  #update(framework: Framework, actor: Actor, introduction: Introduction): void {
    framework.update(this.#admit(actor, introduction), introduction.suppressedRoles);
    this.#offering.soon();
    this.#warn(framework);
  }

  /** @throws `invalid` what Mesos will not have, `forbidden` a role that the ACLs deny */
  #admit(actor: Actor, { info }: Introduction): FrameworkInfo {
    if ("refusal" in info) throw new HoldfastError("invalid", info.refusal);
    this.#requireRoles(actor, info.roles);
    return info;
  }

  #requireRoles(actor: Actor, roles: readonly string[]): void {
    this.#options.engine.requireFramework(actor, roles);
  }

  #subscribed(framework: Framework, isNew: boolean): void {
    this.#offering.soon();
    if (!isNew) return;
    this.#note("framework-subscribed", framework);
    this.#warn(framework);
  }

  /** One for each role: who may view none of them is told of none. */
  #note(type: "framework-subscribed" | "framework-gone", framework: Framework): void {
    const roles = framework.info.roles.filter((role) => role !== "*") as Role[];
    const note = { type, message: `Framework ${framework.title}` };
    for (const role of roles) this.#options.engine.noteFramework(framework.actor, { ...note, role });
    if (roles.length === 0) this.#options.engine.noteFramework(framework.actor, note);
  }

  /** Frameworks that share a role are in the log once, and in the status for as long as they do. */
  #warn(framework: Framework): void {
    for (const notice of this.#frameworks.notices(framework))
      this.#options.log.warn({ framework: framework.id }, notice);
  }
}

/** Ids that no other run of the daemon gives out: `1b4e28ba-...-O0017`. */
function counter(): () => string {
  const run = randomUUID();
  let count = 0;
  return () => {
    count += 1;
    return `${run}-O${String(count).padStart(4, "0")}`;
  };
}
