import { afterEach, beforeEach, expect, test } from "vitest";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { DONE, POOL, RESERVATION, VOLUME, VOLUME_RESOURCE } from "./samples.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
  daemon.replies["POST /v1/operations"] = answered(DONE);
  daemon.replies["GET /v1/resources"] = answered({ agentId: "a", resources: [POOL] });
  daemon.replies["GET /v1/volumes/ads/db"] = answered(VOLUME);
});
afterEach(() => daemon.stop());

const holdfast = (...args: readonly string[]) => run(daemon.socket, ...args);

/** The body of the one request that would change something. */
function posted(): unknown {
  const bodies = daemon.seen.filter(({ line }) => line === "POST /v1/operations").map(({ body }) => body);
  expect(bodies).toHaveLength(1);
  return bodies[0];
}

const MISSING = { ...RESERVATION, role: "eng/web" };

test("a refusal of the daemon is one line on stderr and status 1", async () => {
  daemon.replies["POST /v1/operations"] = refused(409, "insufficient", "Cannot reserve 2 MB:\nonly \u001b[2J1 MB left");
  expect(await holdfast("reserve", "ads", "--size", "2")).toEqual({
    status: 1,
    stdout: "",
    stderr: "holdfast: Cannot reserve 2 MB: only \\u{1b}[2J1 MB left",
  });
});

test("shrink below what is used fails with the daemon's figures", async () => {
  const reason = "Cannot shrink volume ads/db to 100 MB: 300 MB of it are used";
  daemon.replies["POST /v1/operations"] = refused(409, "insufficient", reason);
  expect(await holdfast("shrink", "ads/db", "--to", "100")).toEqual({
    status: 1,
    stdout: "",
    stderr: `holdfast: ${reason}`,
  });
});

test("destroy of a protected volume fails with the way out", async () => {
  const reason = "Cannot destroy volume ads/db: it is protected, unprotect it first";
  daemon.replies["POST /v1/operations"] = refused(409, "protected", reason);
  expect(await holdfast("destroy", "ads/db")).toEqual({ status: 1, stdout: "", stderr: `holdfast: ${reason}` });
});

test("reserve pushes one reservation on unreserved disk of the work root, without looking anything up", async () => {
  const args = ["reserve", "ads", "--size", "2G", "--principal", "ops", "--label", "team=a=b", "--label", "flag"];
  expect(await holdfast(...args)).toEqual({ status: 0, stdout: "Done it", stderr: "" });
  const labels = { labels: [{ key: "team", value: "a=b" }, { key: "flag" }] };
  expect(posted()).toEqual({
    operations: [
      {
        type: "RESERVE",
        reserve: { resources: [{ ...POOL, reservations: [{ ...RESERVATION, principal: "ops", labels }] }] },
      },
    ],
  });
  expect(daemon.seen).toHaveLength(1);
});

test("reserve finds another disk by its root directory", async () => {
  const disk = { source: { type: "PATH", path: { root: "/mnt/ssd" } } };
  const free = { name: "disk", type: "SCALAR", scalar: { value: 9 }, disk };
  daemon.replies["GET /v1/resources"] = answered({ agentId: "a", resources: [POOL, free] });
  await holdfast("reserve", "ads", "--size", "2G", "--disk", "/mnt/ssd");
  expect(posted()).toEqual({ operations: [{ type: "RESERVE", reserve: { resources: [{ ...POOL, disk }] } }] });
});

test("unreserve names the reservation exactly", async () => {
  await holdfast("unreserve", "ads", "--size", "512");
  const resources = [{ ...POOL, scalar: { value: 512 } }];
  expect(posted()).toEqual({ operations: [{ type: "UNRESERVE", unreserve: { resources } }] });
});

test("create takes disk that the role has reserved", async () => {
  await holdfast("create", "ads/db", "--size", "512", "--path", "data", "--shared", "--principal", "ops");
  const disk = { ...VOLUME_RESOURCE.disk, persistence: { id: "db", principal: "ops" } };
  expect(posted()).toEqual({
    operations: [{ type: "CREATE", create: { volumes: [{ ...VOLUME_RESOURCE, disk, shared: {} }] } }],
  });
});

test("create leaves it to the daemon to refuse what the role has not reserved", async () => {
  await holdfast("create", "eng/web/db", "--size", "512", "--path", "data");
  expect(posted()).toEqual({
    operations: [{ type: "CREATE", create: { volumes: [{ ...VOLUME_RESOURCE, reservations: [MISSING] }] } }],
  });
});

test("create with an operation id has the same content when it is repeated", async () => {
  const created = { ...VOLUME_RESOURCE, reservations: [{ ...RESERVATION, principal: "ops" }] };
  daemon.replies["GET /v1/volumes/ads/db"] = answered({ ...VOLUME, resource: created });
  await holdfast("create", "ads/db", "--size", "512", "--path", "data", "--operation-id", "c-1");
  expect(posted()).toEqual({ id: "c-1", operations: [{ type: "CREATE", create: { volumes: [created] } }] });
});

