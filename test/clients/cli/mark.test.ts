import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { VOLUME } from "./samples.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

const NAME = { role: "ads", id: "db" };
const RETAINED = { ...VOLUME, state: "retained", retiredAt: VOLUME.createdAt };

test("pin tells the daemon's refusal", async () => {
  const reason = "Cannot pin volume ads/db: it takes 512 MB of unreserved disk, and 100 MB are free there";
  daemon.replies["POST /v1/volumes/pin"] = refused(409, "insufficient", reason);
  expect(await holdfast("pin", "ads/db")).toEqual({ status: 1, stdout: "", stderr: `holdfast: ${reason}` });
});

test.each([
  [["protect"], "missing required argument"],
  [["protect", "db"], "Expected ROLE/ID, for example ads/db"],
  [["protect", VOLUME.uuid], "Expected ROLE/ID, for example ads/db"],
  [["unprotect", "*/db"], "expected a role"],
  [["pin", "db"], "expected a UUID"],
  [["unpin", "ads/.."], "ads/.."],
  [["pin", "ads/db", VOLUME.uuid], "too many arguments"],
])("%j is wrong usage", async (args, reason) => {
  const outcome = await holdfast(...args);
  expect(outcome).toMatchObject({ status: 2, stdout: "" });
  expect(outcome.stderr).toContain(reason);
  expect(daemon.seen).toEqual([]);
});

test.each([
  ["protect", "ads/db", NAME, VOLUME, "Protected ads/db: it cannot be destroyed until it is unprotected"],
  ["unprotect", "ads/db", NAME, VOLUME, "Unprotected ads/db: it can be destroyed"],
  ["pin", "ads/db", NAME, RETAINED, "Pinned ads/db: it stays until it is unpinned, on 512 MB of unreserved disk"],
  [
    "unpin",
    VOLUME.uuid,
    { uuid: VOLUME.uuid },
    { ...RETAINED, dueAt: "2026-01-09T03:04:05.000Z" },
    "Unpinned ads/db: it is collected at 2026-01-09T03:04:05.000Z, or earlier",
  ],
  ["unpin", "ads/db", NAME, RETAINED, "Unpinned ads/db: it is collected when its time comes"],
])("%s %s says what it did", async (verb, which, body, volume, line) => {
  daemon.replies[`POST /v1/volumes/${verb}`] = answered(volume);
  expect(await holdfast(verb, which)).toEqual({ status: 0, stdout: line, stderr: "" });
  expect(daemon.seen).toEqual([{ line: `POST /v1/volumes/${verb}`, body }]);
});

test("protect --json prints the daemon's answer", async () => {
  const volume = { ...VOLUME, protected: true };
  daemon.replies["POST /v1/volumes/protect"] = answered(volume);
  expect(JSON.parse((await holdfast("protect", "ads/db", "--json")).stdout)).toEqual(volume);
});
