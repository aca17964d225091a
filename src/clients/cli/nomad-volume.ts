/**
 * A plugin for Nomad's dynamic host volumes (Nomad 1.10 and later): a symlink to this program in Nomad's
 * `host_volume_plugin_dir` is one. Nomad says everything by environment variables, and repeats `create` for every volume
 * when its agent starts, which is why everything may come twice.
 *
 * A host volume is a volume of its own in role `nomad`, reserved and created as one list, and attached below Nomad's volume
 * directory under Nomad's id. So it is in use as far as everybody else is concerned, and after a reboot, when mounts are
 * gone, Nomad's own repetition brings it back. Deleting it destroys it and gives back its disk; its content is retained.
 * Nomad does not say whether it wants a new volume or its old one: while content of that name is retained, no empty volume
 * takes its place.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../../package.json" with { type: "json" };
import { codeOf, HoldfastError } from "../../domain/error.ts";
import { printResource } from "../../domain/mesos-format.ts";
import { type DiskResource, type DiskSource, type Reservation, ROOT_DISK } from "../../domain/resource.ts";
import { poolsWithRoom } from "../../domain/room.ts";
import { parseSizeMb, printSize } from "../../domain/size.ts";
import { type ContainerPath, type MilliMb, subtractSizes, toBytes } from "../../domain/units.ts";
import type { OperationBody } from "../../faces/agent-socket/wire.ts";
import { type Agent, openAgent } from "./agent.ts";
import type { CommandContext, Configure } from "./command.ts";
import { findLiveVolume, findRetainedVolume, readResources } from "./lookups.ts";
import { type Environment, type NomadVolume, readNomadVolume, readSizeRange, type SizeRange } from "./nomad-request.ts";
import { addSocketOption, type SocketOptions, volumeText } from "./options.ts";
import { diskOf } from "./pools.ts";

const LABEL_KEY = "io.holdfast.nomad";
/** Of a volume without a capacity. */
const DEFAULT_SIZE = parseSizeMb(1024, "the default size");
/** Nomad's own plugin gives its directories this mode. */
const DIRECTORY_MODE = 0o700;

const OPERATIONS: Readonly<Record<string, (agent: Agent, environment: Environment) => Promise<object>>> = {
  fingerprint: async () => ({ version: manifest.version }),
  create,
  delete: remove,
};

export const configureNomadVolume: Configure = (command, context) => {
  command
    .description("What Nomad runs as a plugin for dynamic host volumes, with its requests in the environment.")
    .addArgument(command.createArgument("<OPERATION>", "what Nomad wants").choices(Object.keys(OPERATIONS)))
    .action((operation: string, options: SocketOptions) => serve(operation, options, context));
  addSocketOption(command, context);
  command.addHelpText("after", HELP);
};

const HELP = `
Nomad finds it as a symlink in its host_volume_plugin_dir:
  $ ln -s /usr/local/bin/holdfast /opt/nomad/data/host_volume_plugins/holdfast
It gives it no environment of yours. Where the agent socket is elsewhere, the plugin is a script:
  exec holdfast nomad-volume "$1" --socket /run/other.sock
Parameters of a volume: role (default nomad), disk (root of a PATH or MOUNT disk), uid and gid of its top.`;

async function serve(operation: string, { socket }: SocketOptions, context: CommandContext): Promise<void> {
  const answer = await OPERATIONS[operation]?.(openAgent(socket), context.environment);
  context.print(JSON.stringify(answer));
}

/** Makes the volume if it is not there, grows it if it is too small, and makes it appear in Nomad's directory. */
async function create(agent: Agent, environment: Environment): Promise<object> {
  const wanted = readNomadVolume(environment);
  const range = readSizeRange(environment);
  const { volume, directory, name, namespace, owner } = wanted;
  const size = await makeOrGrow(agent, wanted, range);
  mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  await agent.attach(containerOf(wanted), {
    sandbox: directory,
    volumes: [{ ...volume, containerPath: volume.id }],
    ...owner,
  });
  await agent.describe(volume, { description: `Nomad's host volume ${name} in namespace ${namespace}` });
  return { path: join(directory, volume.id), bytes: toBytes(size) };
}

/** Takes it away from Nomad's directory, destroys it, and gives its disk back; one that is gone is no failure. */
async function remove(agent: Agent, environment: Environment): Promise<object> {
  const wanted = readNomadVolume(environment);
  await agent.detach(containerOf(wanted), { force: false });
  const found = await findLiveVolume(agent, wanted.volume);
  if (found !== undefined) await agent.perform({ operations: removing(found) });
  return {};
}

