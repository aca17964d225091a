/** Apps as they are shown. */
import { holdersOf, stateOfInstance } from "../domain/app-members.ts";
import { mayView } from "../domain/authorise.ts";
import type { NodeState } from "../domain/node.ts";
import type { Actor } from "../domain/operation.ts";
import type { AppInstance, AppRecord } from "../domain/records.ts";
import type { AppInstanceView, AppView } from "./engine.ts";
import type { Parts } from "./parts.ts";

/** Those that the actor may view, by id. */
export function viewApps(parts: Parts, state: NodeState, actor: Actor): readonly AppView[] {
  return [...state.apps.values()]
    .filter(({ role }) => mayView(parts.acls(), actor, role))
    .sort((left, right) => (left.id < right.id ? -1 : 1))
    .map((app) => viewApp(state, app));
}

export function viewApp(state: NodeState, app: AppRecord): AppView {
  return { app, instances: app.members.map((instance) => viewInstance(state, instance)) };
}

export function viewInstance(state: NodeState, instance: AppInstance): AppInstanceView {
  return { instance, state: stateOfInstance(state, instance), containers: holdersOf(state, instance) };
}
