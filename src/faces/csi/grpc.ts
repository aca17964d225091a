/**
 * gRPC on a Unix socket: takes connections, knows who is at their other end, and answers each call with a handler's
 * answer or its refusal. A client that hangs up, or whose deadline passes, changes nothing about the work: it is finished,
 * and the same call again finds it done. Nothing of a request or an answer is ever logged.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer, type Socket } from "node:net";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { fromJSON, type PackageDefinition } from "@grpc/proto-loader";
import type { Actor } from "../../domain/operation.ts";
import type { Log } from "../../ports/log.ts";
import { listenAt, type SocketServer } from "../http/listen.ts";
import { actorOf, type PeerOf } from "../http/peer.ts";
import { withPlainAuthority } from "./authority.ts";
import { skipGoneCallers } from "./gone-callers.ts";
import { refusalFor, STATUS_NUMBERS } from "./status.ts";

/** Answers one call; `request` is as protobufjs decodes it, with every default, and nothing about it is checked. */
type Handler = (request: unknown, actor: Actor) => object | Promise<object>;

/** Handlers by the names of a service's calls; a call without one is answered UNIMPLEMENTED. */
export type Handlers = Readonly<Record<string, Handler>>;

export interface GrpcOptions {
  /** What `scripts/protos.ts` made of a proto file. */
  readonly descriptors: object;
  /** By the services' full names: `csi.v1.Node`. */
  readonly services: Readonly<Record<string, Handlers>>;
  readonly path: string;
  /** Permission bits of the socket. */
  readonly mode: number;
  /** Descriptor of a socket that listens there already. */
  readonly listener?: number | undefined;
  readonly log: Log;
  readonly peer: PeerOf;
}

/** Far more than any request has; what is larger is answered RESOURCE_EXHAUSTED without being read. */
const REQUEST_BYTES_MAX = 256 * 1024;
const STREAMS_MAX = 256;
const CONNECTIONS_MAX = 256;
const CLOSE_TIMEOUT_MS = 10_000;

/** Starts to listen. @throws `conflict` when somebody answers there, or the path is not a socket */
export async function startGrpc(options: GrpcOptions): Promise<{ close(): Promise<void> }> {
  const { path, mode, listener, log, peer } = options;
  const callers = new AsyncLocalStorage<() => Actor>();
  const server = new Server({
    "grpc.max_receive_message_length": REQUEST_BYTES_MAX,
    "grpc.max_concurrent_streams": STREAMS_MAX,
    "grpc.enable_channelz": 0,
  });
  skipGoneCallers(server);
  addServices(server, options, () => callers.getStore()?.() ?? actorOf(undefined));
  const door = openDoor(server, (socket, serve) => callers.run(identify(peer, socket), serve));
  const forget = await listenAt(door, { path, mode, listener });
  return {
    close: async () => {
      forget();
      await door.close();
      log.debug({ path }, "Stopped to answer gRPC");
    },
  };
}

/** Asked once for each connection; a refusal is told at every call. */
function identify(peer: PeerOf, socket: Socket): () => Actor {
  try {
    const actor = actorOf(peer(socket));
    return () => actor;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** Hands every connection to gRPC in a context of its own, by which its calls know where they come from. */
function openDoor(server: Server, admit: (socket: Socket, serve: () => void) => void): SocketServer {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const door = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // A client that goes away in the middle is no failure of ours.
    socket.on("error", () => socket.destroy());
    admit(socket, () => injector.injectConnection(withPlainAuthority(socket)));
  });
  door.maxConnections = CONNECTIONS_MAX;
  const listen = (where: { readonly path: string; readonly backlog: number } | { readonly fd: number }) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    door.once("error", reject);
    door.listen(where, () => {
      door.off("error", reject);
      resolve();
    });
    return promise;
  };
  return {
    listen,
    listenOnDescriptor: (fd) => listen({ fd }),
    close: async () => {
      const closed = new Promise<void>((resolve) => door.close(() => resolve()));
      await shutDown(server);
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Lets calls that are under way finish, for a while. */
function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, CLOSE_TIMEOUT_MS);
    server.tryShutdown(() => {
      clearTimeout(deadline);
      resolve();
    });
  });
}

function addServices(server: Server, { descriptors, services, log }: GrpcOptions, whoIs: () => Actor) {
  const definitions = loadDefinitions(descriptors);
  for (const [name, handlers] of Object.entries(services)) {
    const definition = definitions[name] as ServiceDefinition;
    const answers = Object.entries(handlers).map(([call, handler]) => {
      if (!Object.hasOwn(definition, call)) throw new Error(`${name} has no call ${call}`);
      return [call, answering({ call, handler, log, whoIs })] as const;
    });
    server.addService(definition, Object.fromEntries(answers));
  }
}

/** Sizes are text, because they may be larger than a number can tell exactly. */
export function loadDefinitions(descriptors: object): PackageDefinition {
  return fromJSON(descriptors as Parameters<typeof fromJSON>[0], {
    keepCase: true,
    longs: String,
    enums: Number,
    defaults: true,
    oneofs: true,
  });
}

interface Answering {
  readonly call: string;
  readonly handler: Handler;
  readonly log: Log;
  readonly whoIs: () => Actor;
}

function answering({ call, handler, log, whoIs }: Answering) {
  const answer = async (unary: ServerUnaryCall<unknown, object>) => handler(unary.request, whoIs());
  return (unary: ServerUnaryCall<unknown, object>, send: sendUnaryData<object>): void => {
    const startedAt = performance.now();
    const tell = (outcome: string) =>
      log.debug(
        { call, outcome, ms: Math.round((performance.now() - startedAt) * 1000) / 1000 },
        "Answered a CSI call",
      );
    answer(unary).then(
      (value) => {
        tell("ok");
        send(null, value);
      },
      (error: unknown) => {
        const { code, message } = refusalFor(error);
        if (code === "INTERNAL") log.error({ err: error, call }, "Cannot answer a CSI call");
        tell(code);
        send({ code: STATUS_NUMBERS[code], details: message, metadata: new Metadata() });
      },
    );
  };
}
