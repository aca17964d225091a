/**
 * The agent socket: what containerizers and the command line speak, JSON over HTTP over a Unix socket. It serves the
 * `/v1` routes of every door and, alone, attaching and detaching, by a container's name or by its OCI hook, and the
 * adoption of directories.
 *
 * Whoever may open the socket is the superuser.
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Engine } from "../../engine/engine.ts";
import type { Log } from "../../ports/log.ts";
import { mediaTypeOf, readJson, readUndeclaredJson } from "../http/body.ts";
import { listenOnSocket } from "../http/listen.ts";
import { admitPeers, type PeerOf } from "../http/peer.ts";
import { closeApp, createApp } from "../http/server.ts";
import { addV1Routes } from "../http/v1.ts";
import { addAdoptRoutes } from "./adopt-routes.ts";
import { addContainerRoutes } from "./container-routes.ts";
import { addHookRoutes, type HookHost } from "./hook-routes.ts";
import { addSandboxRoutes } from "./sandbox-routes.ts";

export interface AgentSocketOptions {
  readonly engine: Engine;
  /** The caller holds the work root, so no other daemon of this work root answers there. */
  readonly path: string;
  /** Descriptor of a socket that listens there already: its file and its mode are somebody else's to keep. */
  readonly listener?: number | undefined;
  readonly version: string;
  readonly log: Log;
  /** Permission bits of the socket. */
  readonly mode: number;
  readonly peer: PeerOf;
  readonly hookHost: HookHost;
  /** Adds the routes of the faces that share this socket. */
  readonly share?: (app: FastifyInstance, readBody: (request: FastifyRequest) => unknown) => void;
}

/** curl declares this when it is told nothing else. */
const CURL_MEDIA_TYPE = "application/x-www-form-urlencoded";

/** Every container that starts has a hook that waits. */
const CONNECTIONS_MAX = 4096;

/** Starts to listen. @throws `conflict` when somebody answers there, or the path is not a socket */
export async function startAgentSocket(options: AgentSocketOptions): Promise<{ close(): Promise<void> }> {
  const { engine, version, log } = options;
  const app = createApp({ engine, log, admit: admitPeers(options.peer), connectionsMax: CONNECTIONS_MAX });
  addV1Routes(app, { engine, version, readBody });
  addContainerRoutes(app, engine, readBody);
  addAdoptRoutes(app, engine, readBody);
  addSandboxRoutes(app, engine, readBody);
  addHookRoutes(app, { engine, host: options.hookHost, peer: options.peer, readBody });
  options.share?.(app, readBody);
  const forget = await listenOnSocket(app, options);
  return {
    close: async () => {
      forget();
      await closeApp(app);
    },
  };
}

/** No browser comes through here, so a body need not be declared as JSON, only not as something else. */
function readBody(request: FastifyRequest): unknown {
  const type = mediaTypeOf(request);
  return type === undefined || type === CURL_MEDIA_TYPE ? readUndeclaredJson(request) : readJson(request);
}
