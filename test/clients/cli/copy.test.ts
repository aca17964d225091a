import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { VOLUME } from "./samples.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

const ROUTE = "POST /v1/volumes/copy";
const SOURCE = { role: "ads", id: "db" };

test("copy tells the daemon's refusal", async () => {
  const reason = "Cannot copy ads/db as ads/copy of 100 MB: 200 MB of it are used";
  daemon.replies[ROUTE] = refused(409, "insufficient", reason);
  expect(await holdfast("copy", "ads/db", "copy")).toEqual({ status: 1, stdout: "", stderr: `holdfast: ${reason}` });
});

test.each([
  [["copy", "ads/db"], "missing required argument"],
  [["copy", "db", "copy"], "Expected ROLE/ID, for example ads/db"],
  [["copy", "ads/db", ".."], ".."],
  [["snapshot", "ads/db", "snap", "--path", "x"], "unknown option"],
])("%j is wrong usage", async (args, reason) => {
  const outcome = await holdfast(...args);
  expect(outcome).toMatchObject({ status: 2, stdout: "" });
  expect(outcome.stderr).toContain(reason);
  expect(daemon.seen).toEqual([]);
});

test("copy asks for a volume in the role of its source, or in another one", async () => {
  daemon.replies[ROUTE] = answered({ ...VOLUME, id: "copy" });
  const line = `Copied ads/db as ads/copy (512 MB), its content is at ${VOLUME.path}`;
  expect(await holdfast("copy", "ads/db", "copy")).toEqual({ status: 0, stdout: line, stderr: "" });
  await holdfast("copy", "ads/db", "test/db", "--size", "1G", "--path", "data");
  const body = { source: SOURCE, waitSeconds: 5 };
  expect(daemon.seen).toEqual([
    { line: ROUTE, body: { ...body, id: "copy" } },
    { line: ROUTE, body: { ...body, role: "test", id: "db", sizeMb: 1024, containerPath: "data" } },
  ]);
});

test("snapshot asks for one, and prints the daemon's answer as JSON", async () => {
  const volume = { ...VOLUME, id: "snap", snapshotOf: { ...SOURCE, uuid: VOLUME.uuid, at: VOLUME.createdAt } };
  daemon.replies[ROUTE] = answered(volume);
  expect(JSON.parse((await holdfast("snapshot", "ads/db", "snap", "--json")).stdout)).toEqual(volume);
  expect(daemon.seen).toEqual([{ line: ROUTE, body: { source: SOURCE, id: "snap", snapshot: true, waitSeconds: 5 } }]);
});
