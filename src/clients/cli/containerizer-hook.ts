/**
 * The hook of an agent that manages sandboxes itself: the semantics of Mesos's linux filesystem isolator, with three
 * differences. A volume with a path that cannot be mounted is refused, not left out, because the task would write beside
 * its volume. All volumes are mounted or none. And cleanup leaves no mount in the sandbox, also under a process, because
 * the agent removes the sandbox next.
 */
import { readFileSync } from "node:fs";
import { HoldfastError } from "../../domain/error.ts";
import { fieldOf, type JsonObject, parseObject, parseString } from "../../domain/json.ts";
import { parseResource } from "../../domain/mesos-format.ts";
import { parseContainerId } from "../../domain/names.ts";
import { refuse, show } from "../../domain/refusal.ts";
import type { ContainerBody, ContainerJson } from "../../faces/agent-socket/wire.ts";
import type { Agent } from "./agent.ts";
import { findContainer } from "./container.ts";

/** `hook prepare` and `hook update` */
export async function prepare(agent: Agent, input: JsonObject): Promise<ContainerJson> {
  requireFields(input, ["containerId", "sandbox", "resources", "user"]);
  const container = parseContainerId(fieldOf(input, "containerId"), "the input: containerId");
  return agent.attach(container, {
    sandbox: parseString(fieldOf(input, "sandbox"), "the input: sandbox"),
    volumes: parseVolumes(fieldOf(input, "resources")),
    ...parseUser(fieldOf(input, "user")),
  });
}

/** What a container still has after `hook cleanup`: volumes that linger. */
export type CleanedUp = Pick<ContainerJson, "id" | "volumes">;

/** `hook cleanup` */
export async function cleanUp(agent: Agent, input: JsonObject): Promise<CleanedUp> {
  requireFields(input, ["containerId"]);
  const container = parseContainerId(fieldOf(input, "containerId"), "the input: containerId");
  try {
    await agent.detach(container, { force: false });
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "busy") throw error;
    await agent.detach(container, { force: true });
  }
  return (await findContainer(agent, container)) ?? { id: container, volumes: [] };
}

function requireFields(input: JsonObject, known: readonly string[]): void {
  const unknown = Object.keys(input).find((key) => !known.includes(key));
  if (unknown !== undefined) refuse(`the input: ${show(unknown)}`, "an unknown field", known.join(", "));
}

function parseVolumes(value: unknown): ContainerBody["volumes"] {
  if (!Array.isArray(value)) return refuse("the input: resources", show(value), "a list of resources");
  return value.flatMap((item: unknown, index) => parseVolume(item, `the input: resources: item ${index + 1}`));
}

/** The volume that a resource of a task is; nothing when it is another kind of resource. */
function parseVolume(value: unknown, what: string): ContainerBody["volumes"] {
  // Whom a task's resource is offered to says nothing about the volume.
  const { allocation_info: _offered, ...resource } = parseObject(value, what);
  const disk = fieldOf(resource, "disk");
  if (disk === undefined || fieldOf(parseObject(disk, `${what}: disk`), "persistence") === undefined) return [];
  const { reservations, volume } = parseResource(resource, what);
  const role = reservations.at(-1)?.role;
  if (volume === undefined || role === undefined)
    return refuse(what, "no volume", "reserved disk with disk.persistence");
  return [{ role, id: volume.id, containerPath: volume.containerPath, mode: volume.mode }];
}

/** Ids of a user of this node, by name or number. */
function parseUser(value: unknown): Pick<ContainerBody, "uid" | "gid"> {
  if (value === undefined) return {};
  if (typeof value !== "string" && typeof value !== "number") {
    return refuse("the input: user", show(value), "a user's name or number");
  }
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (uid !== undefined && gid !== undefined && [name, uid].includes(String(value))) {
      return { uid: Number(uid), gid: Number(gid) };
    }
  }
  return refuse("the input: user", show(value), "a user of /etc/passwd");
}
