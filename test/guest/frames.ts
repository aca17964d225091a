/** Messages on a stream of bytes: each its length in four bytes, and itself as Node serializes what is not JSON. */
import { deserialize, serialize } from "node:v8";

const HEADER_LENGTH = 4;

export function frame(message: unknown): Buffer {
  const body = serialize(message);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt32LE(body.length);
  return Buffer.concat([header, body]);
}

/** Takes bytes as they come, and gives each message once it is whole. */
export function unframe(take: (message: unknown) => void): (bytes: Buffer) => void {
  let received = Buffer.alloc(0);
  return (bytes) => {
    received = Buffer.concat([received, bytes]);
    while (received.length >= HEADER_LENGTH && received.length >= HEADER_LENGTH + received.readUInt32LE()) {
      const end = HEADER_LENGTH + received.readUInt32LE();
      const body = received.subarray(HEADER_LENGTH, end);
      received = received.subarray(end);
      take(deserialize(body));
    }
  };
}
