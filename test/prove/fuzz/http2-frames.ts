/** HTTP/2 by hand, so that it can be wrong: a conversation of one gRPC call in order, and ways to break it. */
import type { Chance } from "../../simulation/chance.ts";
import { mutateBytes } from "./mutate.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
const END_STREAM = 1;
const END_HEADERS = 4;
const WHOLE = END_STREAM | END_HEADERS;
/** More than anybody needs, and few enough for one burst. */
const FLOOD = 400;
const MESSAGE_PREFIX_BYTES = 5;

type Headers = readonly (readonly [name: string, value: string])[];

/** A gRPC message as it goes over the wire. @param says the length it claims to have */
export function grpcMessage(bytes: Buffer, { says = bytes.length, flag = 0 } = {}): Buffer {
  const prefix = Buffer.alloc(MESSAGE_PREFIX_BYTES);
  prefix.writeUInt8(flag, 0);
  prefix.writeUInt32BE(says, 1);
  return Buffer.concat([prefix, bytes]);
}

/** Bytes that begin like a call on a new connection. */
export function makeBrokenBytes(path: string, message: Buffer, chance: Chance): Buffer {
  const headers = grpcHeaders(path);
  const open = [PREFACE, frame(TYPE.SETTINGS, 0, 0)];
  const valid = Buffer.concat([
    ...open,
    frame(TYPE.HEADERS, END_HEADERS, 1, fields(headers)),
    frame(TYPE.DATA, END_STREAM, 1, grpcMessage(message)),
  ]);
  const kind = chance.below(5);
  if (kind === 0) return mutateBytes(valid, chance);
  if (kind === 1) return valid.subarray(0, chance.below(valid.length + 1));
  if (kind === 2) return Buffer.concat([...open, mutateBytes(valid.subarray(PREFACE.length), chance)]);
  return Buffer.concat([...open, ...chance.pick(BREAKS)(headers, chance)]);
}

function grpcHeaders(path: string): Headers {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "localhost"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ];
}

const BREAKS: readonly ((headers: Headers, chance: Chance) => readonly Buffer[])[] = [
  (_, chance) => [frame(chance.below(256), chance.below(256), chance.below(2 ** 31), noise(chance))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 0, fields(headers))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 2, fields(headers))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 3, fields(headers)), frame(TYPE.HEADERS, WHOLE, 1, fields(headers))],
  (headers) => [frame(TYPE.HEADERS, END_STREAM, 1, fields(headers)), frame(TYPE.PING, 0, 0, Buffer.alloc(8))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 1, fields(headers)), frame(TYPE.DATA, 0, 1, Buffer.alloc(9))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 1, fields(headers.slice(1)))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 1, fields([...headers, ...headers]))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 1, fields([...headers, ["Upper", "\0"]]))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 1, fields([...headers, ["connection", "close"]]))],
  (headers) => [frame(TYPE.HEADERS, WHOLE, 1, fields([...headers, ["x", "y".repeat(15_000)]]))],
  (headers) => [frame(TYPE.HEADERS, END_STREAM, 1, fields(headers)), ...flood(() => moreFields())],
  (headers) => flood((id) => [frame(TYPE.HEADERS, END_HEADERS, id, fields(headers)), reset(id)]).flat(),
  (headers) => flood((id) => [frame(TYPE.HEADERS, END_HEADERS, id, fields(headers))]).flat(),
  () => flood(() => [frame(TYPE.SETTINGS, 0, 0, setting(4, 2 ** 31))]),
  (_, chance) => flood(() => [frame(TYPE.SETTINGS, 0, 0, setting(chance.below(9), chance.below(2 ** 32)))]),
  () => flood(() => [frame(TYPE.PING, 0, 0, Buffer.alloc(8))]),
  () => flood(() => [frame(TYPE.DATA, 0, 1)]),
  () => flood((id) => [frame(TYPE.PRIORITY, 0, id, number(id, 5))]),
  () => [frame(TYPE.WINDOW_UPDATE, 0, 0, number(0, 4))],
  () => [frame(TYPE.WINDOW_UPDATE, 0, 0, number(2 ** 31 - 1, 4))],
  () => [frame(TYPE.CONTINUATION, END_HEADERS, 1, Buffer.alloc(1))],
  (headers) => [frame(TYPE.PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([number(2, 4), fields(headers)]))],
  (headers) => [frame(TYPE.GOAWAY, 0, 0, Buffer.alloc(8)), frame(TYPE.HEADERS, WHOLE, 1, fields(headers))],
  () => [number(0xffffff, 3), Buffer.from([TYPE.HEADERS, WHOLE, 0, 0, 0, 1]), Buffer.alloc(100)],
  (_, chance) => [frame(TYPE.HEADERS, WHOLE, 1, noise(chance))],
];

/** With the numbers of a client's streams. */
function flood(frames: (streamId: number) => readonly Buffer[]): readonly Buffer[] {
  return Array.from({ length: FLOOD }, (_, index) => frames(2 * index + 1)).flat();
}

function moreFields(): readonly Buffer[] {
  return [frame(TYPE.CONTINUATION, 0, 1, fields([["x", "y"]]))];
}

function reset(streamId: number): Buffer {
  return frame(TYPE.RST_STREAM, 0, streamId, number(8, 4));
}

function setting(id: number, value: number): Buffer {
  return Buffer.concat([number(id, 2), number(value, 4)]);
}

function frame(type: number, flags: number, streamId: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([number(payload.length, 3), Buffer.from([type, flags]), number(streamId, 4), payload]);
}

function number(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

/** HPACK without its tables and its code: every field is written out. */
function fields(headers: Headers): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  return Buffer.concat([length(bytes.length), bytes]);
}

/** HPACK's integer with a prefix of seven bits. */
function length(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

function noise(chance: Chance): Buffer {
  return Buffer.from(Array.from({ length: chance.below(64) }, () => chance.below(256)));
}
