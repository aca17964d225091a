import { beforeEach, describe, expect, it } from "vitest";
import { EventStream } from "../../../src/faces/scheduler/event-stream.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";

const MIB = 1024 * 1024;

let clock: FakeClock;
let wire: SlowWire;
let stream: EventStream;

/** Has written a piece when the client has read it. */
class SlowWire {
  readonly pieces: Buffer[] = [];
  #written: (() => void) | undefined;
  ending: "ended" | "destroyed" | undefined;

  write(bytes: Buffer, written: () => void): void {
    if (this.#written !== undefined) throw new Error("Two pieces at once would become one chunk");
    this.pieces.push(bytes);
    this.#written = written;
  }

  end(): void {
    this.ending = "ended";
  }

  destroy(): void {
    this.ending = "destroyed";
  }

  /** The client reads so many pieces. */
  read(count = Number.POSITIVE_INFINITY): void {
    for (let read = 0; read < count && this.#written !== undefined; read += 1) {
      const written = this.#written;
      this.#written = undefined;
      written();
    }
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString("utf8");
  }
}

beforeEach(() => {
  clock = new FakeClock();
  wire = new SlowWire();
  stream = new EventStream("s", wire, clock);
});

describe("EventStream", () => {
  it("writes each event as one record, in bytes and not in characters", () => {
    stream.send({ type: "ERROR", error: { message: "naïve\n😀" } });
    expect(wire.pieces).toHaveLength(1);
    const [length, json] = wire.text.split("\n");
    expect(Number(length)).toBe(Buffer.byteLength(json ?? ""));
    expect(JSON.parse(json ?? "")).toEqual({ type: "ERROR", error: { message: "naïve\n😀" } });
  });

  it("says every 15 s that it is there", () => {
    clock.advance(14_999);
    expect(wire.pieces).toHaveLength(0);
    for (let beat = 0; beat < 3; beat += 1) {
      clock.advance(15_000);
      wire.read();
    }
    expect(wire.text).toBe('20\n{"type":"HEARTBEAT"}'.repeat(3));
  });

  it("says nothing beside what is still unread, and cuts off a client that reads nothing for a minute", () => {
    stream.send({ type: "OFFERS" });
    clock.advance(45_000);
    expect([wire.pieces.length, wire.ending]).toEqual([1, undefined]);
    clock.advance(15_000);
    expect(wire.ending).toBe("destroyed");
    expect(clock.waiting).toBe(0);
  });

  it("bears with a client that reads slowly", () => {
    stream.send({ much: "x".repeat(MIB) });
    for (let beat = 0; beat < 20; beat += 1) {
      clock.advance(15_000);
      wire.read(1);
    }
    expect(wire.pieces.length).toBeGreaterThan(16);
    expect(wire.ending).toBeUndefined();
  });

  it("takes one event that is larger than the bound, and cuts the client off at the next", () => {
    stream.send({ much: "x".repeat(9 * MIB) });
    expect(wire.ending).toBeUndefined();
    const count = wire.pieces.length;
    stream.send({ type: "RESCIND" });
    expect([wire.ending, wire.pieces.length]).toEqual(["destroyed", count]);
    expect(stream.isOpen).toBe(false);
  });

  it("goes on when the client has read it", () => {
    stream.send({ much: "x".repeat(9 * MIB) });
    wire.read();
    stream.send({ type: "RESCIND" });
    expect(wire.text.endsWith('18\n{"type":"RESCIND"}')).toBe(true);
  });

  it("ends with a last word, and says no more", () => {
    stream.end({ type: "ERROR" });
    stream.send({ type: "RESCIND" });
    stream.end();
    expect(wire.ending).toBeUndefined();
    wire.read();
    clock.advance(9_999);
    expect([wire.text, wire.ending]).toEqual(['16\n{"type":"ERROR"}', "ended"]);
  });

  it("cuts off who does not read the last word", () => {
    stream.end({ type: "ERROR" });
    clock.advance(10_000);
    expect(wire.ending).toBe("destroyed");
  });

  it("has nothing to do any more when the connection is gone", () => {
    stream.end({ type: "ERROR" });
    stream.closed();
    wire.read();
    expect([clock.waiting, wire.ending]).toEqual([0, undefined]);
  });

  it("ends now: in order where all is read, else not", () => {
    stream.send({ type: "ERROR" });
    stream.endNow();
    expect(wire.ending).toBe("destroyed");
    const other = new EventStream("o", wire, clock);
    other.endNow();
    expect(wire.ending).toBe("ended");
  });

  it("writes one record after the other, so that each is a chunk", () => {
    for (const type of ["RESCIND", "OFFERS"]) stream.send({ type });
    expect(wire.text).toBe('18\n{"type":"RESCIND"}');
    wire.read();
    expect(wire.pieces).toHaveLength(2);
  });
});
