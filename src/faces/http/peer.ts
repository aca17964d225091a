/**
 * Who asks over a Unix socket: the user that the kernel names (`SO_PEERCRED`), once for each connection. Whoever could
 * open the socket is the superuser, but a peer that the kernel cannot name, or whose user is not mapped into our user
 * namespace, may do nothing.
 */
import type { Socket } from "node:net";
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Door } from "./server.ts";

/** The user at the other end; `undefined` when the kernel does not say. */
export type PeerOf = (socket: Socket) => Peer | undefined;

interface Peer {
  readonly uid: number;
  /** The process that connected; absent or 0 when the kernel does not tell. */
  readonly pid?: number;
  readonly name?: string;
}

/** What the kernel calls every user that our user namespace does not know. */
const OVERFLOW_UID = 65_534;

export function admitPeers(peerOf: PeerOf): Door["admit"] {
  const actors = new WeakMap<Socket, Actor>();
  return ({ socket }) => {
    const known = actors.get(socket) ?? actorOf(peerOf(socket));
    actors.set(socket, known);
    return known;
  };
}

/** @throws `forbidden` whom the kernel does not name, or not to us */
export function actorOf(peer: Peer | undefined): Actor {
  if (peer === undefined) throw new HoldfastError("forbidden", "Cannot answer: the kernel does not say who asks");
  // Unless it is who we are ourselves: then it needs no mapping.
  if (peer.uid === OVERFLOW_UID && process.getuid?.() !== OVERFLOW_UID) {
    throw new HoldfastError("forbidden", `Cannot answer: user ${OVERFLOW_UID} is nobody that this node knows`);
  }
  const { uid, name } = peer;
  return Object.freeze({ kind: "peer", uid, ...(name === undefined ? {} : { name }) });
}
