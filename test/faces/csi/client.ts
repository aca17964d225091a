/** CSI as a cluster speaks it: calls over gRPC on a Unix socket, answered with a status and never thrown. */
import { type CallOptions, Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import descriptors from "../../../src/faces/csi/csi.json" with { type: "json" };
import { loadDefinitions } from "../../../src/faces/csi/grpc.ts";

const definitions = loadDefinitions(descriptors);
const SERVICES = ["csi.v1.Identity", "csi.v1.Controller", "csi.v1.Node"] as const;

/** Every call with how it is written on the wire. */
export const CALLS = new Map(SERVICES.flatMap((service) => Object.entries(definitions[service] ?? {})));

export interface Answer {
  /** gRPC's name: `OK`, `NOT_FOUND`. */
  readonly status: string;
  readonly message: string;
  /** Set when OK, in protobufjs' form. */
  // biome-ignore lint/suspicious/noExplicitAny: every call has another answer
  readonly value: any;
  /** Binary details, which the specification wants empty. */
  readonly details: number;
}

export interface CsiClient {
  call(name: string, request?: object, options?: CallOptions): Promise<Answer>;
  /** Begins a call and hangs up at once, or after so many milliseconds. */
  hangUp(name: string, request: object, afterMs?: number): Promise<Answer>;
  close(): void;
}

const DEADLINE_MS = 20_000;

export function openClient(socketPath: string): CsiClient {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    // Tests kill the daemon and start it again.
    "grpc.initial_reconnect_backoff_ms": 20,
    "grpc.max_reconnect_backoff_ms": 100,
    "grpc.use_local_subchannel_pool": 1,
  });
  const begin = (name: string, request: object, options: CallOptions, done: (answer: Answer) => void) => {
    const call = CALLS.get(name) as {
      path: string;
      requestSerialize: (value: object) => Buffer;
      responseDeserialize: (bytes: Buffer) => object;
    };
    return client.makeUnaryRequest(
      call.path,
      call.requestSerialize,
      call.responseDeserialize,
      request,
      { deadline: Date.now() + DEADLINE_MS, waitForReady: true, ...options } as CallOptions,
      (error: ServiceError | null, value?: object) => done(answerOf(error, value)),
    );
  };
  return {
    call: (name, request = {}, options = {}) => new Promise((resolve) => void begin(name, request, options, resolve)),
    hangUp: (name, request, afterMs = 0) =>
      new Promise((resolve) => {
        const running = begin(name, request, {}, resolve);
        setTimeout(() => running.cancel(), afterMs);
      }),
    close: () => client.close(),
  };
}

function answerOf(error: ServiceError | null, value?: object): Answer {
  if (error === null) return { status: "OK", message: "", value, details: 0 };
  const details = error.metadata?.get("grpc-status-details-bin").length ?? 0;
  return { status: status[error.code] ?? String(error.code), message: error.details, value: undefined, details };
}
