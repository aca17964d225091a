/**
 * The HTTP kit: what every HTTP door of Holdfast has in common. A door says who may come in (`admit`) and adds its
 * routes; the kit keeps the limits, reads bodies, and answers every refusal in one form.
 *
 * It refuses before the body is read: first who asks, then whether the engine is ready. Nothing is logged for a request
 * except a failure of our own.
 */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Log } from "../../ports/log.ts";
import { BODY_BYTES_MAX, collectBody } from "./body.ts";
import { refuseBrokenHttp } from "./client-error.ts";
import { PLAIN_FORM, pathOf, type RefusalForm, sendError } from "./errors.ts";
import { LongAnswers } from "./long-answers.ts";
import { type AccessChanges, NEVER_CHANGES, type Standing } from "./standing.ts";
import type { HealthJson } from "./wire.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks; set before a handler runs, except in open routes. */
    actor: Actor;
    /** Asks whether they still would be let in. */
    standing: Standing;
  }
  interface FastifyInstance {
    accessChanges: AccessChanges;
    longAnswers: LongAnswers;
  }
  interface FastifyContextConfig {
    /** Answers anybody, at any time. */
    open?: boolean;
  }
}

export interface Door {
  readonly engine: Engine;
  readonly log: Log;
  /** Says whether the request means us; throws the refusal. */
  readonly screen?: (request: IncomingMessage) => void;
  /** Says who asks; throws the refusal. */
  readonly admit: (request: FastifyRequest, reply: FastifyReply) => Actor | Promise<Actor>;
  /** Where who may come in, and do what, can change. */
  readonly accessChanges?: AccessChanges | undefined;
  /** PEM. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Connections beyond it are ended at once; default 256. */
  readonly connectionsMax?: number;
  /** How refusals read, where the protocol is another's. */
  readonly form?: RefusalForm;
}

const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
const TIMEOUT_CHECK_MS = 5_000;
const CLOSE_TIMEOUT_MS = 10_000;
const IDLE_SWEEP_MS = 20;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 256;
/** A role and an id of 255 bytes each, every byte as %XX. */
const PARAMETER_CHARACTERS_MAX = 1024;

/** A fastify app with our limits, `/healthz` and `/readyz`. It does not listen yet. */
export function createApp(door: Door): FastifyInstance {
  const answer = { log: door.log, form: door.form ?? PLAIN_FORM };
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  };
  const options = {
    logger: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    bodyLimit: BODY_BYTES_MAX,
    // The engine says itself that it is stopping, in our form.
    return503OnClosing: false,
    routerOptions: { maxParamLength: PARAMETER_CHARACTERS_MAX },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      void sendError(error, request, reply, answer),
    clientErrorHandler: (error: NodeJS.ErrnoException, socket: Socket) => refuseBrokenHttp(error, socket, answer.form),
  };
  // The server's kind makes no difference to routes, only to fastify's types.
  const app =
    door.tls === undefined
      ? fastify({ ...options, http: limits })
      : (fastify({ ...options, https: { ...limits, ...door.tls } }) as unknown as FastifyInstance);
  const { connectionsMax = CONNECTIONS_MAX } = door;
  app.server.maxConnections = connectionsMax;
  app.decorate("longAnswers", new LongAnswers(connectionsMax));

  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", collectBody);
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply, answer));
  addAdmission(app, door);
  addNotFound(app);
  addHealth(app, door.engine);
  return app;
}

/** Serves a socket that was opened, and listens, before this process was there. */
export async function listenOnDescriptor(app: FastifyInstance, fd: number): Promise<void> {
  await app.ready();
  app.server.listen({ fd });
  await once(app.server, "listening");
}

/**
 * Stops listening, lets answers that are under way finish, and closes every connection that is idle.
 * @param timeoutMs when to cut off the clients that still have not sent or read everything
 */
export async function closeApp(app: FastifyInstance, timeoutMs = CLOSE_TIMEOUT_MS): Promise<void> {
  // Node closes what is idle now, and would wait for what becomes idle later until its keep-alive ends.
  const sweep = setInterval(() => app.server.closeIdleConnections(), IDLE_SWEEP_MS);
  const deadline = setTimeout(() => app.server.closeAllConnections(), timeoutMs);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
    clearTimeout(deadline);
  }
}

function addAdmission(app: FastifyInstance, { engine, screen, admit, accessChanges = NEVER_CHANGES }: Door): void {
  app.decorate("accessChanges", accessChanges);
  app.decorateRequest("actor");
  app.decorateRequest("standing", () => undefined);
  app.addHook("onRequest", async (request, reply) => {
    screen?.(request.raw);
    if (request.routeOptions.config?.open === true) return;
    request.actor = await admit(request, reply);
    if (!engine.ready) throw notReady();
  });
}

function addHealth(app: FastifyInstance, engine: Engine): void {
  const ok: HealthJson = Object.freeze({ status: "ok" });
  app.get("/healthz", { config: { open: true } }, () => ok);
  app.get("/readyz", { config: { open: true } }, () => {
    if (!engine.ready) throw notReady();
    return ok;
  });
}

/** What no route takes: 405 with what the address does take, else 404. */
function addNotFound(app: FastifyInstance): void {
  const methods = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ method, url }) => {
    const known = methods.get(url) ?? new Set();
    for (const one of [method].flat()) known.add(one);
    methods.set(url, known);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request);
    const route = [...methods.keys()].find((pattern) => matches(pattern, path));
    if (route === undefined) throw new HoldfastError("not_found", "Cannot find this address");
    const allowed = [...(methods.get(route) ?? [])].sort().join(", ");
    reply.header("allow", allowed);
    throw new HoldfastError("method_not_allowed", `Cannot ${request.method} this address: it takes ${allowed}`);
  });
}

/** Whether an address is of the form `/v1/volumes/:role/:id`. */
function matches(pattern: string, path: string): boolean {
  const steps = path.split("/");
  const wanted = pattern.split("/");
  return steps.length === wanted.length && wanted.every((step, index) => step.startsWith(":") || step === steps[index]);
}

function notReady(): HoldfastError {
  return new HoldfastError("unavailable", "Cannot answer yet: the daemon is starting or stopping");
}
