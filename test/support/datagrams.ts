/** A Unix socket that takes datagrams, as service manager and journal have one. */
import { closeSync } from "node:fs";
import koffi from "koffi";
import { expect } from "vitest";

export interface Receiver {
  /** What was sent and not yet taken. */
  next(): string;
  nextBytes(): Buffer;
  close(): void;
}

/** A datagram socket, which Node does not have. */
export function bindReceiver(path: string): Receiver {
  const libc = koffi.load(null);
  const socket = libc.func("socket", "int", ["int", "int", "int"]);
  const bind = libc.func("bind", "int", ["int", "void *", "uint32_t"]);
  const recv = libc.func("recv", "long", ["int", "void *", "size_t", "int"]);
  const [family, dontWait] = [1, 0x40];
  const fd: number = socket(family, 2, 0);
  const address = Buffer.concat([Buffer.from([family, 0]), Buffer.from(path.replace(/^@/, "\0"))]);
  expect(bind(fd, address, address.length)).toBe(0);
  const buffer = Buffer.alloc(64 * 1024);
  const nextBytes = (): Buffer =>
    Buffer.from(buffer.subarray(0, Math.max(0, recv(fd, buffer, buffer.length, dontWait))));
  return {
    next: () => nextBytes().toString(),
    nextBytes,
    close: () => closeSync(fd),
  };
}
