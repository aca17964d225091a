/** A failure that nobody caught ends the daemon: an operator must find it in the log. */
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HOLDFAST } from "./command.ts";
import { makePlace, type Place } from "./place.ts";
import { Program } from "./program.ts";
import { request } from "./request.ts";

const THROW_AT_SIGNAL = `process.on("SIGUSR2",()=>{throw(new(Error)("nobody_expected_it"))})`;

let place: Place;
let program: Program | undefined;

beforeEach(async () => {
  place = await makePlace("crash");
});

afterEach(async () => {
  await program?.end("SIGKILL");
  await place.remove();
});

test("the log has it, with where it came from", async () => {
  const socketPath = path.join(place.dir, "agent.sock");
  const options = `NODE_OPTIONS=--import=data:text/javascript,${encodeURIComponent(THROW_AT_SIGNAL)}`;
  const places = ["--work-root", path.join(place.dir, "root"), "--socket", socketPath, "--listen", "127.0.0.1:0"];
  program = await Program.start(
    ["env", options, HOLDFAST, "daemon", ...places, "--resources", "disk(*):64"],
    path.join(place.dir, "daemon.log"),
  );
  await program.until(async () => (await request({ socketPath }, { path: "/readyz" })).status === 200);
  await program.end("SIGUSR2");
  const last = JSON.parse((await program.said()).trim().split("\n").at(-1) ?? "");
  expect(last).toMatchObject({ level: "error", msg: "Cannot go on: nobody_expected_it" });
  expect(JSON.stringify(last)).toContain("process.<anonymous>");
});
