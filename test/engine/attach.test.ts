import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import type { MountRequest } from "../../src/ports/mounter.ts";
import {
  ADS,
  API,
  BROKEN,
  BUSY,
  gateAt,
  OPS,
  outcomeOf,
  type Rig,
  type RigOptions,
  refusalOf,
  settle,
  startRig,
  target,
  WEB,
  wanted,
} from "./rig.ts";

/** A node with volumes `db` and `logs`, and `common`, which is shared. */
async function furnished(options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  await rig.create("db");
  await rig.create("logs");
  await rig.create("common", { shared: true });
  return rig;
}

const BOTH = { volumes: [wanted("db", { at: "data" }), wanted("logs", { at: "logs" })] };

/** The requests that reached the kernel. */
function spyOnAttach(rig: Rig): MountRequest[] {
  const seen: MountRequest[] = [];
  const attach = rig.mounter.attach.bind(rig.mounter);
  rig.mounter.attach = (request) => {
    seen.push(request);
    return attach(request);
  };
  return seen;
}

describe("attach", () => {
  test("is the agent socket's alone", async () => {
    const rig = await furnished();
    const request = { container: WEB, sandbox: "/sandbox", volumes: [wanted("db")] };
    expect(await outcomeOf(rig.engine.attach(OPS, request))).toBe("forbidden");
    expect(await outcomeOf(rig.engine.detach(OPS, WEB, { force: false }))).toBe("forbidden");
  });

  test("a volume that does not exist is refused, and nothing is mounted", async () => {
    const rig = await furnished();
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db"), wanted("none", { at: "none" })] }))).toBe(
      "no_such_volume",
    );
    expect(rig.mounter.calls.attach).toBe(0);
    expect(await rig.attachments()).toEqual([]);
  });

  test("a damaged volume is refused", async () => {
    const rig = await furnished();
    rig.disk.lose((await rig.live("db")).uuid);
    await rig.engine.reconcile();
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("damaged");
  });

  test("the second container of an exclusive volume is refused, naming the first", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    const refusal = await refusalOf(rig.attach({ container: API, sandbox: "/other", volumes: [wanted("db")] }));
    expect(refusal).toMatchObject({ code: "in_use", details: { container: "web" } });
  });

  test("an exclusive volume that another mount namespace shows is refused, naming who has it", async () => {
    const rig = await furnished();
    rig.holders.holdElsewhere((await rig.live("db")).uuid, 4711);
    expect(await refusalOf(rig.attach({ volumes: [wanted("db")] }))).toMatchObject({
      code: "in_use",
      message: expect.stringContaining("process 4711"),
    });
    expect(rig.mounter.places()).toEqual([]);
  });

  test("who has an exclusive volume is looked for only where the mounter does not rule anybody out", async () => {
    const rig = await furnished();
    const { looks } = rig.holders;
    await rig.attach({ volumes: [wanted("db")] });
    expect(rig.holders.looks).toBe(looks);
  });

  test("an exclusive volume is not attached while the mount namespaces cannot be read", async () => {
    const rig = await furnished();
    rig.holders.failure = new HoldfastError("unavailable", "Cannot read");
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("unavailable");
    expect(rig.mounter.places()).toEqual([]);
  });

  test("an exclusive volume that is mounted here for nobody we know is refused, saying where", async () => {
    const rig = await furnished();
    rig.holders.holdHere((await rig.live("db")).uuid, "/old/data");
    expect(await refusalOf(rig.attach({ volumes: [wanted("db")] }))).toMatchObject({
      code: "in_use",
      message:
        "Cannot attach volume ads/db to container web: it is mounted at /old/data already, for no container that is known: unmount it there",
    });
    expect(rig.mounter.places()).toEqual([]);
  });

  test("an exclusive volume is refused when a namespace without processes keeps it", async () => {
    const rig = await furnished();
    rig.holders.holdElsewhere((await rig.live("db")).uuid, 0);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("in_use");
  });

  test("an exclusive volume is attached when what had it was just going away", async () => {
    const rig = await furnished();
    rig.holders.holdElsewhere((await rig.live("db")).uuid, 0);
    rig.holders.afterLook = () => rig.holders.letGo();
    await rig.attach({ volumes: [wanted("db")] });
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
  });

  test("of two containers that want an exclusive volume at once one gets it", async () => {
    const rig = await furnished();
    const outcomes = await Promise.all(
      [WEB, API].map((container) =>
        outcomeOf(rig.attach({ container, sandbox: `/${container}`, volumes: [wanted("db")] })),
      ),
    );
    expect(outcomes).toEqual(["done", "in_use"]);
    expect(rig.mounter.places()).toEqual(["/web/data"]);
  });

  test("another sandbox for a living container is a conflict", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    expect(await outcomeOf(rig.attach({ sandbox: "/other", volumes: [wanted("db")] }))).toBe("conflict");
  });

  test("a path that another container's volume occupies in the same sandbox is a conflict", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    expect(await outcomeOf(rig.attach({ container: API, volumes: [wanted("logs")] }))).toBe("conflict");
  });

  test("two containers may share a sandbox, each with its own paths", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    await rig.attach({ container: API, volumes: [wanted("logs", { at: "logs" })] });
    expect(rig.mounter.places()).toEqual(["/sandbox/data", "/sandbox/logs"]);
  });

  test("a shared volume belongs to several containers", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("common")] });
    await rig.attach({ container: API, sandbox: "/other", volumes: [wanted("common")] });
    expect((await rig.view("common")).containers).toEqual(["web", "api"]);
  });

  test("a mount that fails takes back the ones before it", async () => {
    const rig = await furnished();
    const attach = rig.mounter.attach.bind(rig.mounter);
    rig.mounter.attach = (request) => (request.containerPath === "logs" ? Promise.reject(BROKEN) : attach(request));
    expect(await outcomeOf(rig.attach(BOTH))).toBe("internal");
    expect(rig.mounter.places()).toEqual([]);
    expect(rig.mounter.mountpoints()).toEqual([]);
    expect(await rig.states()).toEqual(["common detached", "db detached", "logs detached"]);
    expect(rig.storedContainer()).toBeUndefined();
  });

  test("a mount that fails leaves what the container had", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    rig.mounter.failNext("attach", BROKEN);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("logs", { at: "logs" })] }))).toBe("internal");
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
  });

  test("an unmount that is busy takes the new mounts back", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    rig.mounter.sitIn((await rig.live("db")).uuid);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("logs", { at: "logs" })] }))).toBe("busy");
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
  });

  test("an unmount that is busy mounts again what was already unmounted", async () => {
    const rig = await furnished();
    await rig.attach(BOTH);
    rig.mounter.sitIn((await rig.live("logs")).uuid);
    expect(await outcomeOf(rig.attach({ volumes: [] }))).toBe("busy");
    expect(rig.mounter.places()).toEqual(["/sandbox/data", "/sandbox/logs"]);
    expect(await rig.attachments()).toEqual(["db at data: attached", "logs at logs: attached"]);
  });

  test("what a process found before it was taken back stays in use", async () => {
    const rig = await furnished();
    const { uuid } = await rig.live("db");
    const attach = rig.mounter.attach.bind(rig.mounter);
    rig.mounter.attach = async (request) => {
      if (request.containerPath === "logs") throw BROKEN;
      const mounted = await attach(request);
      rig.mounter.sitIn(uuid);
      rig.holders.sitIn(uuid);
      return mounted;
    };
    expect(await outcomeOf(rig.attach(BOTH))).toBe("internal");
    expect(rig.mounter.places()).toEqual([]);
    expect(await rig.attachments()).toEqual(["db at data: lingering"]);
  });

  test("makes exactly these volumes present: new mounts first, then unmounts", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    await rig.attach({ volumes: [wanted("logs", { at: "logs" })] });
    expect(rig.mounter.places()).toEqual(["/sandbox/logs"]);
    expect(rig.mounter.mountpoints()).toEqual(["/sandbox/logs"]);
    expect(await rig.attachments()).toEqual(["logs at logs: attached"]);
  });

  test("a volume moves to another path of its own container", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    await rig.attach({ volumes: [wanted("db", { at: "moved" })] });
    expect(rig.mounter.places()).toEqual(["/sandbox/moved"]);
    expect(await rig.attachments()).toEqual(["db at moved: attached"]);
  });

  test("repeated, it changes nothing and asks the kernel nothing", async () => {
    const rig = await furnished();
    const first = await rig.attach(BOTH);
    const calls = { ...rig.mounter.calls };
    const commits = rig.store.commits.length;
    expect(await rig.attach(BOTH)).toEqual(first);
    expect(rig.mounter.calls).toEqual(calls);
    expect(rig.store.commits).toHaveLength(commits);
  });

  test("twice at once mounts once", async () => {
    const rig = await furnished();
    await Promise.all([rig.attach(BOTH), rig.attach(BOTH)]);
    expect(rig.mounter.calls.attach).toBe(2);
    expect(rig.mounter.places()).toEqual(["/sandbox/data", "/sandbox/logs"]);
  });

  test("without volumes it takes all away, and the container is not remembered", async () => {
    const rig = await furnished();
    await rig.attach(BOTH);
    const view = await rig.attach({ volumes: [] });
    expect(view.attachments).toEqual([]);
    expect(rig.mounter.places()).toEqual([]);
    expect(rig.storedContainer()).toBeUndefined();
  });

  test("gives the volume to its owner at the first attach only", async () => {
    const rig = await furnished();
    const seen = spyOnAttach(rig);
    await rig.attach({ volumes: [wanted("db")], owner: { uid: 1000, gid: 1000 } });
    await rig.detach();
    await rig.attach({ volumes: [wanted("db")], owner: { uid: 2000, gid: 2000 } });
    expect(seen.map(({ owner }) => owner)).toEqual([{ uid: 1000, gid: 1000 }, undefined]);
  });

  test("gives the volume to the sandbox's owner where none is named, and not again after a restart", async () => {
    const rig = await furnished();
    const seen = spyOnAttach(rig);
    await rig.attach({ volumes: [wanted("db")] });
    await rig.detach();
    await rig.restart();
    await rig.attach({ volumes: [wanted("db")] });
    expect(seen.map(({ owner }) => owner)).toEqual(["sandbox", undefined]);
  });

  test("passes the mode on, and a backend that cannot enforce it refuses", async () => {
    const rig = await furnished({ mounter: { backend: "symlink" } });
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db", { mode: "RO" })] }))).toBe("unsupported");
    expect(await rig.attachments()).toEqual([]);
  });

  test("an attached volume can grow", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    const { size, source, reservations } = await rig.live("db");
    await rig.perform({ type: "RESERVE", resources: [{ size, source, reservations: ADS }] });
    const addition = { size, source, reservations };
    const volume = (await rig.engine.resources({ kind: "peer", uid: 0 })).resources.find(
      (resource) => resource.volume?.id === "db",
    );
    if (volume === undefined) throw new Error("db is not listed");
    await rig.perform({ type: "GROW_VOLUME", volume, addition });
    expect(await rig.view("db")).toMatchObject({ state: "attached", volume: { size: 200_000 } });
  });
});

