/**
 * The volume plugin for Docker and Podman (Docker's volume plugin protocol, version 1): a volume is created, used and
 * removed with the engine's own commands, and stays a volume like any other.
 *
 * - The engine mounts by itself: a Mountpoint is the content's path, and no mount of ours is involved. What it says about
 *   who uses a volume are hints (it may be killed, and its `docker cp` gives back what a running container has), so the
 *   answer to "in use?" is never taken from it alone.
 * - Everything may come twice, and the second time changes nothing.
 * - A volume is shared unless `shared=false` was said: that is what Docker's users expect. Removing one destroys it and
 *   gives back the disk that was reserved for it; its content is retained as ever.
 * - Podman takes any answer with status 200 for success, so a refusal has another one, always with JSON `{"Err": ...}`.
 * - Names: see `names.ts`.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { type ErrorCode, HoldfastError } from "../../domain/error.ts";
import { planRemoval } from "../../domain/new-volume.ts";
import type { MilliMb, Role } from "../../domain/units.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Log } from "../../ports/log.ts";
import { type RefusalForm, sendAs } from "../http/errors.ts";
import { listenOnSocket } from "../http/listen.ts";
import { admitPeers, type PeerOf } from "../http/peer.ts";
import { closeApp, createApp } from "../http/server.ts";
import { createVolume } from "./create.ts";
import { namingHolders } from "./in-use.ts";
import { type DockerName, findByName, type LiveVolume, meanings, nameOf } from "./names.ts";
import { readCreate, readList, readMount, readName, readNothing } from "./requests.ts";
import { inTurn } from "./turns.ts";
import { listEntry, volumeEntry } from "./views.ts";

export interface DockerPluginOptions {
  readonly engine: Engine;
  /** Where Docker finds a socket by itself, its name is the driver's. */
  readonly path: string;
  /** Descriptor of a socket that listens there already. */
  readonly listener?: number | undefined;
  /** Of the volumes that are named without a role. */
  readonly role: Role;
  /** Of a volume that is created without a size; `undefined` refuses it. */
  readonly defaultSize: MilliMb | undefined;
  readonly log: Log;
  readonly peer: PeerOf;
}

const SOCKET_MODE = 0o600;
const MEDIA_TYPE = "application/vnd.docker.plugins.v1.1+json";

/** What is wrong with the request itself is told apart; all else is 500, as in Docker's own plugins. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid: 400,
  not_found: 404,
  method_not_allowed: 405,
  too_large: 413,
  unknown_agent: 500,
  no_such_volume: 500,
  no_such_app: 500,
  duplicate_app: 500,
  no_such_container: 500,
  no_such_operation: 500,
  no_such_process: 500,
  duplicate_volume: 500,
  unauthenticated: 500,
  forbidden: 500,
  insufficient: 500,
  in_use: 500,
  protected: 500,
  busy: 500,
  conflict: 500,
  unsupported: 500,
  damaged: 500,
  operation_id_reused: 500,
  unsupported_media_type: 500,
  misdirected: 500,
  unavailable: 500,
  disk_full: 500,
  internal: 500,
};

const FORM: RefusalForm = Object.freeze({
  mediaType: MEDIA_TYPE,
  status: ({ code }: HoldfastError) => STATUS[code],
  body: ({ message }: HoldfastError) => ({ Err: message }),
});

const DONE = Object.freeze({ Err: "" });

/** Starts to listen. @throws `conflict` when somebody answers there, or the path is not a socket */
export async function startDockerPlugin(options: DockerPluginOptions): Promise<{ close(): Promise<void> }> {
  const { engine, path, listener, log, peer } = options;
  const app = createApp({ engine, log, form: FORM, admit: admitPeers(peer) });
  addPluginRoutes(app);
  addVolumeRoutes(app, options);
  const forget = await listenOnSocket(app, { path, listener, mode: SOCKET_MODE });
  return {
    close: async () => {
      forget();
      await closeApp(app);
    },
  };
}

/** Adds a call: all are POST, and all are answered in the protocol's own media type. */
function addCall(app: FastifyInstance, name: string, answer: (request: FastifyRequest) => object | Promise<object>) {
  app.post(`/${name}`, async (request, reply) => {
    return sendAs(MEDIA_TYPE, await answer(request), reply);
  });
}

function addPluginRoutes(app: FastifyInstance): void {
  addCall(app, "Plugin.Activate", (request) => {
    readNothing(request);
    return { Implements: ["VolumeDriver"] };
  });

  addCall(app, "VolumeDriver.Capabilities", (request) => {
    readNothing(request);
    return { Capabilities: { Scope: "local" } };
  });
}

function addVolumeRoutes(app: FastifyInstance, { engine, role, defaultSize }: DockerPluginOptions): void {
  const find = async ({ actor }: FastifyRequest, name: DockerName): Promise<LiveVolume | undefined> =>
    findByName((await engine.resources(actor)).resources, name, role);

  const mustFind = async (request: FastifyRequest, name: DockerName): Promise<LiveVolume> => {
    const volume = await find(request, name);
    if (volume === undefined) throw noSuchVolume(name);
    return volume;
  };

  const view = async (request: FastifyRequest, name: DockerName) => {
    const found = await mustFind(request, name);
    const seen = await engine.volume(request.actor, found.role, found.id);
    if (seen.volume.phase !== "live") throw noSuchVolume(name);
    return seen;
  };

  const creating = inTurn();
  addCall(app, "VolumeDriver.Create", async (request) => {
    const wanted = readCreate(request);
    await creating(wanted.name.id, () => createVolume(engine, request.actor, wanted, { role, size: defaultSize }));
    return DONE;
  });

  addCall(app, "VolumeDriver.Remove", async (request) => {
    const volume = await mustFind(request, readName(request));
    await namingHolders(engine, request.actor, volume, () =>
      engine.perform(request.actor, planRemoval(volume.resource)),
    );
    return DONE;
  });

  addCall(app, "VolumeDriver.Mount", async (request) => {
    const { name, borrower, runtime } = readMount(request);
    const volume = await mustFind(request, name);
    const { path } = await namingHolders(engine, request.actor, volume, () =>
      engine.lend(request.actor, { borrower, role: volume.role, id: volume.id, runtime }),
    );
    return { Mountpoint: path, Err: "" };
  });

  addCall(app, "VolumeDriver.Unmount", async (request) => {
    const { name, borrower, runtime } = readMount(request);
    const volume = await find(request, name);
    if (volume === undefined) return DONE;
    await engine.giveBack(request.actor, { borrower, role: volume.role, id: volume.id, runtime });
    return DONE;
  });

  addCall(app, "VolumeDriver.Path", async (request) => {
    const { path } = await view(request, readName(request));
    return { Mountpoint: path, Err: "" };
  });

  addCall(app, "VolumeDriver.Get", async (request) => {
    const name = readName(request);
    return { Volume: volumeEntry(name.text, await view(request, name)), Err: "" };
  });

  addCall(app, "VolumeDriver.List", async (request) => {
    const takes = readList(request);
    const live = (await engine.volumes(request.actor)).filter(({ volume }) => volume.phase === "live");
    const meant = meanings(
      live.map(({ volume }) => volume),
      role,
    );
    const entries = live.map((one) => listEntry(nameOf(one.volume, meant), one));
    return { Volumes: entries.filter(({ Name }) => takes(Name)), Err: "" };
  });
}

function noSuchVolume({ text }: DockerName): HoldfastError {
  return new HoldfastError("no_such_volume", `Cannot find volume ${text}: no such volume`);
}
