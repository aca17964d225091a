/**
 * Older clients of gRPC in Go name the socket's path as the authority they call: kubelet's of 1.20 do, also where plugins are
 * registered. Node's HTTP/2 refuses a "/" there (PROTOCOL_ERROR), and no option of its lets it pass. So the bytes of a
 * connection are looked through on their way in, and in the value of `:authority` every "/" becomes a "-". Both take six bits
 * in HPACK's Huffman code, so that nothing changes its length, and both ends keep the same table of headers.
 *
 * Whatever is not understood is passed on as it came: HTTP/2 itself says what is wrong with it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
/** What HTTP/2 takes when nothing else was agreed on. */
const FRAME_BYTES_MAX = 16_384;
const HEADERS = 1;
const PADDED = 0x08;
const PRIORITY = 0x20;
/** HPACK's number of the name `:authority`. */
const AUTHORITY = 1;
const INTEGER_BYTES_MAX = 4;

const SLASH = "/".charCodeAt(0);
const DASH = "-".charCodeAt(0);
const SLASH_CODE = 0b011000;
const DASH_CODE = 0b010110;
const CODE_BITS = 6;
/** A code has so many bits when its first ones are below the limit; longer ones are of characters that no path needs. */
const CODE_LIMITS: readonly (readonly [bits: number, limit: number])[] = [
  [5, 0x0a],
  [6, 0x2e],
  [7, 0x7c],
  [8, 0xfe],
  [10, 0x3fd],
  [11, 0x7fd],
  [12, 0xffc],
  [13, 0x1ffe],
];

/** The same connection, whose client may call us by a path. */
export function withPlainAuthority(socket: Socket): Duplex {
  const mend = authorityMender();
  const connection = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    // An answer comes in several parts; each that is written by itself would wake the client.
    writev: (parts, done) => void socket.write(Buffer.concat(parts.map(({ chunk }) => chunk)), done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  const take = (chunk: Buffer): void => {
    const bytes = mend(chunk);
    if (bytes.length > 0 && !connection.push(bytes)) socket.pause();
  };
  // In the context of whoever hands the connection over: HTTP/2 makes its streams in that of their first bytes.
  socket.on("data", AsyncLocalStorage.bind(take));
  socket.once("end", () => connection.push(null));
  socket.once("close", () => connection.destroy());
  // Whoever hands the connection over deals with its errors.
  connection.on("error", () => {});
  return connection;
}

/** @returns what takes the bytes of one connection as they come, and gives back those that may go on */
export function authorityMender(): (chunk: Buffer) => Buffer {
  let held: Buffer = Buffer.alloc(0);
  let passing = PREFACE_BYTES;
  return (chunk) => {
    const data = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    let position = 0;
    for (;;) {
      const step = Math.min(passing, data.length - position);
      position += step;
      passing -= step;
      if (data.length - position < FRAME_HEADER_BYTES) break;
      const frame = data.subarray(position);
      const bytes = FRAME_HEADER_BYTES + frame.readUIntBE(0, 3);
      if (frame[3] === HEADERS && bytes <= FRAME_HEADER_BYTES + FRAME_BYTES_MAX) {
        if (frame.length < bytes) break;
        mendHeaders(frame.subarray(0, bytes));
      }
      passing = bytes;
    }
    held = data.subarray(position);
    return data.subarray(0, position);
  };
}

function mendHeaders(frame: Buffer): void {
  const flags = frame[4] ?? 0;
  const start = FRAME_HEADER_BYTES + ((flags & PADDED) === 0 ? 0 : 1) + ((flags & PRIORITY) === 0 ? 0 : 5);
  const block = frame.subarray(start);
  let position: number | undefined = 0;
  while (position !== undefined && position < block.length) position = mendField(block, position);
}

/** @returns where the next field begins; `undefined` when this one cannot be read */
function mendField(block: Buffer, position: number): number | undefined {
  const first = block[position] ?? 0;
  if ((first & 0x80) !== 0) return readInteger(block, position, 7)?.next;
  if ((first & 0xe0) === 0x20) return readInteger(block, position, 5)?.next;
  const name = readInteger(block, position, (first & 0x40) === 0 ? 4 : 6);
  if (name === undefined) return undefined;
  const start = name.value === 0 ? readText(block, name.next)?.next : name.next;
  const text = start === undefined ? undefined : readText(block, start);
  if (text !== undefined && name.value === AUTHORITY) {
    if (text.isCoded) mendCoded(text.bytes);
    else mendPlain(text.bytes);
  }
  return text?.next;
}

interface Text {
  readonly isCoded: boolean;
  readonly bytes: Buffer;
  readonly next: number;
}

function readText(block: Buffer, position: number): Text | undefined {
  const length = readInteger(block, position, 7);
  if (length === undefined || length.next + length.value > block.length) return undefined;
  const next = length.next + length.value;
  return { isCoded: ((block[position] ?? 0) & 0x80) !== 0, bytes: block.subarray(length.next, next), next };
}

/** HPACK's integer with a prefix of so many bits. */
function readInteger(
  block: Buffer,
  position: number,
  bits: number,
): { readonly value: number; readonly next: number } | undefined {
  const most = 2 ** bits - 1;
  const prefix = (block[position] ?? 0) & most;
  if (position >= block.length) return undefined;
  if (prefix < most) return { value: prefix, next: position + 1 };
  let value = most;
  for (let index = 0; index < INTEGER_BYTES_MAX; index += 1) {
    const byte = block[position + 1 + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if ((byte & 0x80) === 0) return { value, next: position + 2 + index };
  }
  return undefined;
}

function mendPlain(bytes: Buffer): void {
  for (const [index, byte] of bytes.entries()) if (byte === SLASH) bytes[index] = DASH;
}

/** Goes from code to code, and puts one in the place of the other. */
function mendCoded(bytes: Buffer): void {
  let position = 0;
  for (;;) {
    const code = CODE_LIMITS.find(([bits, limit]) => bitsAt(bytes, position, bits) < limit);
    if (code === undefined || position + code[0] > bytes.length * 8) return;
    if (code[0] === CODE_BITS && bitsAt(bytes, position, CODE_BITS) === SLASH_CODE) {
      putBits(bytes, position, SLASH_CODE ^ DASH_CODE);
    }
    position += code[0];
  }
}

/** Behind the end all bits are 1, as the code pads. */
function bitsAt(bytes: Buffer, position: number, count: number): number {
  const byte = position >> 3;
  const window = ((bytes[byte] ?? 0xff) << 16) | ((bytes[byte + 1] ?? 0xff) << 8) | (bytes[byte + 2] ?? 0xff);
  return (window >> (24 - count - (position & 7))) & (2 ** count - 1);
}

/** Changes the bits of one code where `difference` has ones. */
function putBits(bytes: Buffer, position: number, difference: number): void {
  const byte = position >> 3;
  const shifted = difference << (16 - CODE_BITS - (position & 7));
  bytes[byte] = (bytes[byte] ?? 0) ^ (shifted >> 8);
  if ((shifted & 0xff) !== 0) bytes[byte + 1] = (bytes[byte + 1] ?? 0) ^ (shifted & 0xff);
}