describe("attach whose commit fails", () => {
  test("before the kernel was asked: nothing is mounted", async () => {
    const rig = await furnished();
    rig.store.failCommit(1);
    expect(await outcomeOf(rig.attach(BOTH))).toBe("unavailable");
    expect(rig.mounter.calls.attach).toBe(0);
    expect(await rig.attachments()).toEqual([]);
  });

  test("after the mounts were made: repeated, it succeeds with exactly one mount each", async () => {
    const rig = await furnished();
    rig.store.failCommit(2);
    expect(await outcomeOf(rig.attach(BOTH))).toBe("unavailable");
    expect(await outcomeOf(rig.attach(BOTH))).toBe("done");
    expect(rig.mounter.places()).toEqual(["/sandbox/data", "/sandbox/logs"]);
    expect(await rig.attachments()).toEqual(["db at data: attached", "logs at logs: attached"]);
  });

  test("after the mounts were made: the reconcile takes them back", async () => {
    const rig = await furnished();
    rig.store.failCommit(2);
    await outcomeOf(rig.attach(BOTH));
    await rig.engine.reconcile();
    expect(rig.mounter.places()).toEqual([]);
    expect(await rig.states()).toEqual(["common detached", "db detached", "logs detached"]);
  });

  test("after the mounts were made: the container can be detached", async () => {
    const rig = await furnished();
    rig.store.failCommit(2);
    await outcomeOf(rig.attach(BOTH));
    await rig.detach();
    expect(rig.mounter.places()).toEqual([]);
    expect(await rig.attachments()).toEqual([]);
  });
});

