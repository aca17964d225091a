/**
 * The operator's door: Mesos's endpoints for disk on one node, our `/v1` routes, and the metrics, over HTTP or HTTPS with
 * Basic authentication.
 *
 * It refuses in this order: a Host or Origin that is not ours (421), missing or wrong credentials (401), everything while
 * the engine is not ready (503), an unknown address or method (404, 405), a malformed body or another agent's id (400).
 * What is left is the engine's to allow.
 */
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Principal } from "../../domain/units.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Authenticator } from "../../ports/authenticator.ts";
import type { Log } from "../../ports/log.ts";
import { readJson } from "../http/body.ts";
import { hostGuard } from "../http/host.ts";
import { listenError } from "../http/listen-error.ts";
import { closeApp, createApp, listenOnDescriptor } from "../http/server.ts";
import type { AccessChanges, Standing } from "../http/standing.ts";
import { addV1Routes } from "../http/v1.ts";
import { addFormRoutes } from "./form-routes.ts";
import { addMesosApi } from "./mesos-api.ts";
import { addStateRoutes } from "./state-routes.ts";

export interface OperatorHttpOptions {
  readonly engine: Engine;
  /** Asked for every request, so that credentials can be exchanged. */
  readonly authenticator: () => Authenticator;
  /** Tells when it is another one, or the ACLs are. */
  readonly accessChanges?: AccessChanges;
  readonly metrics: { render(): Promise<string>; readonly contentType: string };
  readonly listen: Address;
  /** Descriptor of a socket that listens there already. */
  readonly listener?: number | undefined;
  /** PEM. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Further names that a Host header may have. */
  readonly allowedHosts: readonly string[];
  readonly version: string;
  readonly log: Log;
  /** Adds the routes of the faces that share this address. */
  readonly share?: (app: FastifyInstance) => void;
  /** Whether a request is for a page of theirs, to which other pages may link. */
  readonly isPage?: (request: IncomingMessage) => boolean;
  /** Connections beyond it are ended at once. */
  readonly connectionsMax?: number;
}

export interface Address {
  readonly host: string;
  /** 0 lets the kernel choose. */
  readonly port: number;
}

const ANONYMOUS: Actor = Object.freeze({ kind: "anonymous" });

/** All frameworks and event streams that there may be, some that are about to end, and everybody else. */
const CONNECTIONS_MAX = 400;

/** Starts to listen. @throws `unavailable` when it cannot */
export async function startOperatorHttp(
  options: OperatorHttpOptions,
): Promise<{ readonly address: Address; close(): Promise<void> }> {
  const { engine, version, metrics, tls, log } = options;
  const screen = hostGuard([...machineNames(), ...options.allowedHosts]);
  const app = createApp({
    engine,
    log,
    ...(tls === undefined ? {} : { tls }),
    screen: (request) => screen(request.headers, { isPage: options.isPage?.(request) === true }),
    admit: (request, reply) => authenticate(options.authenticator, request, reply),
    accessChanges: options.accessChanges,
    connectionsMax: options.connectionsMax ?? CONNECTIONS_MAX,
  });
  // A browser keeps no answer for whoever uses it next, and takes none for what it is not.
  app.addHook("onRequest", async (_request, reply) => {
    reply.headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
  });
  const agent = { hostname: hostname(), version };
  addFormRoutes(app, engine);
  addStateRoutes(app, engine, agent);
  addMesosApi(app, engine, agent);
  addV1Routes(app, { engine, version, readBody: readJson });
  app.get("/metrics", async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render()));
  options.share?.(app);
  return { address: await startListening(app, options), close: () => closeApp(app) };
}

/** Without credentials everybody is anonymous, whatever they send. */
function authenticate(
  current: () => Authenticator,
  request: FastifyRequest,
  reply: FastifyReply,
): Actor | Promise<Actor> {
  return current().required ? identify(current, request, reply) : ANONYMOUS;
}

async function identify(current: () => Authenticator, request: FastifyRequest, reply: FastifyReply): Promise<Actor> {
  // Whoever this one let in is measured by it, also when it is another one in the meantime.
  const authenticator = current();
  const actor = await authenticator.authenticate(request.headers.authorization);
  if (actor !== undefined) {
    if (actor.kind === "principal") request.standing = standingOf(actor.principal, authenticator, current);
    return actor;
  }
  reply.header("www-authenticate", 'Basic realm="holdfast"');
  throw new HoldfastError("unauthenticated", "Cannot answer: credentials are missing or wrong");
}

function standingOf(principal: Principal, admitted: Authenticator, current: () => Authenticator): Standing {
  const mark = admitted.secretMark(principal);
  return () =>
    current().secretMark(principal) === mark
      ? undefined
      : new HoldfastError(
          "unauthenticated",
          `Cannot go on: the credentials of ${principal} were changed or taken away`,
        );
}

async function startListening(app: FastifyInstance, { listen, listener }: OperatorHttpOptions): Promise<Address> {
  const { host, port } = listen;
  try {
    if (listener === undefined) await app.listen({ host, port });
    else await listenOnDescriptor(app, listener);
    return boundAddress(app, listen, listener !== undefined);
  } catch (cause) {
    await app.close();
    throw listenError(`${host}:${port}`, cause);
  }
}

/** What was opened beforehand must be what is asked for: otherwise a change of the setting would change nothing. */
function boundAddress(app: FastifyInstance, wanted: Address, handed: boolean): Address {
  const { address: host, port } = app.server.address() as AddressInfo;
  if (!handed || (host === wanted.host && port === wanted.port)) return { host, port };
  throw new HoldfastError(
    "invalid",
    `Cannot listen on ${wanted.host}:${wanted.port}: the service manager listens on ${host}:${port} in its place, run install again`,
  );
}

/** The machine's own name, whole and without its domain. */
function machineNames(): readonly string[] {
  const name = hostname();
  return [name, name.split(".", 1)[0] ?? name];
}
