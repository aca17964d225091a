/**
 * The file of a Unix socket. It is made under a private name, gets its mode, and is renamed to its place, so that nobody can
 * open it before its mode is right, and a stale one of a killed daemon is replaced in one step.
 */
import { chmodSync, lstatSync, mkdtempSync, renameSync, rmdirSync, rmSync, type Stats, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import type { FastifyInstance } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import { listenError } from "./listen-error.ts";
import { makeDirectories } from "./make-directories.ts";
import { listenOnDescriptor } from "./server.ts";

const DIRECTORY_MODE = 0o755;
/** What fits into a socket's address, without its final NUL. */
const PATH_BYTES_MAX = 107;
/** How many may wait to be accepted; what the kernel grants by default. */
const BACKLOG = 4096;

export interface SocketFile {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Descriptor of a socket that listens there already: its file and its mode are somebody else's to keep. */
  readonly listener?: number | undefined;
}

/** What can listen on a path, or on a socket that listens already. */
export interface SocketServer {
  listen(where: { readonly path: string; readonly backlog: number }): Promise<unknown>;
  listenOnDescriptor(fd: number): Promise<void>;
  close(): Promise<unknown>;
}

/** As `listenAt`, for HTTP. */
export function listenOnSocket(app: FastifyInstance, file: SocketFile): Promise<() => void> {
  return listenAt(
    {
      listen: (where) => app.listen(where),
      listenOnDescriptor: (fd) => listenOnDescriptor(app, fd),
      close: () => app.close(),
    },
    file,
  );
}

/**
 * Listens on a path.
 * @returns a function that removes the file if it is still this one
 * @throws `conflict` when somebody answers there, or it is not a socket; `unavailable` when the kernel refuses
 */
export async function listenAt(server: SocketServer, { path, mode, listener }: SocketFile): Promise<() => void> {
  try {
    if (listener !== undefined) {
      await server.listenOnDescriptor(listener);
      return () => {};
    }
    makeDirectories(dirname(path), DIRECTORY_MODE);
    await requireFree(path);
    const made = await makeSocket(server, path, mode);
    return () => {
      const current = statOf(path);
      if (current?.ino === made.ino && current.dev === made.dev) unlinkSync(path);
    };
  } catch (cause) {
    await server.close();
    throw listenError(path, cause);
  }
}

async function makeSocket(server: SocketServer, path: string, mode: number): Promise<Stats> {
  const nursery = mkdtempSync(`${dirname(path)}/.`);
  const temporary = join(nursery, "s");
  try {
    requireShort(path);
    requireShort(temporary);
    await server.listen({ path: temporary, backlog: BACKLOG });
    chmodSync(temporary, mode);
    const made = lstatSync(temporary);
    renameSync(temporary, path);
    return made;
  } finally {
    rmSync(temporary, { force: true });
    rmdirSync(nursery);
  }
}

async function requireFree(path: string): Promise<void> {
  const found = statOf(path);
  if (found === undefined) return;
  if (!found.isSocket()) throw new HoldfastError("conflict", `Cannot listen on ${path}: something else is there`);
  if (!(await isStale(path))) throw new HoldfastError("conflict", `Cannot listen on ${path}: somebody answers there`);
}

/** Whether nobody listens on it; only the kernel's plain refusal says so. */
function isStale(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "ECONNREFUSED" || error.code === "ENOENT");
    });
  });
}

function requireShort(path: string): void {
  if (Buffer.byteLength(path) <= PATH_BYTES_MAX) return;
  throw new HoldfastError("invalid", `Cannot listen on ${path}: longer than ${PATH_BYTES_MAX} bytes`);
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}
