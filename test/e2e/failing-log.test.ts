/** A daemon whose disk fails altogether, the file that its log goes to included: it ends, and says how. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { STRACE, TracedDaemon, withProgram } from "../prove/traced-daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { request } from "./request.ts";

const EXIT_STORE = 74;
const END_MS_MAX = 10_000;
const ALL_SYNCS_FAIL = { calls: "fsync,fdatasync", what: "error=EIO", when: "1+" };
const RESERVATIONS = [{ type: "DYNAMIC", role: "ads" }];
const DISK = { name: "disk", type: "SCALAR", scalar: { value: 8 }, reservations: RESERVATIONS };
const RESERVE = { type: "RESERVE", reserve: { resources: [DISK] } };

describe.skipIf(!existsSync(STRACE))("a daemon whose every sync fails, that of its log too", () => {
  let place: Place;

  beforeEach(async () => {
    place = await makePlace("failing-log");
    await mkdir(path.join(place.dir, "tmp"));
  });

  afterEach(() => place.remove());

  test("does not start, and does not hang", async () => {
    await withProgram(async (program) => {
      const daemon = new TracedDaemon({ dir: place.dir, program, pool: 4, args: ["--resources", "disk(*):64"] });
      try {
        expect(await daemon.start(ALL_SYNCS_FAIL, END_MS_MAX)).toBe("ended");
        expect(await daemon.said()).toMatch(/Cannot/);
      } finally {
        await daemon.kill9();
      }
    });
  }, 60_000);

  test("ends when it cannot store any more, and does not hang", async () => {
    await withProgram(async (program) => {
      const daemon = new TracedDaemon({ dir: place.dir, program, pool: 4, args: ["--resources", "disk(*):64"] });
      try {
        await daemon.mustStart();
        const tracer = await daemon.attach("all", ALL_SYNCS_FAIL);
        const call = { method: "POST", path: "/v1/operations", body: { operations: [RESERVE] } };
        void request(daemon.socket, call).catch(() => undefined);
        await Promise.race([daemon.ended, sleep(END_MS_MAX)]);
        await tracer.detach();
        expect(daemon.end).toEqual({ status: EXIT_STORE, signal: undefined });
      } finally {
        await daemon.kill9();
      }
    });
  }, 60_000);
});
