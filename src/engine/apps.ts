/**
 * Stateful apps: made, changed, deleted, and instances of them wiped. Each is one transaction: the app's record, the
 * reservations and the volumes of all its instances, or nothing.
 */

import type { AclAction } from "../domain/acl.ts";
import {
  type AppDefinition,
  mergeDefinition,
  parseAppDefinition,
  requireAllowedChange,
} from "../domain/app-definition.ts";
import { holdersOf, isActive, missingOf, scaled } from "../domain/app-members.ts";
import { type InstancePlan, planInstances, planRemoval, planReplacement } from "../domain/app-plan.ts";
import { may, mayView } from "../domain/authorise.ts";
import { nameOf } from "../domain/decide.ts";
import { codeOf, HoldfastError } from "../domain/error.ts";
import type { JsonObject } from "../domain/json.ts";
import type { NodeState } from "../domain/node.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { AppInstance, AppRecord } from "../domain/records.ts";
import type { AppId, ContainerId, InstanceId, Role, WallMs } from "../domain/units.ts";
import { appSubject, mustHaveApp, noSuchApp } from "./app-choice.ts";
import { makeInstances, membersOf, owned, performWith, planContext } from "./app-instances.ts";
import { viewInstance } from "./app-views.ts";
import { detachVolumes } from "./attach.ts";
import type { AppInstanceView, WipeOptions } from "./engine.ts";
import type { Parts } from "./parts.ts";

/** What an app takes, whatever is done with it. */
const ACTION: AclAction = "create_volumes";

/** @throws `invalid` with all violations, `duplicate_app`, `insufficient` */
export function createApp(parts: Parts, actor: Actor, json: JsonObject): Promise<AppId> {
  const definition = parseAppDefinition(json);
  const { id, role, instances } = definition;
  requireMay(parts, actor, role, creation(id));
  return parts.serial.run(appSubject(id), async () => {
    await parts.ledger.read((state) => requireNew(parts, state, actor, id));
    await makeInstances(parts, actor, newApp(parts, actor, definition), instances, (app, tx) => {
      requireNew(parts, tx.state, actor, id);
      return app;
    });
    return id;
  });
}

/**
 * Changes the fields that are given.
 * @throws `no_such_app`, `invalid` for what may not change, `insufficient` for more instances than there is disk for
 */
export function changeApp(parts: Parts, actor: Actor, id: AppId, json: JsonObject): Promise<AppId> {
  return parts.serial.run(appSubject(id), async () => {
    const before = await parts.ledger.read((state) => visibleApp(parts, state, actor, id));
    requireMay(parts, actor, before.role, `change app ${id}`);
    const after = parseAppDefinition(mergeDefinition(before, json));
    requireAllowedChange(before, after);
    const wanted = { ...before, volumes: after.volumes };
    await makeInstances(parts, actor, wanted, missingOf(before, after.instances), (current, tx) => ({
      ...changed(current, after, parts.clock.now()),
      members: scaled(tx.state, current, after.instances),
    }));
    return id;
  });
}

/** Changes an app, or makes it when there is none. */
export async function putApp(parts: Parts, actor: Actor, id: AppId, json: JsonObject): Promise<AppId> {
  const found = parts.ledger.state.apps.get(id);
  if (found === undefined || !mayView(parts.acls(), actor, found.role)) {
    try {
      return await createApp(parts, actor, { ...json, id });
    } catch (error) {
      // Somebody else was quicker.
      if (codeOf(error) !== "duplicate_app") throw error;
    }
  }
  return changeApp(parts, actor, id, json);
}

/** Destroys what the app has; content is retained. @throws `in_use` while containers have it, unless forced */
export function deleteApp(parts: Parts, actor: Actor, id: AppId, force: boolean): Promise<void> {
  return parts.serial.run(appSubject(id), async () => {
    const app = await parts.ledger.read((state) => visibleApp(parts, state, actor, id));
    requireMay(parts, actor, app.role, `delete app ${id}`);
    await free(parts, actor, app.members, { deed: `delete app ${id}`, force });
    const operations = await parts.ledger.read((state) => planRemoval(state, app.role, app.members));
    await performWith(parts, actor, operations, { before: (tx) => tx.set("apps", id, undefined) });
  });
}

/**
 * Destroys the volumes of instances; content is retained. In place of those that the app still wants, suspended ones
 * are taken up, else fresh ones are made.
 * @returns the instances that are gone
 */
export function wipeApp(
  parts: Parts,
  actor: Actor,
  id: AppId,
  { force, instances }: WipeOptions,
): Promise<readonly AppInstanceView[]> {
  return parts.serial.run(appSubject(id), async () => {
    const app = await parts.ledger.read((state) => visibleApp(parts, state, actor, id));
    requireMay(parts, actor, app.role, `wipe app ${id}`);
    const wiped = instances === undefined ? app.members : instances.map((one) => mustHaveMember(app, one));
    await free(parts, actor, wiped, { deed: `wipe app ${id}`, force });
    const views = await parts.ledger.read((state) => wiped.map((instance) => viewInstance(state, instance)));
    await wipe(parts, actor, app, wiped);
    return views;
  });
}

/** An app that the actor may view. @throws `no_such_app` */
export function visibleApp(parts: Parts, state: NodeState, actor: Actor, id: AppId): AppRecord {
  const app = mustHaveApp(state, id);
  // Whoever may not see a role shall not learn what is in it.
  if (!mayView(parts.acls(), actor, app.role)) throw noSuchApp(id);
  return app;
}

