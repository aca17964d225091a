/** The story of the README, line by line, with the commands that a person types. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { run } from "./run.ts";

const RESERVED = `[{
  "name": "disk",
  "type": "SCALAR",
  "scalar": { "value": 1024 },
  "reservations": [{ "type": "DYNAMIC", "role": "ads", "principal": "ops" }]
}]`;

const VOLUME = `[{
  "name": "disk",
  "type": "SCALAR",
  "scalar": { "value": 512 },
  "reservations": [{ "type": "DYNAMIC", "role": "ads", "principal": "ops" }],
  "disk": { "persistence": { "id": "db" }, "volume": { "mode": "RW", "container_path": "data" } }
}]`;

let place: Place;
let daemon: Daemon;
let sandbox: string;

beforeEach(async () => {
  place = await makePlace("main-job");
  sandbox = path.join(place.dir, "sandbox");
  await mkdir(sandbox);
  const credentials = path.join(place.dir, "credentials.json");
  await writeFile(credentials, '{"credentials":[{"principal":"ops","secret":"hush"}]}', { mode: 0o600 });
  daemon = await Daemon.start({
    dir: place.dir,
    args: ["--resources", "disk(*):4096", "--credentials", credentials],
  });
});

afterEach(async () => {
  await daemon?.kill9();
  await place?.remove();
});

/** `curl` as the operator `ops` at the operator's address. */
function operator(...args: string[]): Promise<string> {
  const target = `${daemon.url}${args.at(-1)}`;
  return run("curl", "--silent", "--show-error", "--fail-with-body", "-u", "ops:hush", ...args.slice(0, -1), target);
}

/** `curl` at the agent socket, as a containerizer. */
function agent(...args: string[]): Promise<string> {
  const target = `http://localhost${args.at(-1)}`;
  const socket = daemon.socket.socketPath;
  return run(
    "curl",
    "--silent",
    "--show-error",
    "--fail-with-body",
    "--unix-socket",
    socket,
    ...args.slice(0, -1),
    target,
  );
}

async function volumeState(): Promise<string> {
  return JSON.parse(await agent("/v1/volumes/ads/db")).state;
}

function attach(): Promise<string> {
  const body = JSON.stringify({ sandbox, volumes: [{ role: "ads", id: "db" }] });
  return agent("-X", "PUT", "-H", "Content-Type: application/json", "-d", body, "/v1/containers/web-1");
}

test("data outlives the daemon, the container and a mistaken destroy", async () => {
  const slaveId = `slaveId=${JSON.parse(await operator("/state")).id}`;
  await operator("-d", slaveId, "-d", `resources=${RESERVED}`, "-X", "POST", "/master/reserve");
  await operator("-d", slaveId, "-d", `volumes=${VOLUME}`, "-X", "POST", "/master/create-volumes");

  await attach();
  await writeFile(path.join(sandbox, "data/greeting"), "still here");

  await daemon.kill9();
  await daemon.start();
  expect(await volumeState()).toBe("attached");
  expect(await readFile(path.join(sandbox, "data/greeting"), "utf8")).toBe("still here");

  await agent("-X", "DELETE", "/v1/containers/web-1");
  await expect(readFile(path.join(sandbox, "data/greeting"))).rejects.toThrow("ENOENT");
  expect(await volumeState()).toBe("detached");

  await operator("-d", slaveId, "-d", `volumes=${VOLUME}`, "-X", "POST", "/master/destroy-volumes");
  expect(await volumeState()).toBe("retained");

  const named = '{"role":"ads","id":"db"}';
  await agent("-X", "POST", "-H", "Content-Type: application/json", "-d", named, "/v1/volumes/restore");
  await attach();
  expect(await readFile(path.join(sandbox, "data/greeting"), "utf8")).toBe("still here");
});

test("a wrong password is told so and changes nothing", async () => {
  const wrong = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "-u", "ops:wrong"];
  expect(await run("curl", ...wrong, "-d", "slaveId=x", `${daemon.url}/master/reserve`)).toBe("401");
});
