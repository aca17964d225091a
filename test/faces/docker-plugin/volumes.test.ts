/** What the volume plugin does to a node, over a real engine in a fake world. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DiskResource } from "../../../src/domain/resource.ts";
import type { Incarnation, Role, VolumeId } from "../../../src/domain/units.ts";
import { disk, reservedFor, staticFor, volume } from "../../domain/world.ts";
import { PEER, type Rig, type RigOptions, startRig } from "../../engine/rig.ts";
import { mb, openPlugin, type Plugin } from "./plugin.ts";

let rig: Rig;
let plugin: Plugin;
const open = async (options: RigOptions = {}, defaultSize?: number) => {
  rig = await startRig(options);
  plugin = await openPlugin(rig.engine, defaultSize === undefined ? {} : { defaultSize: mb(defaultSize) });
};
const reopen = async (options: RigOptions = {}, defaultSize?: number) => {
  await plugin.close();
  await open(options, defaultSize);
};
beforeEach(() => open());
afterEach(() => plugin.close());

const DOCKER = reservedFor("docker");

const create = (Name: string, Opts: Record<string, string> = { size: "100M" }) => plugin.call("Create", { Name, Opts });
const remove = (Name: string) => plugin.call("Remove", { Name });
const mount = (Name: string, ID: string) => plugin.call("Mount", { Name, ID });
const unmount = (Name: string, ID: string) => plugin.call("Unmount", { Name, ID });

async function names(): Promise<string[]> {
  const { json } = await plugin.call("List", {});
  return (json["Volumes"] as { Name: string }[]).map(({ Name }) => Name);
}

async function status(Name: string): Promise<Record<string, unknown>> {
  const { json } = await plugin.call("Get", { Name });
  return (json as unknown as { Volume: { Status: Record<string, unknown> } }).Volume.Status;
}

/** Free disk: `900 unreserved, 100 docker`. */
async function free(): Promise<string> {
  const { resources } = await rig.engine.resources(PEER);
  const text = ({ size, reservations }: DiskResource) => `${size / 1000} ${reservations.at(-1)?.role ?? "unreserved"}`;
  return resources
    .filter((one) => one.volume === undefined)
    .map(text)
    .join(", ");
}

