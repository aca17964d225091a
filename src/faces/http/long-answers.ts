/**
 * Answers that go on: events as they happen, offers to frameworks. Each has a connection to itself for as long as it lasts.
 * A door keeps some connections for everybody else, however many want to listen.
 */
import type { ServerResponse } from "node:http";
import { HoldfastError } from "../../domain/error.ts";

/** So many connections of a door are never a stream's. */
const KEPT_FOR_OTHERS = 32;

export class LongAnswers {
  readonly #max: number;
  #open = 0;

  constructor(connectionsMax: number) {
    this.#max = Math.max(0, connectionsMax - KEPT_FOR_OTHERS);
  }

  /**
   * Counts an answer from now until its connection has ended.
   * @throws `unavailable` when there are too many, or nobody is there any more to read it: its end would never be told
   */
  begin(raw: ServerResponse): void {
    const { socket } = raw;
    if (socket === null || socket.destroyed) {
      throw new HoldfastError("unavailable", "Cannot begin a stream: who asked for it has gone");
    }
    if (this.#open >= this.#max) {
      throw new HoldfastError("unavailable", `Cannot begin a stream: ${this.#max} others are open, try again later`);
    }
    this.#open += 1;
    socket.once("close", () => {
      this.#open -= 1;
    });
  }
}
