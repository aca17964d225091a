/** Makes instances of an app, with disk and volumes, in one transaction with what else changes about the app. */
import { type InstancePlan, type PlanContext, planInstances } from "../domain/app-plan.ts";
import type { Transaction } from "../domain/node.ts";
import { type Actor, actorName, type Operation } from "../domain/operation.ts";
import type { AppInstance, AppRecord, Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import type { VolumeId, WallMs } from "../domain/units.ts";
import type { Parts } from "./parts.ts";
import { type Companion, performOperations } from "./perform.ts";

/** What becomes of an app, as it is when that is decided. May refuse. */
export type AppChange = (app: AppRecord, tx: Transaction) => AppRecord;

/** @throws `insufficient` when there is not enough disk, and everything that RESERVE and CREATE are refused with */
export async function makeInstances(
  parts: Parts,
  actor: Actor,
  app: AppRecord,
  count: number,
  change: AppChange,
): Promise<void> {
  const plan = await parts.ledger.read((state) => planInstances(state, app, count, planContext(parts)));
  await performWith(parts, actor, plan.operations, {
    after: (tx, created) => {
      const current = change(tx.state.apps.get(app.id) ?? app, tx);
      tx.set("apps", app.id, {
        ...current,
        members: [...current.members, ...membersOf(plan, created, parts.clock.now())],
      });
      return owned(tx, current, plan, created);
    },
  });
}

/** Performs the operations, if there are any, and what belongs to them. */
export async function performWith(
  parts: Parts,
  actor: Actor,
  operations: readonly Operation[],
  companion: Companion,
): Promise<void> {
  if (operations.length > 0) {
    await performOperations(parts, actor, operations, {}, companion);
    return;
  }
  await parts.ledger.transact({ durable: true, by: actorName(actor) }, (tx) => {
    companion.before?.(tx);
    companion.after?.(tx, []);
  });
}

/** What was planned, with the volumes that were made for it. */
export function membersOf(plan: InstancePlan, created: readonly Volume[], now: WallMs): readonly AppInstance[] {
  const byId = new Map<VolumeId, Volume>(created.map((volume) => [volume.id, volume]));
  return plan.instances.map(({ id, volumes }) => ({
    id,
    volumes: volumes.map((volume) => ({ ...volume, uuid: mustHave(byId.get(volume.id)).uuid })),
    createdAt: now,
  }));
}

/** Notes on the volumes themselves whose they are, for their labels. */
export function owned(
  tx: Transaction,
  { id: app }: AppRecord,
  plan: InstancePlan,
  created: readonly Volume[],
): readonly Volume[] {
  const owners = new Map(
    plan.instances.flatMap(({ id, volumes }) => volumes.map((volume) => [volume.id, id] as const)),
  );
  return created.map((volume) => {
    const instance = owners.get(volume.id);
    if (instance === undefined) return volume;
    const marked: Volume = { ...volume, app: { id: app, instance } };
    tx.set("volumes", volume.uuid, marked);
    return marked;
  });
}

export function planContext(parts: Parts): PlanContext {
  return {
    uuid: () => parts.random.uuid(),
    closedTo: (source) => parts.observations.closedDisks.get(sourceKey(source)),
  };
}

function mustHave(volume: Volume | undefined): Volume {
  if (volume === undefined) throw new Error("A volume of the plan was not created");
  return volume;
}
