/** The daemon makes exactly the listed volumes present; adding one or taking one away starts from what is there. */
import type { AttachmentJson, ContainerBody, ContainerJson } from "../../faces/agent-socket/wire.ts";
import type { Agent } from "./agent.ts";
import { type VolumeName, volumeText } from "./options.ts";

export async function findContainer(agent: Agent, id: string): Promise<ContainerJson | undefined> {
  const { containers } = await agent.containers();
  return containers.find((container) => container.id === id);
}

/** The volumes that a container has and keeps when these others are set or taken away. */
export function keptVolumes(
  container: ContainerJson | undefined,
  others: readonly VolumeName[],
): ContainerBody["volumes"] {
  const names = new Set(others.map(volumeText));
  return (container?.volumes ?? [])
    .filter((attachment) => isHeld(attachment) && !names.has(volumeText(attachment)))
    .map(({ role, id, containerPath, mode }) => ({ role, id, containerPath, mode }));
}

/** Whether the container has it: what was detached by force only lingers, what is being detached goes. */
export function isHeld({ state }: AttachmentJson): boolean {
  return state === "attached" || state === "attaching";
}

/** Where a volume appears. */
export function attachmentPath(sandbox: string, { containerPath }: AttachmentJson): string {
  return `${sandbox.replace(/\/$/, "")}/${containerPath}`;
}
