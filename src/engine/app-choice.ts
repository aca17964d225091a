/** Which instance of an app a container gets. */
import { chooseInstance } from "../domain/app-members.ts";
import { HoldfastError } from "../domain/error.ts";
import type { NodeState } from "../domain/node.ts";
import type { AppInstance, AppRecord, VolumeOwner } from "../domain/records.ts";
import type { AppId, ContainerId } from "../domain/units.ts";
import type { AttachPlan } from "./attach-plan.ts";
import { momentNow } from "./moment.ts";
import type { Parts } from "./parts.ts";

/** With the volumes of the instance that was chosen. */
export interface ChosenPlan extends AttachPlan {
  readonly instance?: VolumeOwner;
}

/** Adds the volumes of the app's instance to those that are asked for by name. */
export function withInstance(parts: Parts, state: NodeState, plan: AttachPlan): ChosenPlan {
  if (plan.app === undefined) return plan;
  const app = mustHaveApp(state, plan.app);
  const member = choose(parts, state, app, plan.container);
  const named = new Set<string>(plan.volumes.map(({ role, id }) => `${role} ${id}`));
  const volumes = member.volumes
    .filter(({ id }) => !named.has(`${app.role} ${id}`))
    .map(({ id, containerPath }) => ({ role: app.role, id, containerPath, mode: "RW" as const }));
  return { ...plan, volumes: [...plan.volumes, ...volumes], instance: { id: app.id, instance: member.id } };
}

/** One change of an app at a time. */
export function appSubject(id: AppId): string {
  return `app ${id}`;
}

/** @throws `no_such_app` */
export function mustHaveApp(state: NodeState, id: AppId): AppRecord {
  const app = state.apps.get(id);
  if (app === undefined) throw noSuchApp(id);
  return app;
}

export function noSuchApp(id: AppId): HoldfastError {
  return new HoldfastError("no_such_app", `App '${id}' does not exist`);
}

export function choose(parts: Parts, state: NodeState, app: AppRecord, container: ContainerId): AppInstance {
  const damageOf = parts.observations.damageOf.bind(parts.observations);
  return chooseInstance(state, app, container, { moment: momentNow(parts), damageOf });
}
