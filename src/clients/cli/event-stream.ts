/**
 * Follows the daemon's server-sent events, also over its restarts: a connection that ended is made again, behind the last
 * event that was seen.
 */
import type { IncomingMessage } from "node:http";
import { codeOf } from "../../domain/error.ts";
import type { EventJson } from "../../faces/agent-socket/wire.ts";
import { openDaemon, refusal } from "./connection.ts";

const AGAIN_MS = 500;

export interface FollowOptions {
  readonly socket: string;
  /** Query of the stream, encoded, without `after`. */
  readonly query: string;
  /** The last event that was seen. */
  readonly after: number;
  readonly signal: AbortSignal;
  readonly onEvent: (event: EventJson) => void;
  /** Told once each time the daemon is gone. */
  readonly onLost: () => void;
}

/** Resolves when the signal is given. @throws the daemon's refusal, also one that comes later and ends the stream */
export async function followEvents(options: FollowOptions): Promise<void> {
  const { socket, query, signal, onEvent, onLost } = options;
  let last = options.after;
  let isLost = false;
  while (!signal.aborted) {
    try {
      const headers = { accept: "text/event-stream", "last-event-id": String(last) };
      const incoming = await openDaemon(socket, { path: `/v1/events/stream${query}`, headers, signal });
      isLost = false;
      for await (const event of eventsIn(incoming, socket)) {
        last = event.seq;
        onEvent(event);
      }
    } catch (error) {
      if (signal.aborted) return;
      // It may be starting: then nobody listens yet, or it says that it is not ready.
      if (codeOf(error) !== "unavailable" && !isBroken(error)) throw error;
    }
    if (signal.aborted) return;
    if (!isLost) onLost();
    isLost = true;
    await pause(AGAIN_MS, signal);
  }
}

async function* eventsIn(incoming: IncomingMessage, socket: string): AsyncGenerator<EventJson> {
  incoming.setEncoding("utf8");
  let rest = "";
  for await (const chunk of incoming) {
    const blocks = (rest + (chunk as string)).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = block.split("\n");
      const data = lines.find((line) => line.startsWith("data: "))?.slice("data: ".length);
      if (data === undefined) continue;
      if (lines.includes("event: refused")) throw refusal(socket, 200, JSON.parse(data));
      yield JSON.parse(data) as EventJson;
    }
  }
}

/** The connection ended in the middle, because the daemon did. */
function isBroken(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("E");
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delayMs);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
