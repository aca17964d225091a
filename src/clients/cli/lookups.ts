/** What a command must ask before it can name disk exactly: an operation carries sizes and reservations, people do not. */
import { type ErrorCode, HoldfastError } from "../../domain/error.ts";
import { parseResource } from "../../domain/mesos-format.ts";
import type { DiskResource } from "../../domain/resource.ts";
import type { VolumeJson } from "../../faces/agent-socket/wire.ts";
import type { Agent } from "./agent.ts";
import type { VolumeName } from "./options.ts";

/** Free disk by pool, and every live volume. */
export async function readResources(agent: Agent): Promise<readonly DiskResource[]> {
  const { resources } = await agent.resources();
  return resources.map((resource) => parseResource(resource, "the daemon's resources"));
}

/** The volume of this name as an operation names it: the live one, else the newest retained one. */
export async function readVolume(agent: Agent, name: VolumeName): Promise<DiskResource> {
  const { resource } = await agent.volume(name);
  return parseResource(resource, "the daemon's volume");
}

/** Like `readVolume`, `undefined` when no volume of this name is live. */
export async function findLiveVolume(agent: Agent, name: VolumeName): Promise<DiskResource | undefined> {
  const volume = await unless("no_such_volume", agent.volume(name));
  return volume === undefined || volume.retiredAt !== undefined
    ? undefined
    : parseResource(volume.resource, "the daemon's volume");
}

/** The newest destroyed volume of this name that can still be restored, when none of this name is live. */
export async function findRetainedVolume(agent: Agent, name: VolumeName): Promise<VolumeJson | undefined> {
  const volume = await unless("no_such_volume", agent.volume(name));
  return volume?.retiredAt === undefined || volume.state === "collecting" ? undefined : volume;
}

/** Whether an operation with this id was done before. */
export async function wasDone(agent: Agent, operationId: string): Promise<boolean> {
  return (await unless("no_such_operation", agent.outcome(operationId))) !== undefined;
}

async function unless<Answer>(code: ErrorCode, answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof HoldfastError && error.code === code) return undefined;
    throw error;
  }
}
