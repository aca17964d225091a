/** What `holdfast daemon --check` refuses, and that it changes nothing. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { holdfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { run } from "./run.ts";

let place: Place;
let taken: Server;

beforeAll(async () => {
  place = await makePlace("check");
  taken = createServer();
  await new Promise<void>((done) => taken.listen(0, "127.0.0.1", done));
});

afterAll(async () => {
  taken.close();
  await place.remove();
});

/** Flags of a daemon that would start, and those that a test puts before them. */
function check(...flags: string[]) {
  const usual = ["--work-root", at("root"), "--socket", at("run/agent.sock"), "--listen", "127.0.0.1:0"];
  return holdfast("daemon", "--check", ...usual, ...flags);
}

const at = (name: string): string => path.join(place.dir, name);

test.each([
  ["a mistake in the settings", () => ["--gc-delay", "soon"], /--gc-delay is "soon"/],
  ["resources that cannot be read", () => ["--resources", "disk:many"], /scalar.value is "many"/],
  ["credentials that are not there", () => ["--credentials", at("nowhere.json")], /nowhere\.json/],
  ["a TLS file that is none", () => ["--tls-cert", "/dev/null", "--tls-key", "/dev/null"], /Cannot use TLS/],
  ["a work root below a file", () => ["--work-root", "/etc/passwd/root"], /is not a directory/],
  ["a work root that forgets", () => ["--work-root", "/dev/shm/root"], /forgets everything/],
  ["a socket path that is too long", () => ["--socket", at("s".repeat(100))], /at most 107 bytes/],
  ["a file where the socket goes", () => ["--socket", "/etc/passwd"], /something else is there/],
  ["a file where CSI's socket goes", () => ["--csi", "/etc/passwd"], /something else is there/],
  ["a node's name that Kubernetes has no label for", () => ["--csi-node-id", "a b"], /--csi-node-id is "a b"/],
  ["a port that is taken", () => ["--listen", `127.0.0.1:${(taken.address() as { port: number }).port}`], /in use/],
])("%s", async (_what, flags, reason) => {
  const { status, stderr } = await check(...flags());
  expect(stderr).toMatch(reason);
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(status).toBe(1);
});

test.runIf(mayMount)("a work root on a file system that is read-only", async () => {
  mkdirSync(at("ro"));
  await run("truncate", "--size", "16M", at("image"));
  await run("mkfs.ext4", "-q", at("image"));
  await run("mount", "-o", "loop,ro", at("image"), at("ro"));
  const { status, stderr } = await check("--work-root", at("ro/root"));
  expect(stderr).toMatch(/read-only file system/);
  expect(status).toBe(1);
});

test("what would start is told with the settings that others must know, and made by nobody", async () => {
  writeFileSync(at("holdfast.yaml"), "gcDelay: 2w\n");
  const { status, stdout } = await check("--config", at("holdfast.yaml"));
  expect(stdout).toBe(`workRoot: ${at("root")}\nlisten: 127.0.0.1:0\nsocket: ${at("run/agent.sock")}`);
  expect(status).toBe(0);
  expect(existsSync(at("root")) || existsSync(at("run"))).toBe(false);
});

test.runIf(mayMount)("the address of the daemon that runs with these settings is no obstacle", async () => {
  const daemon = await Daemon.start({ dir: place.dir });
  try {
    const { host, port } = daemon.http;
    const same = ["--work-root", daemon.workRoot, "--socket", daemon.socket.socketPath, "--listen", `${host}:${port}`];
    expect(await holdfast("daemon", "--check", ...same)).toMatchObject({ status: 0, stderr: "" });
  } finally {
    await daemon.stop();
  }
});
