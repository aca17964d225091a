/**
 * What an app's instances go through. An instance is one set of volumes; containers come and go:
 *
 *              attach                        DELETE
 *   waiting ───────────▶ running ─────────────────────────▶ waiting
 *      │  ▲               │ its container vanished            ▲
 *      │  │               └──────────▶ lost ──── attach ──▶ running
 *      ▼  │ scale up                    │ RELAUNCH_AFTER_TIMEOUT: a fresh one takes its place
 *   suspended ◀─────────────────────────┘ (also: scale down)
 *
 * Nothing here destroys a volume: that is what wiping an instance and deleting the app are for.
 */
import { ageMs, compareRetirements, type Moment, retirementAt } from "./collect.ts";
import { HoldfastError } from "./error.ts";
import type { NodeState, Transaction } from "./node.ts";
import type { AppInstance, AppRecord, Container, Volume, VolumeOwner } from "./records.ts";
import type { AppId, ContainerId, Incarnation, InstanceId, WallMs } from "./units.ts";

export type InstanceState = "running" | "lost" | "waiting" | "suspended";

/** What choosing an instance needs to know of the world. */
export interface ChoiceContext {
  readonly moment: Moment;
  /** Why a volume is damaged; `undefined` for a healthy one. */
  readonly damageOf: (uuid: Incarnation) => string | undefined;
}

export function stateOfInstance(state: NodeState, member: AppInstance): InstanceState {
  if (holdersOf(state, member).length > 0) return "running";
  if (member.suspended === true) return "suspended";
  return member.lost === undefined ? "waiting" : "lost";
}

/** The containers that have a volume of it. */
export function holdersOf(state: NodeState, { volumes }: AppInstance): readonly ContainerId[] {
  return [...new Set(volumes.flatMap(({ uuid }) => state.containersOf(uuid).map(({ id }) => id)))];
}

/** The instance that a live volume belongs to, as long as that is so. */
export function ownerOf(state: NodeState, { uuid, app }: Volume): AppInstance | undefined {
  const member = app === undefined ? undefined : memberOf(state.apps.get(app.id), app.instance);
  return member?.volumes.some((volume) => volume.uuid === uuid) === true ? member : undefined;
}

/**
 * The instance that a container gets: its own again; else one that was lost, longest ago first; else the one that was
 * used last; else a new one. What is damaged, or may be replaced, comes last.
 * @throws `in_use` when all have containers
 */
export function chooseInstance(
  state: NodeState,
  app: AppRecord,
  container: ContainerId,
  context: ChoiceContext,
): AppInstance {
  const own = app.members.find((member) => member.container === container && !isForeign(state, member, container));
  if (own !== undefined) return own;
  const active = app.members.filter(isActive);
  const free = active.filter((member) => holdersOf(state, member).every((holder) => holder === container));
  const running = app.members.filter((member) => isForeign(state, member, container));
  const rank = rankOf(state, app, container, context);
  const best = free.map((member) => ({ member, rank: rank(member) })).reduce(better, undefined);
  if (best !== undefined && running.length < app.instances) return best.member;
  throw noneFree(state, app, container);
}

/** Whether the best that is free was lost for so long that the app may have a fresh one instead. */
export function mayBeReplaced(app: AppRecord, member: AppInstance, moment: Moment): boolean {
  const { taskLostBehavior, relaunchEscalationTimeoutSeconds } = app.residency;
  if (member.lost === undefined || taskLostBehavior !== "RELAUNCH_AFTER_TIMEOUT") return false;
  return ageMs(member.lost.since, moment) >= relaunchEscalationTimeoutSeconds * 1000;
}

/** A container has the instance from now on. */
export function noteStarted(
  tx: Transaction,
  { id, instance }: VolumeOwner,
  { container, now }: { readonly container: ContainerId; readonly now: WallMs },
): void {
  if (memberOf(tx.state.apps.get(id), instance)?.container === container) return;
  change(tx, id, instance, ({ lost: _lost, ...member }) => ({ ...member, container, startedAt: now }));
}

/** A container gave these volumes back: whose they are waits for the next one. */
export function releaseInstances(tx: Transaction, container: ContainerId, uuids: readonly Incarnation[]): void {
  for (const { id, instance } of ownersOf(tx.state, uuids)) {
    if (memberOf(tx.state.apps.get(id), instance)?.container !== container) continue;
    change(tx, id, instance, ({ container: _container, ...member }) => member);
    suspendSurplus(tx, id);
  }
}

/** A container is not there any more, and nobody took it away: what it had of apps is lost. */
export function loseInstances(tx: Transaction, { id: container, attachments }: Container, moment: Moment): void {
  const kept = tx.state.containers.get(container)?.attachments ?? [];
  const gone = attachments.filter(({ uuid }) => !kept.some((one) => one.uuid === uuid));
  // What was just being taken away is not lost, although the daemon died over it.
  const released = gone.filter(({ phase }) => phase === "detaching");
  releaseInstances(
    tx,
    container,
    released.map(({ uuid }) => uuid),
  );
  const uuids = gone.map(({ uuid }) => uuid);
  for (const { id, instance } of ownersOf(tx.state, uuids)) {
    if (memberOf(tx.state.apps.get(id), instance)?.container !== container) continue;
    const lost = { container, since: retirementAt(moment) };
    change(tx, id, instance, ({ container: _container, ...member }) => ({ ...member, lost }));
    suspendSurplus(tx, id);
  }
}

