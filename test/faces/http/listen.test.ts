import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listenOnSocket } from "../../../src/faces/http/listen.ts";
import { createApp } from "../../../src/faces/http/server.ts";
import { makeFakeEngine } from "../../fakes/fake-engine.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };

let directory: string;
let path: string;
const apps: FastifyInstance[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-listen-"));
  path = join(directory, "holdfast.sock");
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
  rmSync(directory, { recursive: true });
});

function makeApp(options: { readonly connectionsMax?: number } = {}): FastifyInstance {
  const app = createApp({ engine: makeFakeEngine(), log, admit: () => ({ kind: "anonymous" }), ...options });
  apps.push(app);
  return app;
}

describe("listenOnSocket", () => {
  it("ends where no directory can be made", async () => {
    await expect(listenOnSocket(makeApp(), { path: "/proc/nope/deeper/h.sock", mode: 0o600 })).rejects.toMatchObject({
      code: "unavailable",
      message: "Cannot listen on /proc/nope/deeper/h.sock: no such file or directory",
    });
  });

  it("makes every missing directory, so that anybody may enter", async () => {
    const old = process.umask(0o077);
    try {
      await listenOnSocket(makeApp(), { path: join(directory, "run", "holdfast", "h.sock"), mode: 0o600 });
    } finally {
      process.umask(old);
    }
    for (const name of ["run", "run/holdfast"]) expect(statSync(join(directory, name)).mode & 0o777).toBe(0o755);
  });

  it("leaves the mode of a directory that is there", async () => {
    const before = statSync(directory).mode;
    const forget = await listenOnSocket(makeApp(), { path, mode: 0o600 });
    expect(statSync(directory).mode).toBe(before);
    forget();
    expect(existsSync(path)).toBe(false);
  });
});

describe("a door", () => {
  it("ends connections beyond its limit", async () => {
    await listenOnSocket(makeApp(), { path, mode: 0o600 });
    expect(await healthOf(path, 300)).toBe(256);
  });

  it("keeps as many as its owner says, also when all come at once", async () => {
    await listenOnSocket(makeApp({ connectionsMax: 2000 }), { path, mode: 0o600 });
    expect(await healthOf(path, 1000)).toBe(1000);
  });
});

/** How many of so many clients get an answer that connect before any of them is accepted. */
async function healthOf(socket: string, clients: number): Promise<number> {
  const connections = Array.from({ length: clients }, () => connect(socket));
  const answers = connections.map(
    (connection) =>
      new Promise<boolean>((done) => {
        connection.once("data", () => done(true));
        connection.once("error", () => done(false));
        connection.once("close", () => done(false));
        connection.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
      }),
  );
  const answered = await Promise.all(answers);
  for (const connection of connections) connection.destroy();
  return answered.filter(Boolean).length;
}
