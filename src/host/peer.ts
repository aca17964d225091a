/** The user and the process at the other end of a Unix socket, by the kernel's word. */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { peerCredentials } from "./syscalls.ts";

export interface Peer {
  readonly uid: number;
  /** The process that connected; 0 when it lives in a pid namespace that we do not see. */
  readonly pid: number;
  /** From /etc/passwd, where it is known there. */
  readonly name?: string;
}

/** `undefined` when the kernel does not say. */
export function peerOf(socket: Socket): Peer | undefined {
  const fd = descriptorOf(socket);
  const credentials = fd === undefined ? undefined : peerCredentials(fd);
  if (credentials === undefined) return undefined;
  const { uid, pid } = credentials;
  const name = userName(uid);
  return { uid, pid, ...(name === undefined ? {} : { name }) };
}

/** Node has no public way to a socket's descriptor. */
function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } };
  return typeof handle?.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}

/** Read anew for each connection: users come and go, and connections are few. */
function userName(uid: number): string | undefined {
  try {
    for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
      const [name, , id] = line.split(":");
      if (Number(id) === uid && id !== "") return name;
    }
  } catch {
    return undefined;
  }
  return undefined;
}