async function makeOrGrow(agent: Agent, wanted: NomadVolume, range: SizeRange): Promise<MilliMb> {
  const found = await findLiveVolume(agent, wanted.volume);
  if (found !== undefined) return growTo(agent, found, range, wanted);
  await requireNoneRetained(agent, wanted);
  const size = newSize(range);
  const operations = creating(await chooseDisk(agent, wanted, size), size, wanted);
  try {
    await agent.perform({ operations });
  } catch (error) {
    if (codeOf(error) !== "duplicate_volume") throw error;
    // The same call was faster: Nomad gives up on one that takes long, and repeats it.
    const other = await findLiveVolume(agent, wanted.volume);
    if (other === undefined) throw error;
    return growTo(agent, other, range, wanted);
  }
  return size;
}

/** What runs on the volume would start on nothing, and its content be collected before anybody misses it. */
async function requireNoneRetained(agent: Agent, { volume }: NomadVolume): Promise<void> {
  const retained = await findRetainedVolume(agent, volume);
  if (retained === undefined) return;
  const name = volumeText(volume);
  const ways = `holdfast restore ${name} brings it back with its content, holdfast gc ${retained.uuid} gives it up`;
  throw new HoldfastError(
    "conflict",
    `Cannot create volume ${name}: it was destroyed at ${retained.retiredAt}; ${ways}`,
  );
}

async function growTo(
  agent: Agent,
  found: DiskResource,
  { min, max }: SizeRange,
  { volume }: NomadVolume,
): Promise<MilliMb> {
  if (max !== undefined && found.size > max) {
    const sizes = `it has ${printSize(found.size)}, and at most ${printSize(max)} are wanted`;
    throw new HoldfastError("invalid", `Cannot use volume ${volumeText(volume)}: ${sizes}`);
  }
  if (min === undefined || found.size >= min) return found.size;
  const { source, reservations } = found;
  const addition: DiskResource = { size: subtractSizes(min, found.size), source, reservations };
  const grow = { volume: printResource(found, "post"), addition: printResource(addition, "post") };
  const operations: OperationBody[] = [{ type: "GROW_VOLUME", grow_volume: grow }];
  if (isOwn(reservations)) operations.unshift(reserving(addition));
  await agent.perform({ operations });
  return min;
}

function newSize({ min, max }: SizeRange): MilliMb {
  if (min !== undefined) return min;
  return max === undefined || max > DEFAULT_SIZE ? DEFAULT_SIZE : max;
}

/** Where nothing has room, the daemon refuses with the figures. */
async function chooseDisk(agent: Agent, { disk }: NomadVolume, size: MilliMb): Promise<DiskSource> {
  const resources = await readResources(agent);
  if (disk !== undefined) return diskOf(resources, disk);
  const free = resources.filter(({ reservations }) => reservations.length === 0);
  return poolsWithRoom(free, size)[0]?.source ?? ROOT_DISK;
}

function creating(source: DiskSource, size: MilliMb, { volume: { role, id } }: NomadVolume): readonly OperationBody[] {
  const own: Reservation = { type: "DYNAMIC", role, labels: [{ key: LABEL_KEY, value: id }] };
  const disk: DiskResource = { size, source, reservations: [own] };
  const volume = { id, containerPath: id as string as ContainerPath, mode: "RW", shared: false } as const;
  return [reserving(disk), { type: "CREATE", create: { volumes: [printResource({ ...disk, volume }, "post")] } }];
}

function reserving(disk: DiskResource): OperationBody {
  return { type: "RESERVE", reserve: { resources: [printResource(disk, "post")] } };
}

/** What was reserved for a volume goes with it. */
function removing(found: DiskResource): readonly OperationBody[] {
  const { size, source, reservations } = found;
  const destroy: OperationBody = { type: "DESTROY", destroy: { volumes: [printResource(found, "post")] } };
  if (!isOwn(reservations)) return [destroy];
  const resources = [printResource({ size, source, reservations }, "post")];
  return [destroy, { type: "UNRESERVE", unreserve: { resources } }];
}

function isOwn(reservations: readonly Reservation[]): boolean {
  return reservations.at(-1)?.labels?.some(({ key }) => key === LABEL_KEY) === true;
}

function containerOf({ volume }: NomadVolume): string {
  return `nomad-${volume.id}`;
}
