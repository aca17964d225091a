/** Before a container is attached by an app's name: who is over is over, and what was lost for too long is replaced. */
import { holdersOf, mayBeReplaced } from "../domain/app-members.ts";
import { codeOf, HoldfastError } from "../domain/error.ts";
import type { NodeState } from "../domain/node.ts";
import type { Actor } from "../domain/operation.ts";
import type { AppInstance, AppRecord } from "../domain/records.ts";
import type { AppId, ContainerId } from "../domain/units.ts";
import { appSubject, choose, mustHaveApp } from "./app-choice.ts";
import { makeInstances } from "./app-instances.ts";
import type { AttachPlan } from "./attach-plan.ts";
import type { VolumeName } from "./in-use.ts";
import { momentNow } from "./moment.ts";
import type { Parts } from "./parts.ts";
import { settleBeforeAttach } from "./settle-books.ts";

/** @throws `no_such_app`, `in_use` */
export async function prepareApp(
  parts: Parts,
  actor: Actor,
  { app: id, container }: Pick<AttachPlan, "app" | "container">,
): Promise<void> {
  if (id === undefined) return;
  const app = await parts.ledger.read((state) => mustHaveApp(state, id));
  await settleBeforeAttach(parts, namesOf(app), container);
  await parts.serial.run(appSubject(id), () => replaceLost(parts, actor, id, container));
}

/** An instance that was lost for too long stays as it is, detached; where there is no disk for another, it is used on. */
async function replaceLost(parts: Parts, actor: Actor, id: AppId, container: ContainerId): Promise<void> {
  const { state } = parts.ledger;
  const app = state.apps.get(id);
  const lost = app === undefined ? undefined : choose(parts, state, app, container);
  if (app === undefined || lost === undefined || !isReplaceable(parts, app, lost, container)) return;
  try {
    await makeInstances(parts, actor, app, 1, (current, tx) => {
      requireUnused(tx.state, lost);
      return {
        ...current,
        members: current.members.map((member) => (member.id === lost.id ? { ...member, suspended: true } : member)),
      };
    });
    parts.log.warn({ app: id, lost: lost.id }, "Made a fresh instance in place of one that was lost");
  } catch (error) {
    const code = codeOf(error);
    if (code !== "insufficient" && code !== "conflict") throw error;
    parts.log.warn({ error, app: id }, "Cannot make a fresh instance, the lost one is used again");
  }
}

/** A container may have got it while room for another was made. */
function requireUnused(state: NodeState, lost: AppInstance): void {
  const [holder] = holdersOf(state, lost);
  if (holder === undefined) return;
  throw new HoldfastError("conflict", `Cannot replace instance ${lost.id}: container ${holder} has got it`);
}

/** A container that comes back gets what it had. */
function isReplaceable(parts: Parts, app: AppRecord, member: AppInstance, container: ContainerId): boolean {
  return member.lost?.container !== container && mayBeReplaced(app, member, momentNow(parts));
}

function namesOf({ role, members }: AppRecord): readonly VolumeName[] {
  return members.flatMap(({ volumes }) => volumes.map(({ id }) => ({ role, id })));
}
