/**
 * `POST /api/v1/scheduler`: Mesos's v1 scheduler API in JSON, for disk. SUBSCRIBE is answered with a stream of events that
 * stays open; every other call is answered 202, and what comes of it is told on the stream.
 *
 * In this order it refuses, as Mesos does: a missing Content-Type (400), one that is not JSON (415), a malformed call
 * (400), for SUBSCRIBE another's principal (400), an Accept without JSON (406), a Mesos-Stream-Id (400); for the others an
 * unknown framework or another's (400), one that is not connected (403), a missing or wrong Mesos-Stream-Id (400); and
 * SUBSCRIBE where so many streams are open that no connections would be left for others (503). What
 * Mesos will not have of a framework that subscribes is told as an ERROR event, and the stream ends.
 */
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import { show } from "../../domain/refusal.ts";
import type { Clock } from "../../ports/clock.ts";
import { acceptsJson, NOT_ACCEPTABLE } from "../http/accepts.ts";
import { mediaTypeOf, readJson } from "../http/body.ts";
import { type Call, type Introduction, parseCall } from "./call.ts";
import { EventStream, type Wire } from "./event-stream.ts";
import type { Framework } from "./framework.ts";
import type { Scheduler } from "./scheduler.ts";

/** In a request's headers, which Node writes in lower case. */
const STREAM_ID = "mesos-stream-id";
const KEEP_ALIVE_MS = 30_000;

/** Closing the app closes all streams at once. */
export function addScheduler(app: FastifyInstance, scheduler: Scheduler, clock: Clock): void {
  const unwatch = app.accessChanges(() => scheduler.review());
  app.addHook("preClose", async () => {
    unwatch();
    scheduler.stop();
  });
  app.post("/api/v1/scheduler", async (request, reply) => {
    const call = readCall(request);
    if (!("call" in call)) return subscribe(request, reply, call);
    const framework = requireSubscribed(scheduler, request, call.frameworkId);
    await scheduler.carryOut(framework, request.actor, call.call);
    return reply.code(call.call.type === "UPDATE_FRAMEWORK" ? 200 : 202).send();
  });

  async function subscribe(request: FastifyRequest, reply: FastifyReply, call: Introduction): Promise<FastifyReply> {
    requirePrincipal(request.actor, call.principal);
    if (!acceptsJson(request.headers.accept)) return reply.code(406).send(NOT_ACCEPTABLE);
    if (request.headers[STREAM_ID] !== undefined) throw refused("invalid", "SUBSCRIBE must not have a Mesos-Stream-Id");
    const stream = openStream(reply, clock, (closed) => scheduler.disconnected(closed));
    await scheduler.subscribe(request, call, stream);
    return reply;
  }
}

function readCall(request: FastifyRequest): Call {
  if (mediaTypeOf(request) === undefined) throw refused("invalid", "the Content-Type header is missing");
  return parseCall(readJson(request));
}

/** Nobody speaks for a framework but who subscribed it, on the stream that it has. */
function requireSubscribed(scheduler: Scheduler, request: FastifyRequest, frameworkId: string): Framework {
  if (scheduler.isAnothers(frameworkId, request.actor))
    throw refused("invalid", "the framework is another principal's");
  const framework = scheduler.find(frameworkId, request.actor);
  if (framework === undefined) throw refused("invalid", `there is no framework ${show(frameworkId)}`);
  if (framework.stream === undefined) throw refused("forbidden", "the framework is not subscribed");
  const streamId = request.headers[STREAM_ID];
  if (streamId === undefined) throw refused("invalid", "the Mesos-Stream-Id header is missing");
  if (streamId !== framework.stream.id) {
    throw refused("invalid", "the Mesos-Stream-Id is not that of the framework's latest subscription");
  }
  return framework;
}

/** A framework may leave its principal out; it cannot be somebody else's. */
function requirePrincipal(actor: Actor, principal: string | undefined): void {
  if (actor.kind !== "principal" || principal === undefined || principal === actor.principal) return;
  const reason = `the principal of framework_info is ${show(principal)}, expected the authenticated ${actor.principal}`;
  throw refused("invalid", reason);
}

function refused(code: "invalid" | "forbidden", reason: string): HoldfastError {
  return new HoldfastError(code, `Cannot take the scheduler's call: ${reason}`);
}

/** Answers 200; everything that follows comes through the stream. */
function openStream(reply: FastifyReply, clock: Clock, onClose: (stream: EventStream) => void): EventStream {
  reply.server.longAnswers.begin(reply.raw);
  const id = randomUUID();
  const { raw } = reply.hijack();
  // The connection serves nothing else: the client shall see its end at once.
  raw.shouldKeepAlive = false;
  raw.socket?.setKeepAlive(true, KEEP_ALIVE_MS);
  raw.socket?.setNoDelay(true);
  raw.writeHead(200, { "content-type": "application/json", "Mesos-Stream-Id": id });
  raw.flushHeaders();
  const stream = new EventStream(id, wireOf(raw), clock);
  raw.on("close", () => onClose(stream));
  raw.on("error", () => onClose(stream));
  return stream;
}

function wireOf(raw: ServerResponse): Wire {
  return {
    write: (bytes, written) => void raw.write(bytes, written),
    end: () => void raw.end(),
    destroy: () => void raw.destroy(),
  };
}