describe("Create", () => {
  it("refuses a volume without a size, naming the option", async () => {
    const { status: code, json } = await create("db", {});
    expect(code).toBe(400);
    expect(json.Err).toBe("Cannot create volume db: the option size is missing, for example size=512M");
    expect((await plugin.call("Create", { Name: "db" })).json.Err).toBe(json.Err);
    expect((await plugin.call("Create", { Name: "db", Opts: null })).json.Err).toBe(json.Err);
  });

  it("refuses more than there is, with the figures", async () => {
    const { status: code, json } = await create("db", { size: "2000M" });
    expect(code).toBe(500);
    expect(json.Err).toMatch(/2000 MB.*1000 MB are free/);
    expect(await free()).toBe("1000 unreserved");
  });

  it("refuses a role that the name contradicts", async () => {
    const { json } = await create("ads/db", { size: "1M", role: "eng" });
    expect(json.Err).toBe("Cannot create volume ads/db: the option role is eng");
  });

  it.each([
    [{ size: "200M" }, "has 100 MB, not 200 MB"],
    [{ shared: "false" }, "is shared"],
    [{ role: "ads" }, "is of role docker, not ads"],
    [{ path: "other" }, "has the path data, not other"],
  ])("refuses an existing volume with other options: %j", async (options, difference) => {
    await create("db");
    const { status: code, json } = await create("db", options as Record<string, string>);
    expect(code).toBe(500);
    expect(json.Err).toBe(`Cannot create volume db: it exists already, and ${difference}`);
  });

  it("refuses a name in a role where another volume has that id", async () => {
    await rig.create("db");
    const { status: code, json } = await create("db", { size: "100M", role: "ads" });
    expect(code).toBe(500);
    expect(json.Err).toContain("a volume ads/db exists that was not created as db, name it ads/db");
  });

  it("reserves and creates, shared, in the plugin's role", async () => {
    expect((await create("db")).json).toEqual({ Err: "" });
    expect(await free()).toBe("900 unreserved");
    expect(await status("db")).toMatchObject({ role: "docker", id: "db", size: "100 MB", shared: true });
    const { volume: made } = await rig.engine.volume(PEER, "docker" as Role, "db" as VolumeId);
    expect(made.reservations).toEqual([
      { type: "DYNAMIC", role: "docker", labels: [{ key: "io.holdfast.docker", value: "db" }] },
    ]);
    expect(made).toMatchObject({ containerPath: "data", createdBy: "uid:0(root)" });
  });

  it("takes every option", async () => {
    await create("db", { size: "1.5G", role: "eng/web", shared: "false", path: "pgdata" }).then(({ json }) =>
      expect(json.Err).toMatch(/1536 MB/),
    );
    expect((await create("db", { size: "64M", role: "eng/web", shared: "false", path: "pgdata" })).status).toBe(200);
    expect(await status("db")).toMatchObject({ role: "eng/web", size: "64 MB", shared: false });
  });

  it("takes the default size where one is configured", async () => {
    await reopen({}, 50);
    expect((await plugin.call("Create", { Name: "db" })).status).toBe(200);
    expect(await status("db")).toMatchObject({ size: "50 MB" });
  });

  it("changes nothing when the volume is there as asked", async () => {
    await create("db");
    for (const options of [{}, { size: "100M" }, { size: "100M", shared: "true", role: "docker", path: "data" }]) {
      expect((await create("db", options)).status).toBe(200);
    }
    expect(await free()).toBe("900 unreserved");
  });

  it("succeeds for everybody who asks for the same at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => create("db")));
    expect(answers.map(({ status: code }) => code)).toEqual(answers.map(() => 200));
    expect(await free()).toBe("900 unreserved");
  });

  it("gives a name to one of two roles that are asked for at once", async () => {
    const answers = await Promise.all(["ads", "eng"].map((role) => create("db", { size: "1M", role })));
    expect(answers.map(({ status: code }) => code).sort()).toEqual([200, 500]);
    expect(await names()).toEqual(["db"]);
  });

  it.each([
    ["statically reserved", [disk(150, [staticFor("docker")])], "50 docker"],
    ["unreserved first", [disk(120), disk(150, [staticFor("docker")])], "20 unreserved, 150 docker"],
    [
      "reserved where too little is unreserved",
      [disk(50), disk(150, [staticFor("docker")])],
      "50 unreserved, 50 docker",
    ],
    [
      "of the work root first, then the tightest fit",
      [disk(500, [], { type: "PATH", root: "/a" }), disk(100)],
      "500 unreserved",
    ],
    [
      "on a MOUNT disk only as a whole",
      [disk(101, [], { type: "MOUNT", root: "/m" }), disk(100, [staticFor("docker")])],
      "101 unreserved",
    ],
  ])("takes disk %s", async (_what, declared, left) => {
    await reopen({ declared });
    expect((await create("db")).json).toEqual({ Err: "" });
    expect(await free()).toBe(left);
  });

  it("takes no disk that was reserved for another of its volumes", async () => {
    await reopen({ declared: [disk(100)] });
    await create("one");
    const { resources } = await rig.engine.resources(PEER);
    await rig.perform({ type: "DESTROY", volumes: resources });
    expect(await free()).toBe("100 docker");
    expect((await create("two")).status).toBe(500);
  });
});

