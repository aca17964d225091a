/**
 * The frameworks of this node. They live in memory, as in a Mesos master: after a restart each subscribes again with the
 * id that it has. What they reserved and created is the node's, and stays when they are gone.
 */
import type { Actor } from "../../domain/operation.ts";
import type { Clock } from "../../ports/clock.ts";
import type { EventStream } from "./event-stream.ts";
import { type AgentIdentity, errorEvent, subscribedEvent } from "./events.ts";
import { Framework } from "./framework.ts";
import type { FrameworkInfo } from "./framework-info.ts";
import type { Outcomes } from "./outcomes.ts";

const FRAMEWORKS_MAX = 100;
/** So many that are gone are known, so that they do not come back by mistake; the latest ones. */
const REMOVED_MAX = 1_000;

const OTHER_PRINCIPAL = "Changing framework's principal is not allowed";

export interface FrameworksOptions {
  readonly agent: AgentIdentity;
  readonly clock: Clock;
  /** 16 random bytes, base64. */
  readonly uuid: () => string;
  readonly outcomesOf: (frameworkId: string) => Outcomes;
  readonly nextFrameworkId: () => string;
  /** Somebody is connected now, and may never have been before. */
  readonly onSubscribed: (framework: Framework, isNew: boolean) => void;
  readonly onGone: (framework: Framework) => void;
}

export interface Subscription {
  readonly actor: Actor;
  /** The id that it has already. */
  readonly frameworkId: string | undefined;
  readonly info: FrameworkInfo;
  readonly suppressedRoles: readonly string[];
}

export class Frameworks {
  readonly #options: FrameworksOptions;
  readonly #frameworks = new Map<string, Framework>();
  readonly #removed = new Set<string>();
  /** What ends the wait for one that is disconnected, by id. */
  readonly #waits = new Map<string, () => void>();
  #isStopped = false;

  constructor(options: FrameworksOptions) {
    this.#options = options;
  }

  get(id: string): Framework | undefined {
    return this.#frameworks.get(id);
  }

  *connected(): Generator<Framework> {
    for (const framework of this.#frameworks.values()) if (framework.stream !== undefined) yield framework;
  }

  /** @returns why it is refused, as Mesos says it; `undefined` when it may */
  refusalOf({ actor, frameworkId }: Pick<Subscription, "actor" | "frameworkId">): string | undefined {
    if (frameworkId !== undefined && this.#removed.has(frameworkId)) return "Framework has been removed";
    const known = frameworkId === undefined ? undefined : this.#frameworks.get(frameworkId);
    if (known !== undefined) return known.isOwnedBy(actor) ? undefined : OTHER_PRINCIPAL;
    if (this.#frameworks.size < FRAMEWORKS_MAX || this.#waits.size > 0) return undefined;
    return `Too many frameworks: ${FRAMEWORKS_MAX} are connected`;
  }

  /** A framework that is not refused gets this stream; the one that it had is closed. */
  async subscribe(subscription: Subscription, stream: EventStream): Promise<void> {
    const { actor, frameworkId, info, suppressedRoles } = subscription;
    const id = frameworkId ?? this.#options.nextFrameworkId();
    const outcomes = this.#options.outcomesOf(id);
    const isUnknown = frameworkId !== undefined && !this.#frameworks.has(id);
    const { isAnothers } = isUnknown ? await outcomes.recall(actor) : { isAnothers: false };
    // Meanwhile it may have given up, or another one of the same id have come.
    if (!stream.isOpen) return;
    if (this.#isStopped) return stream.endNow();
    const refusal = isAnothers ? OTHER_PRINCIPAL : this.refusalOf(subscription);
    if (refusal !== undefined) return stream.end(errorEvent(refusal));
    const { agent, clock, uuid } = this.#options;
    const framework = this.#frameworks.get(id) ?? new Framework({ id, info, actor, outcomes, agent, clock, uuid });
    const isNew = !this.#frameworks.has(id);
    if (isNew) this.#makeRoom();
    this.#frameworks.set(id, framework);
    this.#stopWaiting(id);
    framework.stream?.end(errorEvent("Framework failed over"));
    framework.connect(stream);
    framework.update(info, suppressedRoles);
    stream.send(subscribedEvent(id));
    framework.feedback.tellAgain();
    this.#options.onSubscribed(framework, isNew);
  }

  /** A stream's connection is gone; if it was a framework's latest one, it is waited for. */
  disconnected(stream: EventStream): void {
    stream.closed();
    const framework = [...this.#frameworks.values()].find((one) => one.stream === stream);
    if (framework === undefined) return;
    framework.connect(undefined);
    const { failoverTimeoutMs } = framework.info;
    const remove = () => this.remove(framework);
    if (failoverTimeoutMs === 0) remove();
    else this.#waits.set(framework.id, this.#options.clock.after(failoverTimeoutMs, remove));
  }

  /** It is gone for good; its reservations and volumes stay. */
  remove(framework: Framework): void {
    this.#stopWaiting(framework.id);
    this.#frameworks.delete(framework.id);
    this.#removed.add(framework.id);
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
      this.#stopWaiting(framework.id);
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

  /** There are schedulers that come with a new id each time, and ask to be waited for. */
  #makeRoom(): void {
    const [longestGone] = this.#waits.keys();
    const framework = longestGone === undefined ? undefined : this.#frameworks.get(longestGone);
    if (this.#frameworks.size >= FRAMEWORKS_MAX && framework !== undefined) this.remove(framework);
  }

  #stopWaiting(id: string): void {
    this.#waits.get(id)?.();
    this.#waits.delete(id);
  }
}

function noticeOf(role: string, frameworks: readonly Framework[]): string {
  const names = frameworks.map(({ title }) => title).join(", ");
  return `${frameworks.length} frameworks share role ${role} (${names}): each can take the other's disk, give each a role of its own`;
}
