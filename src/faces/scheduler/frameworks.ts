/**
 * The frameworks of this node. They live in memory, as in a Mesos master: after a restart each subscribes again with the
 * id that it has. What they reserved and created is the node's, and stays when they are gone.
 */
import type { HoldfastError } from "../../domain/error.ts";
import { type Actor, actorName } from "../../domain/operation.ts";
import type { Clock } from "../../ports/clock.ts";
import type { EventStream } from "./event-stream.ts";
import { type AgentIdentity, errorEvent, subscribedEvent } from "./events.ts";
import { Framework } from "./framework.ts";
import type { FrameworkIds } from "./framework-id.ts";
import type { FrameworkInfo } from "./framework-info.ts";
import type { Outcomes } from "./outcomes.ts";

/** A principal has no more than there would be places left: one alone half of them, and others always find some. */
const PLACES = 200;
/** So many that are gone are known, so that they do not come back by mistake; the latest ones. */
const REMOVED_MAX = 1_000;

const OTHER_PRINCIPAL = "Changing framework's principal is not allowed";

export interface FrameworksOptions {
  readonly agent: AgentIdentity;
  readonly clock: Clock;
  /** 16 random bytes, base64. */
  readonly uuid: () => string;
  readonly outcomesOf: (frameworkId: string) => Outcomes;
  readonly ids: FrameworkIds;
  /** Somebody is connected now, and may never have been before. */
  readonly onSubscribed: (framework: Framework, isNew: boolean) => void;
  readonly onGone: (framework: Framework) => void;
}

export interface Subscription {
  readonly actor: Actor;
  /** Why it may not subscribe as such a framework; `undefined` for as long as it may. */
  readonly refusal: (info: FrameworkInfo) => HoldfastError | undefined;
  /** The id that it has already. */
  readonly frameworkId: string | undefined;
  readonly info: FrameworkInfo;
  readonly suppressedRoles: readonly string[];
}

export class Frameworks {
  readonly #options: FrameworksOptions;
  /** By principal and id. */
  readonly #frameworks = new Map<string, Framework>();
  readonly #removed = new Set<string>();
  /** What ends the wait for one that is disconnected; who is gone longest comes first. */
  readonly #waits = new Map<Framework, () => void>();
  #isStopped = false;

  constructor(options: FrameworksOptions) {
    this.#options = options;
  }

  /** Who brings another's id has another framework. */
  get(id: string, actor: Actor): Framework | undefined {
    return this.#frameworks.get(keyOf({ id, actor }));
  }

