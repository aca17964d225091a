/** Tasks, of which there are none here: who launches, kills or asks after one is told so. */
import type { AskedTask } from "./call.ts";
import { type TaskStatus, taskStatusEvent } from "./events.ts";
import type { Framework } from "./framework.ts";

/** @param invalidOffers why the offers were none, which comes first */
export function refuseTasks(
  framework: Framework,
  taskIds: readonly string[],
  invalidOffers: string | undefined,
  nowMs: number,
): void {
  for (const taskId of taskIds) {
    const status: TaskStatus =
      invalidOffers === undefined
        ? {
            taskId,
            state: "TASK_ERROR",
            reason: "REASON_TASK_INVALID",
            message: "Holdfast runs no tasks: it manages disk only",
          }
        : {
            taskId,
            state: framework.info.partitionAware ? "TASK_DROPPED" : "TASK_LOST",
            reason: "REASON_INVALID_OFFERS",
            message: `Task launched with invalid offers: ${invalidOffers}`,
          };
    framework.send(taskStatusEvent(status, framework.agent, nowMs));
  }
}

/** What Mesos answers about tasks that it does not know; to who asks after all of them it has nothing to say. */
export async function reconcileTasks(framework: Framework, tasks: readonly AskedTask[], nowMs: number): Promise<void> {
  for (const { taskId, agentId } of tasks) {
    await framework.room();
    const isHere = agentId === framework.agent.agentId;
    const state = isHere ? "TASK_GONE" : "TASK_UNKNOWN";
    const status: TaskStatus = {
      taskId,
      state: framework.info.partitionAware ? state : "TASK_LOST",
      reason: "REASON_RECONCILIATION",
      message: `Reconciliation: Task is unknown${isHere ? " to the agent" : ""}`,
    };
    framework.send(taskStatusEvent(status, framework.agent, nowMs));
  }
}
