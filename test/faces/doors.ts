/** Both doors over one fake engine, on loopback and in a temporary directory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Principal } from "../../src/domain/units.ts";
import { type AgentSocketOptions, startAgentSocket } from "../../src/faces/agent-socket/server.ts";
import { type OperatorHttpOptions, startOperatorHttp } from "../../src/faces/operator-http/server.ts";
import type { Authenticator } from "../../src/ports/authenticator.ts";
import type { Log } from "../../src/ports/log.ts";
import { type FakeEngine, makeFakeEngine } from "../fakes/fake-engine.ts";
import type { Where } from "./ask.ts";

export const OPS = `Basic ${Buffer.from("ops:secret").toString("base64")}`;

/** Knows one principal, `ops` with the secret `secret`. */
export const opsOnly: Authenticator = {
  required: true,
  authenticate: async (authorization) =>
    authorization === OPS ? { kind: "principal", principal: "ops" as Principal } : undefined,
  secretMark: (principal) => (principal === "ops" ? "secret" : undefined),
};

const nobodyKnown: Authenticator = {
  required: false,
  authenticate: async () => undefined,
  secretMark: () => undefined,
};

interface Door {
  readonly engine: FakeEngine;
  readonly where: Where;
  /** Everything logged as an error. */
  readonly errors: object[];
  close(): Promise<void>;
}

export async function openOperatorDoor(
  options: Partial<OperatorHttpOptions> = {},
): Promise<Door & { readonly where: { readonly port: number } }> {
  const engine = makeFakeEngine();
  const { log, errors } = makeLog();
  const door = await startOperatorHttp({
    engine,
    authenticator: () => nobodyKnown,
    metrics: { render: async () => "holdfast_up 1\n", contentType: "text/plain; version=0.0.4" },
    listen: { host: "127.0.0.1", port: 0 },
    allowedHosts: ["node.example.com"],
    version: "1.2.3",
    log,
    ...options,
  });
  return { engine, errors, where: { port: door.address.port }, close: () => door.close() };
}

/** Without a path of its own it makes a directory, and removes it in the end. */
export async function openAgentDoor(
  options: Partial<AgentSocketOptions> = {},
): Promise<Door & { readonly where: { readonly socketPath: string } }> {
  const engine = makeFakeEngine();
  const { log, errors } = makeLog();
  const directory = options.path === undefined ? mkdtempSync(join(tmpdir(), "holdfast-socket-")) : undefined;
  const socketPath = options.path ?? join(directory ?? "", "run", "holdfast.sock");
  const door = await startAgentSocket({
    engine,
    path: socketPath,
    version: "1.2.3",
    log,
    mode: 0o660,
    peer: () => ({ uid: 1000, name: "ada" }),
    hookHost: { readBundleConfig: async () => "{}", runtimeOf: () => undefined },
    ...options,
  });
  const close = async () => {
    await door.close();
    if (directory !== undefined) rmSync(directory, { recursive: true });
  };
  return { engine, errors, where: { socketPath }, close };
}

function makeLog(): { readonly log: Log; readonly errors: object[] } {
  const errors: object[] = [];
  const ignore = () => {};
  return { log: { debug: ignore, info: ignore, warn: ignore, error: (fields) => void errors.push(fields) }, errors };
}