describe("attach and time", () => {
  test("shows the volume attaching, and busy with it, until the mount is there", async () => {
    const gate = gateAt("attach");
    const rig = await furnished({ mounter: { pause: gate.pause } });
    gate.shut();
    const attaching = rig.attach({ volumes: [wanted("db")] });
    await settle();
    expect(await rig.states()).toContain("db attaching");
    expect(await outcomeOf(rig.destroy("db"))).toBe("in_use");
    gate.open();
    await attaching;
    expect(await rig.states()).toContain("db attached");
  });

  test("containers do not wait for one another", async () => {
    const gate = gateAt("attach");
    const rig = await furnished({ mounter: { pause: gate.pause } });
    gate.shut();
    const slow = rig.attach({ volumes: [wanted("db")] });
    await settle();
    await rig.attach({ container: API, sandbox: "/other", volumes: [] });
    gate.open();
    await slow;
  });

  test("detach waits for the attach of its container", async () => {
    const gate = gateAt("attach");
    const rig = await furnished({ mounter: { pause: gate.pause } });
    gate.shut();
    const attaching = rig.attach({ volumes: [wanted("db")] });
    await settle();
    const detaching = rig.detach();
    gate.open();
    await Promise.all([attaching, detaching]);
    expect(rig.mounter.shown(target())).toBeUndefined();
    expect(await rig.attachments()).toEqual([]);
  });
});

describe("attach over a busy unmount that cannot be undone", () => {
  test("forgets what cannot be mounted again, and keeps the rest", async () => {
    const rig = await furnished();
    await rig.attach(BOTH);
    rig.mounter.sitIn((await rig.live("logs")).uuid);
    rig.mounter.failNext("attach", new HoldfastError("damaged", "Gone"));
    expect(await outcomeOf(rig.attach({ volumes: [] }))).toBe("busy");
    expect(await rig.attachments()).toEqual(["logs at logs: attached"]);
    expect(rig.mounter.places()).toEqual(["/sandbox/logs"]);
  });

  test("a new mount that cannot be taken back stays an intent, which the reconcile takes back", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    rig.mounter.failNext("detach", BUSY);
    rig.mounter.failNext("detach", BROKEN);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("logs", { at: "logs" })] }))).toBe("busy");
    expect(rig.mounter.places()).toEqual(["/sandbox/data", "/sandbox/logs"]);
    expect(await rig.attachments()).toEqual(["logs at logs: attaching", "db at data: attached"]);
    await rig.engine.reconcile();
    expect(rig.mounter.places()).toEqual(["/sandbox/data"]);
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
  });
});
