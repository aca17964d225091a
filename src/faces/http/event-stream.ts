/**
 * Server-sent events: one response that goes on until the client or the daemon leaves. What is not read waits in the
 * trail, not in memory: nothing is written while the last write waits, and who does not read for long is cut off. A
 * stream ends after an hour, and clients come back and say what they saw last. Who may not have it any more is told why
 * by an event `refused`, the last one.
 */
import type { ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import type { NodeEvent } from "../../domain/event.ts";
import type { Engine, EventsQuery } from "../../engine/engine.ts";
import { errorBody } from "./errors.ts";
import { type AccessChanges, refusalOf } from "./standing.ts";
import type { EventJson } from "./wire.ts";

const HEARTBEAT_MS = 15_000;
const UNREAD_MS_MAX = 30_000;
const STREAM_MS_MAX = 3_600_000;
/** How long the reason of its end may take to be read. */
const LAST_WORD_MS = 5_000;
/** One of them takes one of the door's connections for as long as it lasts. */
const STREAMS_MAX = 128;

const HEAD = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  connection: "close",
  "x-accel-buffering": "no",
  "x-content-type-options": "nosniff",
};

/** All streams of one door. */
export class EventStreams {
  readonly #engine: Engine;
  readonly #json: (event: NodeEvent) => EventJson;
  readonly #accessChanges: AccessChanges;
  readonly #open = new Set<() => void>();

  constructor(engine: Engine, json: (event: NodeEvent) => EventJson, accessChanges: AccessChanges) {
    this.#engine = engine;
    this.#json = json;
    this.#accessChanges = accessChanges;
  }

  /** Takes the response over. @throws `forbidden`, `unavailable` when there are too many */
  open(query: EventsQuery, reply: FastifyReply): void {
    const { actor, standing } = reply.request;
    const refusal = () => standing() ?? refusalOf(() => this.#engine.requireEvents(actor, query));
    const refused = refusal();
    if (refused !== undefined) throw refused;
    if (this.#open.size >= STREAMS_MAX) {
      throw new HoldfastError("unavailable", `Cannot follow events: ${STREAMS_MAX} others do, try again later`);
    }
    // A HEAD has no body to go on with.
    if (reply.request.method === "HEAD") return void reply.headers(HEAD).send();
    const { raw } = reply;
    reply.server.longAnswers.begin(raw);
    const end = (): void => void raw.end();
    const unfollow = this.#engine.follow(actor, query, (event) => send(raw, this.#print(event)), end);
    const heartbeat = setInterval(() => {
      if (!raw.writableNeedDrain) raw.write(":\n\n");
    }, HEARTBEAT_MS);
    const lifetime = setTimeout(end, STREAM_MS_MAX);
    const unwatch = this.#accessChanges(() => {
      const reason = refusal();
      if (reason === undefined || raw.writableEnded) return;
      unfollow();
      raw.end(`event: refused\ndata: ${JSON.stringify(errorBody(reason))}\n\n`);
      setTimeout(() => raw.destroy(), LAST_WORD_MS).unref();
    });
    this.#open.add(end);
    raw.on("close", () => {
      unfollow();
      unwatch();
      clearInterval(heartbeat);
      clearTimeout(lifetime);
      this.#open.delete(end);
    });
    reply.hijack();
    raw.writeHead(200, HEAD);
    raw.write(":\n\n");
  }

  /** Ends them all, such that the clients see it. */
  close(): void {
    for (const end of this.#open) end();
  }

  #print(event: NodeEvent): string {
    return `id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(this.#json(event))}\n\n`;
  }
}

/** Resolves when more may be written, or nothing more can be. */
function send(raw: ServerResponse, text: string): void | Promise<void> {
  if (raw.writableEnded || raw.destroyed || raw.write(text)) return;
  return new Promise((resolve) => {
    const patience = setTimeout(() => raw.destroy(), UNREAD_MS_MAX);
    const goOn = (): void => {
      clearTimeout(patience);
      raw.off("drain", goOn);
      raw.off("close", goOn);
      resolve();
    };
    raw.on("drain", goOn);
    raw.on("close", goOn);
  });
}
