/**
 * The CSI door: gRPC on a Unix socket, whose answers are statuses. Whatever a call says, UNKNOWN is never the answer, and
 * INTERNAL only where gRPC itself cannot read a call.
 */
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { status as STATUS } from "@grpc/grpc-js";
import { openClient } from "../../faces/csi/client.ts";
import type { Chance } from "../../simulation/chance.ts";
import { type CsiCall, makeBrokenCall, makeCall, makeCsiJunk } from "./csi-calls.ts";
import type { Scene } from "./requests.ts";

const JUNK_PERCENT = 25;
/** Of the others, how many have calls that gRPC itself may refuse, and end the connection for. */
const BROKEN_PERCENT = 30;
const CALLS_AT_ONCE = 24;
const HANG_UP_PERCENT = 4;
const SHOWN = 1_500;
/** What gRPC says when it cannot read a call. */
const GRPC_WORDS = /^(?:Error deserializing request|Failed to decompress message|Invalid grpc-timeout value)/;
const PROBE = "Probe";

/** What one connection came to. */
export interface CsiOutcome {
  readonly inputs: number;
  readonly statuses: readonly string[];
  readonly faults: readonly string[];
  /** Whether the other side closed, or all was answered. */
  readonly ended: boolean;
  /** The longest time in which nothing came. */
  readonly silenceMs: number;
  /** What was sent, its beginning. */
  readonly shown: string;
}

interface CsiTarget {
  readonly socketPath: string;
  readonly scene: Scene;
  /** How long an answer is waited for. */
  readonly msMax: number;
}

export async function tryCsi({ socketPath, scene, msMax }: CsiTarget, chance: Chance): Promise<CsiOutcome> {
  if (chance.percent(JUNK_PERCENT)) return throwJunk(socketPath, makeCsiJunk(chance, scene), msMax);
  const make = chance.percent(BROKEN_PERCENT) ? makeBrokenCall : makeCall;
  const calls = Array.from({ length: CALLS_AT_ONCE }, () => make(chance, scene));
  const outcome = await callAll(socketPath, calls, { msMax, hangsUp: () => chance.percent(HANG_UP_PERCENT) });
  await sweep(socketPath);
  return outcome;
}

/** It must answer that it is ready. */
export async function probeCsi(socketPath: string): Promise<readonly string[]> {
  const client = openClient(socketPath);
  const { status, message, value } = await client.call(PROBE);
  client.close();
  return status === "OK" && value.ready?.value === true ? [] : [`CSI's Probe is answered ${status} ${message}`];
}

/** Names that are strange make volumes too: books that grow would look like a leak. */
async function sweep(socketPath: string): Promise<void> {
  const client = openClient(socketPath);
  const { value } = await client.call("ListVolumes");
  const ids = (value?.entries ?? []).map(({ volume }: { volume: { volume_id: string } }) => volume.volume_id);
  for (const volume_id of ids.filter((one: string) => one.startsWith("csi/"))) {
    if (volume_id !== "csi/one" && volume_id !== "csi/two") await client.call("DeleteVolume", { volume_id });
  }
  client.close();
}

async function throwJunk(socketPath: string, bytes: Buffer, msMax: number): Promise<CsiOutcome> {
  const socket = net.connect(socketPath);
  const silence = listen(socket);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), msMax);
  socket.on("data", () => {});
  // Whoever sends junk may find the connection reset.
  socket.on("error", () => resolve(true));
  socket.on("close", () => resolve(true));
  socket.end(bytes);
  const ended = await promise;
  clearTimeout(timer);
  socket.destroy();
  if (!socket.closed) await once(socket, "close");
  const shown = JSON.stringify(bytes.toString("latin1")).slice(0, SHOWN);
  return { inputs: 1, statuses: [], faults: [], ended, silenceMs: silence(), shown };
}

interface Calling {
  readonly msMax: number;
  /** Asked for every call: whether its caller goes away before the answer. */
  readonly hangsUp: () => boolean;
}

async function callAll(socketPath: string, calls: readonly CsiCall[], how: Calling): Promise<CsiOutcome> {
  const socket = net.connect(socketPath);
  const silence = listen(socket);
  const session = http2.connect("http://localhost", { createConnection: () => socket });
  // A call that breaks HTTP/2's own rules ends the session with all that is under way.
  session.on("error", () => {});
  let ended = true;
  const timer = setTimeout(() => {
    ended = false;
    session.destroy();
  }, how.msMax);
  const all = await Promise.all(
    calls.map(async (call) => {
      const hangsUp = how.hangsUp();
      return { call, hangsUp, answer: await answerTo(session, call, hangsUp) };
    }),
  );
  clearTimeout(timer);
  session.destroy();
  if (!socket.closed) await once(socket, "close");
  const isInOrder = calls.every(({ isBroken }) => !isBroken);
  return {
    inputs: calls.length,
    statuses: all.flatMap(({ answer }) => answer?.status ?? []),
    faults: all.flatMap(({ call, hangsUp, answer }) => {
      if (answer !== undefined) return faultsOf(call, answer);
      return hangsUp || !isInOrder ? [] : [`the CSI plugin does not answer ${call.shown.slice(0, SHOWN)}`];
    }),
    ended,
    silenceMs: silence(),
    shown: calls
      .map(({ shown }) => shown)
      .join("; ")
      .slice(0, SHOWN),
  };
}

interface Answer {
  /** gRPC's name. */
  readonly status: string;
  readonly message: string;
}

/** `undefined` when the caller went away, or the call was no call of gRPC at all. */
function answerTo(session: http2.ClientHttp2Session, call: CsiCall, hangsUp: boolean): Promise<Answer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
  let answer: Answer | undefined;
  const take = (headers: http2.IncomingHttpHeaders): void => {
    const code = headers["grpc-status"];
    if (code === undefined) return;
    answer = {
      status: STATUS[Number(code)] ?? String(code),
      message: decodeURI(String(headers["grpc-message"] ?? "")),
    };
  };
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": call.path,
      "content-type": "application/grpc",
      te: "trailers",
      ...call.headers,
    });
    stream.on("response", take);
    stream.on("trailers", take);
    // What is refused unread is reset while it is sent.
    stream.on("error", () => {});
    stream.on("close", () => resolve(answer));
    stream.resume();
    if (hangsUp) stream.end(call.body, () => stream.close(http2.constants.NGHTTP2_CANCEL));
    else stream.end(call.body);
  } catch {
    // The client itself will not send it, or the session has ended.
    resolve(undefined);
  }
  return promise;
}

function faultsOf({ isBroken, shown }: CsiCall, { status, message }: Answer): readonly string[] {
  const isOurs = status === "UNKNOWN" || (status === "INTERNAL" && !(isBroken && GRPC_WORDS.test(message)));
  return isOurs ? [`the CSI plugin answers ${status} (${message}) to ${shown.slice(0, SHOWN)}`] : [];
}

/** @returns the longest time in which nothing came, until it is asked */
function listen(socket: net.Socket): () => number {
  let heardMs = performance.now();
  let silenceMs = 0;
  const hear = (): number => {
    silenceMs = Math.max(silenceMs, performance.now() - heardMs);
    heardMs = performance.now();
    return silenceMs;
  };
  socket.on("data", hear);
  return hear;
}