describe("a name", () => {
  it("without a role means the volume that was created under it, whatever comes later", async () => {
    await create("db", { size: "100M", role: "ads" });
    expect(await names()).toEqual(["db"]);
    await rig.perform(
      { type: "RESERVE", resources: [disk(50, [DOCKER])] },
      { type: "CREATE", volumes: [volume("db", 50, [DOCKER])] },
    );
    expect(await status("db")).toMatchObject({ role: "ads" });
    expect(await names()).toEqual(["db", "docker/db"]);
    expect(await status("docker/db")).toMatchObject({ role: "docker" });
    await remove("db");
    expect(await names()).toEqual(["db"]);
    expect(await status("db")).toMatchObject({ role: "docker" });
  });

  it("with a role means any volume", async () => {
    await rig.create("db");
    expect(await names()).toEqual(["ads/db"]);
    expect(await status("ads/db")).toMatchObject({ role: "ads", id: "db" });
    expect((await plugin.call("Get", { Name: "db" })).status).toBe(500);
  });

  it("with the plugin's role is the same as without", async () => {
    await create("docker/db");
    expect(await names()).toEqual(["db"]);
    const { json } = await plugin.call("Get", { Name: "docker/db" });
    expect(json["Volume"]).toMatchObject({ Name: "docker/db" });
  });

  it("divides at the last slash", async () => {
    expect((await create("eng/web/db")).status).toBe(200);
    expect(await names()).toEqual(["eng/web/db"]);
    expect(await status("eng/web/db")).toMatchObject({ role: "eng/web", id: "db" });
  });

  it("that was created with its role does not become one without", async () => {
    await create("ads/db");
    expect((await plugin.call("Get", { Name: "db" })).status).toBe(500);
  });

  it("means the same after a restore", async () => {
    await create("db", { size: "100M", role: "ads" });
    await remove("db");
    expect(await names()).toEqual([]);
    await rig.engine.restore(PEER, { role: "ads" as Role, id: "db" as VolumeId });
    expect(await names()).toEqual(["db"]);
    expect((await remove("db")).status).toBe(200);
    expect(await free()).toBe("1000 unreserved");
  });
});

describe("Remove", () => {
  it.each(["db", "ads/db"])("says that there is no volume %s", async (name) => {
    const { status: code, json } = await remove(name);
    expect([code, json.Err]).toEqual([500, `Cannot find volume ${name}: no such volume`]);
  });

  it("refuses what is in use, naming the holder", async () => {
    await create("db");
    const { volume: made } = await rig.engine.volume(PEER, "docker" as Role, "db" as VolumeId);
    rig.holders.holdElsewhere(made.uuid, 4711);
    const { status: code, json } = await remove("db");
    expect(code).toBe(500);
    expect(json.Err).toContain("4711");
    expect(await free()).toBe("900 unreserved");
  });

  it("destroys and gives the disk back; the content is retained", async () => {
    await create("db");
    expect((await remove("db")).json).toEqual({ Err: "" });
    expect(await free()).toBe("1000 unreserved");
    expect(await rig.states()).toEqual(["db retained"]);
  });

  it("leaves a reservation that it did not make", async () => {
    await rig.create("db");
    expect((await remove("ads/db")).status).toBe(200);
    expect(await free()).toBe("900 unreserved, 100 ads");
  });

  it("leaves the reservation of the role that a volume was put on", async () => {
    await reopen({ declared: [disk(10), disk(100, [staticFor("ads")])] });
    await create("ads/db");
    await remove("ads/db");
    expect(await free()).toBe("10 unreserved, 100 ads");
  });

  it("gives back what a volume was grown by", async () => {
    await create("db", { size: "100M", shared: "false" });
    const { resources } = await rig.engine.resources(PEER);
    const made = resources.find((one) => one.volume !== undefined) as DiskResource;
    const addition = disk(50, made.reservations);
    await rig.perform({ type: "RESERVE", resources: [addition] }, { type: "GROW_VOLUME", volume: made, addition });
    await remove("db");
    expect(await free()).toBe("1000 unreserved");
  });
});

describe("Mount", () => {
  it("says that there is no such volume", async () => {
    expect((await mount("db", "1")).json.Err).toBe("Cannot find volume db: no such volume");
  });

  it("refuses an exclusive volume that somebody else has", async () => {
    await create("db", { size: "100M", shared: "false" });
    expect((await mount("db", "one")).status).toBe(200);
    const { status: code, json } = await mount("db", "two");
    expect(code).toBe(500);
    expect(json.Err).toContain("one");
  });

  it("names who is seen with an exclusive volume that it refuses", async () => {
    await create("db", { size: "100M", shared: "false" });
    await mount("db", "one");
    const { volume: made } = await rig.engine.volume(PEER, "docker" as Role, "db" as VolumeId);
    rig.holders.holdElsewhere(made.uuid);
    const seen = "; seen with it: sleep (process 4711, /system.slice/other.service)";
    expect((await mount("db", "two")).json.Err).toMatch(new RegExp(`${RegExp.escape(seen)}$`));
    expect((await remove("db")).json.Err).toContain(seen);
  });

  it("gives the content's path, as often as it is asked", async () => {
    await create("db");
    const first = await mount("db", "one");
    expect(first.json).toEqual({ Mountpoint: expect.stringMatching(/\/content$/), Err: "" });
    expect((await mount("db", "one")).json).toEqual(first.json);
    expect((await mount("db", "two")).json).toEqual(first.json);
    expect((await plugin.call("Path", { Name: "db" })).json).toEqual(first.json);
    expect(await status("db")).toMatchObject({ state: "attached", containers: ["one", "two"] });
  });
});

