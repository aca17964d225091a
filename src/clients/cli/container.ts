/** The daemon makes exactly the listed volumes present; adding one or taking one away starts from what is there. */
import { HoldfastError } from "../../domain/error.ts";
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

/** Where a volume appears; below the root of the container's process when it has one. */
export function attachmentPath({ sandbox = "" }: ContainerJson, { containerPath }: AttachmentJson): string {
  return `${sandbox.replace(/\/$/, "")}/${containerPath}`;
}

/**
 * What says where a container is, as the daemon wants it repeated.
 * @throws `unsupported` its engine mounts by itself
 */
export function placeOf({ id, sandbox, pid, runtime = "its engine" }: ContainerJson): ContainerPlace {
  if (sandbox !== undefined) return { sandbox, ...(pid === undefined ? {} : { pid }) };
  throw new HoldfastError("unsupported", `Cannot change what ${id} has: ${runtime} mounts its volumes by itself`);
}

export type ContainerPlace = Pick<ContainerBody, "sandbox" | "pid">;
