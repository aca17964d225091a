/**
 * The agent socket: what containerizers and the command line speak, JSON over HTTP over a Unix socket. It serves the
 * `/v1` routes of every door and, alone, attaching and detaching.
 *
 * Whoever may open the socket is the superuser, known by the kernel's word (`SO_PEERCRED`) once for each connection. A
 * peer that the kernel cannot name, or whose user is not mapped into our user namespace, may do nothing.
 */
import type { Socket } from "node:net";
import type { FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Log } from "../../ports/log.ts";
import { mediaTypeOf, readJson, readUndeclaredJson } from "../http/body.ts";
import { closeApp, createApp } from "../http/server.ts";
import { addV1Routes } from "../http/v1.ts";
import { addContainerRoutes } from "./container-routes.ts";
import { listenOnSocket } from "./listen.ts";

export interface AgentSocketOptions {
  readonly engine: Engine;
  /** The caller holds the work root, so no other daemon of this work root answers there. */
  readonly path: string;
  readonly version: string;
  readonly log: Log;
  /** Permission bits of the socket. */
  readonly mode: number;
  /** The user at the other end; `undefined` when the kernel does not say. */
  readonly peer: (socket: Socket) => Peer | undefined;
}

interface Peer {
  readonly uid: number;
  readonly name?: string;
}

/** What the kernel calls every user that our user namespace does not know. */
const OVERFLOW_UID = 65_534;

/** curl declares this when it is told nothing else. */
const CURL_MEDIA_TYPE = "application/x-www-form-urlencoded";

/** Starts to listen. @throws `conflict` when somebody answers there, or the path is not a socket */
export async function startAgentSocket(options: AgentSocketOptions): Promise<{ close(): Promise<void> }> {
  const { engine, path, version, log, mode } = options;
  const actors = new WeakMap<Socket, Actor>();
  const app = createApp({
    engine,
    log,
    admit: ({ socket }) => {
      const known = actors.get(socket) ?? identify(options.peer(socket));
      actors.set(socket, known);
      return known;
    },
  });
  addV1Routes(app, { engine, version, readBody });
  addContainerRoutes(app, engine, readBody);
  const forget = await listenOnSocket(app, path, mode);
  return {
    close: async () => {
      forget();
      await closeApp(app);
    },
  };
}

function identify(peer: Peer | undefined): Actor {
  if (peer === undefined) throw new HoldfastError("forbidden", "Cannot answer: the kernel does not say who asks");
  // Unless it is who we are ourselves: then it needs no mapping.
  if (peer.uid === OVERFLOW_UID && process.getuid?.() !== OVERFLOW_UID) {
    throw new HoldfastError("forbidden", `Cannot answer: user ${OVERFLOW_UID} is nobody that this node knows`);
  }
  return Object.freeze({ kind: "peer", ...peer });
}

/** No browser comes through here, so a body need not be declared as JSON, only not as something else. */
function readBody(request: FastifyRequest): unknown {
  const type = mediaTypeOf(request);
  return type === undefined || type === CURL_MEDIA_TYPE ? readUndeclaredJson(request) : readJson(request);
}