describe("Unmount", () => {
  it("has nothing against what is not there", async () => {
    expect((await unmount("db", "1")).json).toEqual({ Err: "" });
    await create("db");
    expect((await unmount("db", "1")).json).toEqual({ Err: "" });
  });

  it("ends the use of what nobody is seen with, as often as it is said", async () => {
    await create("db", { size: "100M", shared: "false" });
    await mount("db", "one");
    await unmount("db", "one");
    await unmount("db", "one");
    expect(await status("db")).toMatchObject({ state: "detached" });
    expect((await mount("db", "two")).status).toBe(200);
  });

  it("is not believed while somebody is seen with the volume", async () => {
    await create("db", { size: "100M", shared: "false" });
    await mount("db", "one");
    const { volume: made } = await rig.engine.volume(PEER, "docker" as Role, "db" as VolumeId);
    rig.holders.holdElsewhere(made.uuid);
    await unmount("db", "one");
    expect((await mount("db", "two")).status).toBe(500);
    expect((await remove("db")).status).toBe(500);
    expect((await status("db"))["holders"]).toEqual([expect.objectContaining({ pid: 4711 })]);
  });
});

describe("Get", () => {
  it("shows a volume that is in trash to nobody", async () => {
    await create("db");
    await remove("db");
    const { status: code, json } = await plugin.call("Get", { Name: "db" });
    expect([code, json]).toEqual([500, { Err: "Cannot find volume db: no such volume" }]);
  });

  it("has everything that is known about a volume", async () => {
    await create("db");
    const { json } = await plugin.call("Get", { Name: "db" });
    expect(json).toEqual({
      Volume: {
        Name: "db",
        Mountpoint: expect.stringMatching(/\/content$/),
        CreatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        Status: {
          role: "docker",
          id: "db",
          uuid: expect.any(String),
          size: "100 MB",
          enforced: false,
          state: "detached",
          shared: true,
          containers: [],
          holders: [],
        },
      },
      Err: "",
    });
  });
});

describe("Get where the kernel enforces sizes", () => {
  it("has what the volume takes, rounded up, and its protection", async () => {
    await reopen({ disk: { enforcement: "project-quota" } });
    await create("db");
    const { uuid } = await status("db");
    rig.disk.write(uuid as Incarnation, 1024 * 1024 + 1);
    await rig.engine.mark(PEER, { role: "docker" as Role, id: "db" as VolumeId, mark: "protect" });
    expect(await status("db")).toMatchObject({ used: "1.001 MB", inodes: 1, enforced: true, protected: true });
  });

  it("refuses to remove a protected volume, and says what to do", async () => {
    await create("db");
    await rig.engine.mark(PEER, { role: "docker" as Role, id: "db" as VolumeId, mark: "protect" });
    const { status: code, json } = await remove("db");
    expect([code, json.Err]).toEqual([500, "Cannot destroy volume docker/db: it is protected, unprotect it first"]);
  });
});

describe("List", () => {
  const Mountpoint = expect.stringMatching(/\/content$/);
  beforeEach(async () => {
    await rig.create("db");
    await create("web");
    await create("gone");
    await remove("gone");
  });

  it("has live volumes with their paths, of all roles", async () => {
    const Volumes = [
      { Name: "ads/db", Mountpoint },
      { Name: "web", Mountpoint },
    ];
    expect((await plugin.call("List", {})).json).toEqual({ Volumes, Err: "" });
  });

  it("leaves out the names that Podman fails over, for Podman, which asks without a body", async () => {
    expect((await plugin.call("List")).json).toEqual({ Volumes: [{ Name: "web", Mountpoint }], Err: "" });
  });
});
