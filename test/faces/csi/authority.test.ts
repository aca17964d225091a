/** Header blocks as clients make them, taken apart and mended; what comes of them is what Node's own HTTP/2 reads. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { authorityMender, withPlainAuthority } from "../../../src/faces/csi/authority.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const SETTINGS = frame(4, 0, Buffer.alloc(0));
const END = 0x05;
const PATH = "/var/lib/kubelet/plugins_registry/csi.holdfast.dev-reg.sock";
/** `:method POST`, `:scheme http`, `:path /`, all from the static table. */
const OTHERS = Buffer.from([0x83, 0x86, 0x84]);
/** "/v/a", in HPACK's Huffman code: 011000 1110111 011000 00011, and ones. */
const CODED = Buffer.from([0b01100011, 0b10111011, 0b00000011]);

function frame(type: number, flags: number, payload: Buffer, stream = type === 1 ? 1 : 0): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** `:authority` as a literal that the table shall keep. */
function authority(text: Buffer, isCoded: boolean): Buffer {
  return Buffer.concat([Buffer.from([0x41, (isCoded ? 0x80 : 0) | text.length]), text]);
}

function headers(field: Buffer): Buffer {
  return Buffer.concat([PREFACE, SETTINGS, frame(1, END, Buffer.concat([OTHERS, field]))]);
}

/** All bytes at once, or in pieces of so many. */
function mended(bytes: Buffer, piece = bytes.length): Buffer {
  const mend = authorityMender();
  const pieces: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += piece) {
    pieces.push(mend(Buffer.from(bytes.subarray(start, start + piece))));
  }
  return Buffer.concat(pieces);
}

describe("passed on as it came", () => {
  test.each<[string, Buffer]>([
    ["an authority without a slash", headers(authority(Buffer.from("localhost"), false))],
    ["a slash in another header", headers(Buffer.from([0x44, 2, 0x2f, 0x61]))],
    ["a header whose length lies", headers(Buffer.from([0x41, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]))],
    ["a header that ends too early", headers(Buffer.from([0x41, 0x05, 0x2f]))],
    ["a frame that is larger than any may be", Buffer.concat([PREFACE, frame(1, END, Buffer.alloc(20_000, 0x2f))])],
    ["what is no HTTP/2 at all", Buffer.from("GET /a/b HTTP/1.1\r\nHost: a/b\r\n\r\n".repeat(20))],
  ])("%s", (_what, bytes) => {
    const out = mended(bytes);
    expect(out.equals(bytes.subarray(0, out.length))).toBe(true);
  });

  test("random bytes, however they are cut", () => {
    for (let round = 0; round < 2_000; round += 1) {
      const bytes = Buffer.concat([PREFACE, frame(1, round & 0xff, randomBytes(round % 60, round))]);
      expect(mended(bytes, 1 + (round % 9)).length).toBe(bytes.length);
    }
  });
});

/** The same for the same seed. */
function randomBytes(length: number, seed: number): Buffer {
  let state = seed + 1;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (state * 48_271) % 0x7fffffff;
      return state & 0xff;
    }),
  );
}

describe("a path as authority", () => {
  test("loses its slashes and nothing else", () => {
    const out = mended(headers(authority(Buffer.from(PATH), false)));
    expect(out.equals(headers(authority(Buffer.from(PATH.replaceAll("/", "-")), false)))).toBe(true);
  });

  test("that is Huffman-coded does, bit by bit", () => {
    const out = mended(headers(authority(CODED, true)));
    const dashes = Buffer.from([0b01011011, 0b10111010, 0b11000011]);
    expect(out.subarray(-3)).toEqual(dashes);
  });

  test("does however the bytes are cut, and behind padding and priority", () => {
    const payload = Buffer.concat([
      Buffer.from([2, 0, 0, 0, 0, 0]),
      OTHERS,
      authority(CODED, true),
      Buffer.from([0, 0]),
    ]);
    const bytes = Buffer.concat([PREFACE, SETTINGS, frame(1, END | 0x28, payload)]);
    const whole = mended(bytes);
    expect(whole.equals(bytes)).toBe(false);
    for (let piece = 1; piece < 40; piece += 1) expect(mended(bytes, piece).equals(whole)).toBe(true);
  });
});

describe("Node's HTTP/2", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "holdfast-authority-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** What a server makes of the request: the authority that it read, or that it refused. */
  async function serve(bytes: Buffer, prepare: (socket: Socket) => object): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const http2 = createHttp2Server();
    http2.on("stream", (stream: ServerHttp2Stream, read) => {
      resolve(String(read[":authority"]));
      stream.respond({ ":status": 200 }, { endStream: true });
    });
    http2.on("session", (session) => session.on("close", () => resolve("refused")));
    const door = createServer((socket) => {
      socket.on("error", () => {});
      http2.emit("connection", prepare(socket));
    });
    const path = join(directory, "s");
    await new Promise<void>((listening) => door.listen(path, listening));
    const client = connect(path);
    client.on("error", () => {});
    // A reset stream is a frame of type 3.
    client.on("data", (data: Buffer) => data.includes(Buffer.from([0, 0, 4, 3, 0])) && resolve("refused"));
    client.write(bytes);
    const answer = await promise;
    client.destroy();
    await new Promise((closed) => door.close(closed));
    return answer;
  }

  test.each([
    ["plain", Buffer.from("/v/a"), false],
    ["Huffman-coded", CODED, true],
  ])("refuses a path as it is and reads it mended: %s", async (_how, text, isCoded) => {
    const bytes = headers(authority(text, isCoded));
    expect(await serve(bytes, (socket) => socket)).toBe("refused");
    expect(await serve(bytes, withPlainAuthority)).toBe("-v-a");
  });

  test("reads what newer clients make of a path as it came", async () => {
    const bytes = headers(authority(Buffer.from("%2Fv%2Fa"), false));
    expect(await serve(bytes, withPlainAuthority)).toBe("%2Fv%2Fa");
  });
});
