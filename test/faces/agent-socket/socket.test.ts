import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ask, codeIn } from "../ask.ts";
import { openAgentDoor } from "../doors.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-socket-"));
  path = join(directory, "holdfast.sock");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const refusedAs = (code: string) => expect.objectContaining({ code });

describe("the socket's file", () => {
  it.each([
    ["a file", () => writeFileSync(path, "precious")],
    ["a directory", () => mkdirSync(path)],
    ["a symlink to nowhere", () => symlinkSync("/nowhere", path)],
  ])("is not made over %s", async (_what, occupy) => {
    occupy();
    const before = lstatSync(path).ino;
    await expect(openAgentDoor({ path })).rejects.toEqual(refusedAs("conflict"));
    expect(lstatSync(path).ino).toBe(before);
    expect(readdirSync(directory)).toEqual(["holdfast.sock"]);
  });

  it("is not taken from somebody who answers", async () => {
    const first = await openAgentDoor({ path });
    await expect(openAgentDoor({ path })).rejects.toEqual(refusedAs("conflict"));
    expect((await ask(first.where, "/healthz")).status).toBe(200);
    await first.close();
  });

  it("says what the kernel refuses", async () => {
    writeFileSync(join(directory, "file"), "");
    const door = openAgentDoor({ path: join(directory, "file", "holdfast.sock") });
    await expect(door).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/^Cannot listen on .*: (not a directory|file already exists)$/),
    });
  });

  it("replaces a stale one", async () => {
    await leaveStaleSocket(path);
    const door = await openAgentDoor({ path });
    expect((await ask(door.where, "/healthz")).status).toBe(200);
    await door.close();
  });

  it("may not be longer than a socket's address", async () => {
    const long = join(directory, "x".repeat(100));
    await expect(openAgentDoor({ path: long })).rejects.toEqual(refusedAs("invalid"));
    expect(readdirSync(directory)).toEqual([]);
  });

  it.each([0o660, 0o600])("has mode %o whatever the umask is, in a directory that anybody may enter", async (mode) => {
    const old = process.umask(0o077);
    try {
      const door = await openAgentDoor({ path: join(directory, "run", "h.sock"), mode });
      expect(statSync(door.where.socketPath).mode & 0o777).toBe(mode);
      expect(statSync(dirname(door.where.socketPath)).mode & 0o777).toBe(0o755);
      expect(readdirSync(dirname(door.where.socketPath))).toEqual(["h.sock"]);
      await door.close();
    } finally {
      process.umask(old);
    }
  });

  it("leaves the mode of a directory that was there", async () => {
    const door = await openAgentDoor({ path });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    await door.close();
  });

  it("is gone after close, unless it is another one by then", async () => {
    const first = await openAgentDoor({ path });
    await first.close();
    expect(existsSync(path)).toBe(false);

    const second = await openAgentDoor({ path });
    rmSync(path);
    writeFileSync(path, "another's");
    await second.close();
    expect(existsSync(path)).toBe(true);
  });
});

describe("the peer", () => {
  it.each([
    ["is unknown", undefined],
    ["is nobody's user", { uid: 65_534 }],
  ])("may do nothing when it %s, but ask for health", async (_what, peer) => {
    const door = await openAgentDoor({ path, peer: () => peer });
    const answer = await ask(door.where, "/v1/status");
    expect([answer.status, codeIn(answer)]).toEqual([403, "forbidden"]);
    expect((await ask(door.where, "/healthz")).status).toBe(200);
    expect(door.engine.calls).toEqual([]);
    await door.close();
  });

  it("is asked for once in a connection", async () => {
    const asked: Socket[] = [];
    const door = await openAgentDoor({ path, peer: (socket) => ({ uid: asked.push(socket) }) });
    await ask(door.where, "/v1/status");
    await ask(door.where, "/v1/status");
    expect(asked).toHaveLength(1);
    expect(door.engine.calls.map(({ args }) => args[0])).toEqual([
      { kind: "peer", uid: 1 },
      { kind: "peer", uid: 1 },
    ]);
    await door.close();
  });

  it("needs no Host that is ours", async () => {
    const door = await openAgentDoor({ path });
    expect((await ask(door.where, "/v1/status", { headers: { host: "holdfast" } })).status).toBe(200);
    await door.close();
  });
});

/** A bound socket that nobody listens on any more, as kill -9 leaves it. */
async function leaveStaleSocket(stale: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${stale}.live`, resolve));
  linkSync(`${stale}.live`, stale);
  await new Promise((resolve) => server.close(resolve));
}
