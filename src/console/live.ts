/**
 * Says when to look again: at every event of the daemon, now and then because usage grows without one, and often while
 * there is no stream of events. A page that nobody sees asks for nothing, and holds none of the browser's few connections.
 */

import { EVENT_TYPES } from "../domain/event.ts";

/** `lost`: the daemon does not answer. */
export type Contact = "connecting" | "live" | "polling" | "lost";

export interface LiveOptions {
  /** Looks again; rejects when the daemon does not answer. */
  readonly look: () => Promise<void>;
  readonly onContact: (contact: Contact) => void;
}

/** With the stream: figures that change without an event. */
const SLOW_MS = 5_000;
/** Without it. */
const FAST_MS = 1_500;
/** Events come in storms: one look follows many of them. */
const SETTLE_MS = 150;
const REST_MS = 1_000;
/** A stream that was refused is tried again so late. */
const STREAM_AGAIN_MS = 5_000;

export function follow({ look, onContact }: LiveOptions): void {
  let stream: EventSource | undefined;
  let isStreaming = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let lookedAt = 0;
  let isLooking = false;
  let isDirty = false;

  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));
  wake();

  /** What there is to see comes first. */
  function wake(): void {
    void lookNow().then(() => {
      if (!document.hidden) openStream();
    });
  }

  function rest(): void {
    clearTimeout(timer);
    closeStream();
  }

  function lookWithin(ms: number): void {
    clearTimeout(timer);
    timer = setTimeout(() => void lookNow(), ms);
  }

  async function lookNow(): Promise<void> {
    if (isLooking) {
      isDirty = true;
      return;
    }
    isLooking = true;
    isDirty = false;
    lookedAt = Date.now();
    const isAnswered = await look().then(
      () => true,
      () => false,
    );
    isLooking = false;
    onContact(isAnswered ? (isStreaming ? "live" : "polling") : "lost");
    if (document.hidden) return;
    if (isDirty) lookWithin(REST_MS);
    else lookWithin(isStreaming && isAnswered ? SLOW_MS : FAST_MS);
  }

  function noticed(): void {
    isDirty = true;
    if (!isLooking) lookWithin(Math.max(SETTLE_MS, lookedAt + REST_MS - Date.now()));
  }

  function openStream(): void {
    closeStream();
    stream = new EventSource("/v1/events/stream");
    stream.onopen = () => {
      isStreaming = true;
      noticed();
    };
    stream.onerror = () => {
      isStreaming = false;
      lookWithin(0);
      // A browser tries again by itself after a broken connection, but not after an answer that is no stream.
      if (stream?.readyState === EventSource.CLOSED) retry = setTimeout(openStream, STREAM_AGAIN_MS);
    };
    for (const type of EVENT_TYPES) stream.addEventListener(type, noticed);
  }

  function closeStream(): void {
    clearTimeout(retry);
    stream?.close();
    stream = undefined;
    isStreaming = false;
  }
}