/** It was taken away after all, only that its process had ended before. */
export function forgiveLosses(tx: Transaction, container: ContainerId): void {
  for (const app of tx.state.apps.values()) {
    for (const member of app.members) {
      if (member.lost?.container !== container || member.suspended === true) continue;
      change(tx, app.id, member.id, ({ lost: _lost, ...rest }) => rest);
    }
  }
}

/** How many instances are missing when as many as possible of the suspended ones are taken up again, latest used first. */
export function missingOf(app: AppRecord, instances: number): number {
  return Math.max(0, instances - app.members.length);
}

/**
 * The members when the app has so many instances: suspended ones are taken up first, unused ones with the highest
 * number are suspended. Those that have a container stay until it goes.
 */
export function scaled(state: NodeState, app: AppRecord, instances: number): readonly AppInstance[] {
  const surplus = app.members.filter(isActive).length - instances;
  if (surplus > 0) {
    const unused = app.members.filter((member) => isActive(member) && holdersOf(state, member).length === 0);
    const toSuspend = new Set(unused.slice(-surplus).map(({ id }) => id));
    return app.members.map((member) => (toSuspend.has(member.id) ? { ...member, suspended: true } : member));
  }
  const detached = app.members.filter((member) => !isActive(member)).sort(lastUsedFirst);
  const toResume = new Set(detached.slice(0, -surplus).map(({ id }) => id));
  return app.members.map((member) => (toResume.has(member.id) ? resumed(member) : member));
}

export function isActive({ suspended }: AppInstance): boolean {
  return suspended !== true;
}

function resumed({ suspended: _suspended, lost: _lost, ...member }: AppInstance): AppInstance {
  return member;
}

/** An app that was scaled down lets go of what a container has just left. */
function suspendSurplus(tx: Transaction, id: AppId): void {
  const app = tx.state.apps.get(id);
  if (app === undefined || app.members.filter(isActive).length <= app.instances) return;
  tx.set("apps", id, { ...app, members: scaled(tx.state, app, app.instances) });
}

function isForeign(state: NodeState, member: AppInstance, container: ContainerId): boolean {
  return holdersOf(state, member).some((holder) => holder !== container);
}

interface Candidate {
  readonly member: AppInstance;
  /** The lowest is the best. */
  readonly rank: number;
}

function better(best: Candidate | undefined, other: Candidate): Candidate {
  if (best === undefined) return other;
  const order =
    best.rank - other.rank ||
    compareRetirements(best.member.lost?.since, other.member.lost?.since) ||
    lastUsedFirst(best.member, other.member);
  return order <= 0 ? best : other;
}

function rankOf(
  state: NodeState,
  app: AppRecord,
  container: ContainerId,
  { moment, damageOf }: ChoiceContext,
): (member: AppInstance) => number {
  const isUnusable = ({ uuid }: { readonly uuid: Incarnation }): boolean =>
    state.volumes.get(uuid)?.phase !== "live" || damageOf(uuid) !== undefined;
  return (member) => {
    if (member.volumes.some(isUnusable)) return 5;
    if (member.lost?.container === container || holdersOf(state, member).length > 0) return 0;
    if (mayBeReplaced(app, member, moment)) return 4;
    if (member.lost !== undefined) return 1;
    return member.startedAt === undefined ? 3 : 2;
  };
}

function lastUsedFirst(left: AppInstance, right: AppInstance): number {
  return (right.startedAt ?? 0) - (left.startedAt ?? 0);
}

function noneFree(state: NodeState, app: AppRecord, container: ContainerId): HoldfastError {
  const holders = [...new Set(app.members.flatMap((member) => holdersOf(state, member)))];
  const instances = app.instances === 1 ? "its instance" : `all its ${app.instances} instances`;
  const reason = app.instances === 0 ? "it has no instances" : `${instances} have containers: ${shown(holders)}`;
  return new HoldfastError("in_use", `Cannot attach app ${app.id} to container ${container}: ${reason}, scale it up`, {
    details: { containers: holders.slice(0, SHOWN_MAX) },
  });
}

const SHOWN_MAX = 10;

function shown(holders: readonly ContainerId[]): string {
  const more = holders.length - SHOWN_MAX;
  return `${holders.slice(0, SHOWN_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function ownersOf(state: NodeState, uuids: readonly Incarnation[]): readonly VolumeOwner[] {
  const owners = uuids.flatMap((uuid) => state.volumes.get(uuid)?.app ?? []);
  return [...new Map(owners.map((owner) => [owner.instance, owner])).values()];
}

function memberOf(app: AppRecord | undefined, instance: InstanceId): AppInstance | undefined {
  return app?.members.find(({ id }) => id === instance);
}

function change(tx: Transaction, id: AppId, instance: InstanceId, changed: (member: AppInstance) => AppInstance): void {
  const app = tx.state.apps.get(id);
  if (app === undefined) return;
  const members = app.members.map((member) => (member.id === instance ? changed(member) : member));
  tx.set("apps", id, { ...app, members });
}