test("create with an operation id takes a pool when the volume was never there", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = refused(404, "no_such_volume", "Cannot find volume ads/db");
  await holdfast("create", "ads/db", "--size", "512", "--path", "data", "--operation-id", "c-1");
  expect(posted()).toMatchObject({ operations: [{ create: { volumes: [VOLUME_RESOURCE] } }] });
});

test("destroy names the volume as the daemon does", async () => {
  await holdfast("destroy", "ads/db");
  expect(posted()).toEqual({ operations: [{ type: "DESTROY", destroy: { volumes: [VOLUME_RESOURCE] } }] });
});

test("destroy encodes a name that has slashes and marks", async () => {
  daemon.replies["GET /v1/volumes/eng%2Fweb/a%3Fb%23c"] = answered(VOLUME);
  expect(await holdfast("destroy", "eng/web/a?b#c")).toMatchObject({ status: 0 });
});

test("--dry-run asks the daemon for its decision only", async () => {
  daemon.replies["POST /v1/operations"] = answered({ ...DONE, state: "DRY_RUN" });
  expect(await holdfast("destroy", "ads/db", "--dry-run")).toMatchObject({ stdout: "(dry run) Done it" });
  expect(posted()).toMatchObject({ dryRun: true });
});

test("--json prints the daemon's answer", async () => {
  const { stdout } = await holdfast("reserve", "ads", "--size", "1", "--json");
  expect(JSON.parse(stdout)).toEqual(DONE);
});

test("grow --by adds disk of the volume's own reservation", async () => {
  await holdfast("grow", "ads/db", "--by", "128M");
  const addition = { ...POOL, scalar: { value: 128 } };
  expect(posted()).toEqual({
    operations: [{ type: "GROW_VOLUME", grow_volume: { volume: VOLUME_RESOURCE, addition } }],
  });
});

test("grow --to adds the difference", async () => {
  await holdfast("grow", "ads/db", "--to", "1G");
  expect(posted()).toMatchObject({ operations: [{ grow_volume: { addition: { scalar: { value: 512 } } } }] });
});

test("shrink takes the difference away", async () => {
  await holdfast("shrink", "ads/db", "--to", "500.5");
  const shrink_volume = { volume: VOLUME_RESOURCE, subtract: { value: 11.5 } };
  expect(posted()).toEqual({ operations: [{ type: "SHRINK_VOLUME", shrink_volume }] });
});

test.each(["grow", "shrink"])("%s --to the size it has does nothing", async (verb) => {
  expect(await holdfast(verb, "ads/db", "--to", "512")).toEqual({
    status: 0,
    stdout: "Volume ads/db has 512 MB already",
    stderr: "",
  });
  expect(daemon.seen).toHaveLength(1);
});

test("grow never shrinks", async () => {
  expect(await holdfast("grow", "ads/db", "--to", "1")).toMatchObject({
    status: 1,
    stderr: "holdfast: Cannot grow volume ads/db: it has 512 MB, holdfast shrink goes the other way",
  });
});

test("grow --by with an operation id that was done names the size before", async () => {
  daemon.replies["GET /v1/operations/g-1"] = answered(DONE);
  await holdfast("grow", "ads/db", "--by", "12", "--operation-id", "g-1");
  expect(posted()).toMatchObject({
    id: "g-1",
    operations: [{ grow_volume: { volume: { scalar: { value: 500 } }, addition: { scalar: { value: 12 } } } }],
  });
});

test("grow --by with an operation id that is new names the size now", async () => {
  daemon.replies["GET /v1/operations/g-1"] = refused(404, "no_such_operation", "Cannot find operation g-1");
  await holdfast("grow", "ads/db", "--by", "12", "--operation-id", "g-1");
  expect(posted()).toMatchObject({ operations: [{ grow_volume: { volume: { scalar: { value: 512 } } } }] });
});

test.each([
  [["grow", "ads/db"], "expected --by or --to"],
  [["grow", "ads/db", "--by", "1", "--to", "2"], "cannot be used with option"],
  [["create", "ads/db", "--path", "data"], "required option '--size <SIZE>' not specified"],
  [["create", "db", "--size", "1", "--path", "data"], "Expected ROLE/ID, for example ads/db"],
  [["create", "ads/db", "--size", "many", "--path", "data"], "expected a size like 512, 512M or 1.5G"],
  [["create", "ads/db", "--size", "1", "--path", "a/b"], "expected one path component, without slashes"],
  [["reserve", "*", "--size", "1"], "expected a role"],
  [["reserve", "ads", "--size", "1", "--label", "=x"], "Expected KEY or KEY=VALUE"],
])("%j is wrong usage", async (args, reason) => {
  const outcome = await holdfast(...args);
  expect(outcome).toMatchObject({ status: 2, stdout: "" });
  expect(outcome.stderr).toContain(reason);
  expect(outcome.stderr).toMatch(new RegExp(`^holdfast: Cannot run ${args[0]}: .*, see holdfast ${args[0]} --help$`));
  expect(daemon.seen).toHaveLength(0);
});
