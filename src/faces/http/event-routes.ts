/** `GET /v1/events`: what happened, from the audit trail; and as it happens, as a stream of server-sent events. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { EVENT_TYPES, type NodeEvent } from "../../domain/event.ts";
import { parseIncarnation, parseRole, parseVolumeId } from "../../domain/names.ts";
import { refuse, show } from "../../domain/refusal.ts";
import { type AppId, toMb } from "../../domain/units.ts";
import type { Engine, EventsQuery } from "../../engine/engine.ts";
import { EventStreams } from "./event-stream.ts";
import { parseQuery, text } from "./schema.ts";
import type { EventJson, EventsJson } from "./wire.ts";

const NUMBER = /^\d{1,15}$/;
const number = z.string().regex(NUMBER, "expected a number");

const QUERY = z.strictObject({
  volume: text.optional(),
  uuid: text.optional(),
  principal: text.optional(),
  role: text.optional(),
  app: text.optional(),
  type: z.enum(EVENT_TYPES).optional(),
  after: number.optional(),
  before: number.optional(),
  limit: number.optional(),
});

export function addEventRoutes(app: FastifyInstance, engine: Engine): void {
  const streams = new EventStreams(engine, eventJson, app.accessChanges);
  app.addHook("preClose", async () => streams.close());

  app.get("/v1/events", async (request, reply): Promise<EventsJson | undefined> => {
    const query = parseEventsQuery(request);
    if (wantsStream(request)) return void streams.open({ ...query, ...lastSeen(request) }, reply);
    const { events, last } = await engine.events(request.actor, query);
    return { events: events.map(eventJson), last };
  });

  app.get("/v1/events/stream", async (request, reply) => {
    streams.open({ ...parseEventsQuery(request), ...lastSeen(request) }, reply);
  });
}

function eventJson({ seq, at, type, by, size, ...rest }: NodeEvent): EventJson {
  const { role, id, uuid, container, app, message } = rest;
  return {
    seq,
    at: new Date(at).toISOString(),
    type,
    by,
    ...(role === undefined ? {} : { role }),
    ...(id === undefined ? {} : { id }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(size === undefined ? {} : { sizeMb: toMb(size) }),
    ...(container === undefined ? {} : { container }),
    ...(app === undefined ? {} : { app }),
    ...(message === undefined ? {} : { message }),
  };
}

function wantsStream({ headers }: FastifyRequest): boolean {
  return headers.accept?.toLowerCase().includes("text/event-stream") === true;
}

/** A browser that comes back says what it saw last, whatever its address says. */
function lastSeen({ headers }: FastifyRequest): Pick<EventsQuery, "after"> {
  const seen = headers["last-event-id"];
  if (seen === undefined) return {};
  if (typeof seen !== "string" || !NUMBER.test(seen)) return refuse("the header Last-Event-ID", show(seen), "a number");
  return { after: Number(seen) };
}

function parseEventsQuery(request: FastifyRequest): EventsQuery {
  const { volume, uuid, principal, role, app, type, after, before, limit } = parseQuery(QUERY, request);
  return {
    ...(role === undefined ? {} : { role: parseRole(role, "role") }),
    ...(volume === undefined ? {} : parseVolume(volume)),
    ...(uuid === undefined ? {} : { uuid: parseIncarnation(uuid, "uuid") }),
    ...(principal === undefined ? {} : { by: principal }),
    // What no app can be called finds nothing.
    ...(app === undefined ? {} : { app: app as AppId }),
    ...(type === undefined ? {} : { type }),
    ...(after === undefined ? {} : { after: Number(after) }),
    ...(before === undefined ? {} : { before: Number(before) }),
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  };
}

/** ROLE/ID, at the last slash: a role may have slashes itself. */
function parseVolume(name: string): Pick<EventsQuery, "role" | "id"> {
  const slash = name.lastIndexOf("/");
  if (slash < 0) return refuse("the volume", show(name), "ROLE/ID, for example ads/db");
  return { role: parseRole(name.slice(0, slash)), id: parseVolumeId(name.slice(slash + 1)) };
}