async function wipe(parts: Parts, actor: Actor, app: AppRecord, wiped: readonly AppInstance[]): Promise<void> {
  const ids = new Set(wiped.map(({ id }) => id));
  const rest = (record: AppRecord) => ({ ...record, members: record.members.filter(({ id }) => !ids.has(id)) });
  const missing = missingOf(rest(app), app.instances);
  const [removal, plan] = await parts.ledger.read((state) => [
    planRemoval(state, app.role, wiped),
    planInPlace(parts, state, app, wiped.filter(isActive).slice(0, missing), missing),
  ]);
  await performWith(parts, actor, [...removal, ...plan.operations], {
    before: (tx) => tx.set("apps", app.id, rest(mustHaveApp(tx.state, app.id))),
    after: (tx, created) => {
      const current = mustHaveApp(tx.state, app.id);
      const members = [...scaled(tx.state, current, app.instances), ...membersOf(plan, created, parts.clock.now())];
      tx.set("apps", app.id, { ...current, members });
      return owned(tx, current, plan, created);
    },
  });
}

/** As many as are missing, on the disk of those that go where that can be. */
function planInPlace(
  parts: Parts,
  state: NodeState,
  app: AppRecord,
  wiped: readonly AppInstance[],
  missing: number,
): InstancePlan {
  const context = planContext(parts);
  const inPlace = wiped.flatMap((member) => planReplacement(state, app, member, context) ?? []);
  const elsewhere = planInstances(state, app, missing - inPlace.length, context);
  const plans = [...inPlace, elsewhere];
  return {
    instances: plans.flatMap(({ instances }) => instances),
    operations: plans.flatMap(({ operations }) => operations),
  };
}

/** Nobody may have what is to go. By force its containers lose everything that they have; the socket's alone. */
async function free(
  parts: Parts,
  actor: Actor,
  members: readonly AppInstance[],
  { deed, force }: { readonly deed: string; readonly force: boolean },
): Promise<void> {
  const holders = await parts.ledger.read((state) => [...new Set(members.flatMap((one) => holdersOf(state, one)))]);
  if (holders.length === 0) return;
  if (!force) throw attached(deed, holders);
  if (actor.kind !== "peer") {
    throw new HoldfastError("forbidden", `Cannot ${deed} by force: only the agent socket may detach`);
  }
  await parts.ledger.read((state) => requireUnprotected(state, members, deed));
  for (const id of holders)
    await parts.serial.run(id, () =>
      detachVolumes(parts, id, { force: true, by: actorName(actor), because: `${deed} by force` }),
    );
}

/** What will be refused in the end shall not cost a container its volumes. */
function requireUnprotected(state: NodeState, members: readonly AppInstance[], deed: string): void {
  const volumes = members.flatMap((member) => member.volumes.flatMap(({ uuid }) => state.volumes.get(uuid) ?? []));
  const found = volumes.find((volume) => volume.phase === "live" && volume.protected === true);
  if (found === undefined) return;
  throw new HoldfastError("protected", `Cannot ${deed}: volume ${nameOf(found)} is protected, unprotect it first`);
}

function attached(deed: string, holders: readonly ContainerId[]): HoldfastError {
  const shown = holders.slice(0, 10).join(", ");
  return new HoldfastError("in_use", `Cannot ${deed}: attached to container ${shown}, detach it first or use force`, {
    details: { containers: holders.slice(0, 10) },
  });
}

function requireMay(parts: Parts, actor: Actor, role: Role, deed: string): void {
  if (!may(parts.acls(), actor, ACTION, role)) throw denied(actor, deed);
}

function denied(actor: Actor, deed: string): HoldfastError {
  return new HoldfastError("forbidden", `Cannot ${deed}: the ACLs do not allow ${ACTION} to ${actorName(actor)}`);
}

/** Whoever may not see the app that has the id is told what they would be told without it. */
function requireNew(parts: Parts, state: NodeState, actor: Actor, id: AppId): void {
  const found = state.apps.get(id);
  if (found === undefined) return;
  if (!mayView(parts.acls(), actor, found.role)) throw denied(actor, creation(id));
  throw new HoldfastError("duplicate_app", `An app with id [${id}] already exists.`);
}

function creation(id: AppId): string {
  return `create app ${id}`;
}

function mustHaveMember(app: AppRecord, id: InstanceId): AppInstance {
  const member = app.members.find((one) => one.id === id);
  if (member === undefined) throw new HoldfastError("no_such_app", `Task '${id}' does not exist`);
  return member;
}

function newApp(parts: Parts, actor: Actor, definition: AppDefinition): AppRecord {
  const { id, role, instances, volumes, residency, shown } = definition;
  const now = parts.clock.now();
  return {
    id,
    role,
    instances,
    volumes,
    residency,
    definition: JSON.stringify(shown),
    members: [],
    createdBy: actorName(actor),
    createdAt: now,
    version: now,
  };
}

function changed({ rebuilt: _rebuilt, ...app }: AppRecord, after: AppDefinition, now: WallMs): AppRecord {
  const { instances, volumes, residency, shown } = after;
  const version = Math.max(now, app.version + 1) as WallMs;
  return { ...app, instances, volumes, residency, definition: JSON.stringify(shown), version };
}