  *connected(): Generator<Framework> {
    for (const framework of this.#frameworks.values()) if (framework.stream !== undefined) yield framework;
  }

  /** @returns why it is refused, as Mesos says it; `undefined` when it may */
  #refusalOf({ actor, frameworkId, refusal, info }: Subscription): string | undefined {
    const refused = refusal(info);
    if (refused !== undefined) return refused.message;
    if (frameworkId !== undefined) {
      const key = keyOf({ id: frameworkId, actor });
      if (this.#options.ids.originOf(frameworkId, actor) === "another's") return OTHER_PRINCIPAL;
      if (this.#removed.has(key)) return "Framework has been removed";
      if (this.#frameworks.has(key)) return undefined;
    }
    const own = this.#ownedBy(actor);
    if (own.length < PLACES - this.#frameworks.size || own.some(({ stream }) => stream === undefined)) return undefined;
    return `Too many frameworks: ${own.length} are connected`;
  }

  /** A framework that is not refused gets this stream; the one that it had is closed. */
  async subscribe(subscription: Subscription, stream: EventStream): Promise<void> {
    const { actor, frameworkId, info, suppressedRoles } = subscription;
    const id = frameworkId ?? this.#options.ids.give(actor);
    const key = keyOf({ id, actor });
    const outcomes = this.#options.outcomesOf(id);
    if (frameworkId !== undefined && !this.#frameworks.has(key)) await outcomes.recall(actor);
    // Meanwhile it may have given up, or another one of the same id have come.
    if (!stream.isOpen) return;
    if (this.#isStopped) return stream.endNow();
    const refusal = this.#refusalOf(subscription);
    if (refusal !== undefined) return stream.end(errorEvent(refusal));
    const { agent, clock, uuid } = this.#options;
    const framework = this.#frameworks.get(key) ?? new Framework({ id, info, actor, outcomes, agent, clock, uuid });
    const isNew = !this.#frameworks.has(key);
    if (isNew) this.#makeRoom(actor);
    this.#frameworks.set(key, framework);
    this.#stopWaiting(framework);
    framework.stream?.end(errorEvent("Framework failed over"));
    framework.connect(stream);
    framework.refusal = subscription.refusal;
    framework.update(info, suppressedRoles);
    stream.send(subscribedEvent(id));
    framework.feedback.tellAgain();
    this.#options.onSubscribed(framework, isNew);
  }

  /** A stream's connection is gone; if it was a framework's latest one, it is waited for. */
  disconnected(stream: EventStream): void {
    stream.closed();
    const framework = [...this.#frameworks.values()].find((one) => one.stream === stream);
    if (framework !== undefined) this.#wait(framework);
  }

  /** It is told why its stream ends, and waited for. */
  dismiss(framework: Framework, reason: string): void {
    framework.stream?.end(errorEvent(reason));
    this.#wait(framework);
  }

  /** It is gone for good; its reservations and volumes stay. */
  remove(framework: Framework): void {
    this.#stopWaiting(framework);
    this.#frameworks.delete(keyOf(framework));
    this.#removed.add(keyOf(framework));
    for (const oldest of this.#removed) {
      if (this.#removed.size <= REMOVED_MAX) break;
      this.#removed.delete(oldest);
    }
    const { stream } = framework;
    framework.stop();
    stream?.end();
    this.#options.onGone(framework);
  }

  /** Closes all streams: the frameworks find out that we are gone. */
  stop(): void {
    this.#isStopped = true;
    for (const framework of this.#frameworks.values()) {
      const { stream } = framework;
      framework.stop();
      stream?.endNow();
      this.#stopWaiting(framework);
    }
    this.#frameworks.clear();
  }

  /**
   * What people should know: frameworks that share a role see each other's disk, and may take it.
   * @param of only what concerns this one
   */
  notices(of?: Framework): readonly string[] {
    const byRole = new Map<string, Framework[]>();
    for (const framework of this.#frameworks.values()) {
      for (const role of framework.info.roles) byRole.set(role, [...(byRole.get(role) ?? []), framework]);
    }
    // What is nobody's, everybody may have.
    byRole.delete("*");
    return [...byRole]
      .filter(([, sharing]) => sharing.length > 1 && (of === undefined || sharing.includes(of)))
      .map(([role, sharing]) => noticeOf(role, sharing));
  }

  /** There are schedulers that come with a new id each time, and ask to be waited for: who does loses his own. */
  #makeRoom(actor: Actor): void {
    const own = this.#ownedBy(actor);
    if (own.length < PLACES - this.#frameworks.size) return;
    const longestGone = [...this.#waits.keys()].find((framework) => own.includes(framework));
    if (longestGone !== undefined) this.remove(longestGone);
  }

  #ownedBy(actor: Actor): readonly Framework[] {
    return [...this.#frameworks.values()].filter((framework) => framework.isOwnedBy(actor));
  }

  #wait(framework: Framework): void {
    framework.connect(undefined);
    const { failoverTimeoutMs } = framework.info;
    const remove = () => this.remove(framework);
    if (failoverTimeoutMs === 0) remove();
    else this.#waits.set(framework, this.#options.clock.after(failoverTimeoutMs, remove));
  }

  #stopWaiting(framework: Framework): void {
    this.#waits.get(framework)?.();
    this.#waits.delete(framework);
  }
}

function keyOf({ id, actor }: Pick<Framework, "id" | "actor">): string {
  return JSON.stringify([actor.kind, actorName(actor), id]);
}

function noticeOf(role: string, frameworks: readonly Framework[]): string {
  const names = frameworks.map(({ title }) => title).join(", ");
  return `${frameworks.length} frameworks share role ${role} (${names}): each can take the other's disk, give each a role of its own`;
}
