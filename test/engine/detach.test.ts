import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import type { ContainerPath, Role, VolumeId } from "../../src/domain/units.ts";
import {
  API,
  BROKEN,
  BUSY,
  OPS,
  outcomeOf,
  PEER,
  type Rig,
  type RigOptions,
  refusalOf,
  startRig,
  target,
  WEB,
  wanted,
} from "./rig.ts";

/** Container `web` has `db` at data and `common`, which is shared, at common. */
async function furnished(options: RigOptions = {}): Promise<Rig> {
  const rig = await startRig(options);
  await rig.create("db");
  await rig.create("common", { shared: true });
  await rig.attach(BOTH);
  return rig;
}

const BOTH = { volumes: [wanted("db"), wanted("common", { at: "common" })] };

/** A process that sits in the volume, as the kernel and the holders see it. */
async function sit(rig: Rig, id: string, pid = 4712): Promise<void> {
  const { uuid } = await rig.live(id);
  rig.mounter.sitIn(uuid);
  rig.holders.sitIn(uuid, pid);
}

async function leave(rig: Rig, id: string): Promise<void> {
  const { uuid } = await rig.live(id);
  rig.mounter.setFree(uuid);
  rig.holders.letGo(uuid);
}

describe("detach", () => {
  test("an unknown container is fine, and so is repeating it", async () => {
    const rig = await furnished();
    await rig.detach();
    const calls = { ...rig.mounter.calls };
    await rig.detach();
    await rig.detach(API);
    expect(rig.mounter.calls).toEqual(calls);
  });

  test("unmounts everything and removes the mountpoints it made", async () => {
    const rig = await furnished();
    await rig.detach();
    expect(rig.mounter.places()).toEqual([]);
    expect(rig.mounter.mountpoints()).toEqual([]);
    expect(await rig.states()).toEqual(["common detached", "db detached"]);
  });

  test("that broke behind the unmount is done all the same", async () => {
    const rig = await furnished();
    rig.mounter.failNext("detach", BROKEN, "after");
    await rig.detach();
    expect(rig.mounter.places()).toEqual([]);
    expect(await rig.states()).toEqual(["common detached", "db detached"]);
  });

  test("is busy with the pids while a process sits in a volume, which stays attached", async () => {
    const rig = await furnished();
    await sit(rig, "db", 4712);
    const refusal = await refusalOf(rig.detach());
    expect(refusal).toMatchObject({ code: "busy", details: { pids: [4712] } });
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
  });

  test("is busy, not unavailable, when the processes cannot be looked for", async () => {
    const rig = await furnished();
    await sit(rig, "db");
    rig.holders.failure = new HoldfastError("unavailable", "Cannot read");
    expect(await outcomeOf(rig.detach())).toBe("busy");
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
  });

  test("is busy while a process sits in a copy that another mount namespace has, and changes nothing", async () => {
    const rig = await furnished();
    const { uuid } = await rig.live("db");
    rig.holders.holdElsewhere(uuid);
    rig.holders.sitIn(uuid, 99);
    const refusal = await refusalOf(rig.detach());
    expect(refusal).toMatchObject({ code: "busy", details: { pids: [99] } });
    expect(rig.mounter.calls.detach).toBe(0);
    expect(await rig.attachments()).toEqual(["db at data: attached", "common at common: attached"]);
  });

  test("of the only volume is busy while a process sits in a copy of it", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    const { uuid } = await rig.live("db");
    rig.holders.holdElsewhere(uuid);
    rig.holders.sitIn(uuid, 99);
    expect(await refusalOf(rig.detach())).toMatchObject({ code: "busy", details: { pids: [99] } });
    expect(rig.mounter.shown(target())).toBe(uuid);
    expect(await rig.attachments()).toEqual(["db at data: attached"]);
  });

  test("a copy that another mount namespace keeps makes the volume linger until it is gone", async () => {
    const rig = await furnished();
    const { uuid } = await rig.live("db");
    rig.holders.holdElsewhere(uuid);
    await rig.detach();
    expect(await rig.attachments()).toEqual(["db at data: lingering"]);
    rig.holders.letGo(uuid);
    await rig.engine.reconcile();
    expect(await rig.attachments()).toEqual([]);
  });

  test("of the only volume looks for copies only where the mounter does not rule them out", async () => {
    const rig = await furnished();
    await rig.attach({ volumes: [wanted("db")] });
    const { looks } = rig.holders;
    await rig.detach();
    expect([await rig.attachments(), rig.holders.looks]).toEqual([[], looks]);
  });

  test("works while the mount namespaces cannot be read", async () => {
    const rig = await furnished();
    rig.holders.failure = new HoldfastError("unavailable", "Cannot read");
    await rig.detach();
    expect(await rig.attachments()).toEqual([]);
  });

  test("a volume that cannot be unmounted does not keep the others", async () => {
    const rig = await furnished();
    rig.mounter.failNext("detach", BROKEN);
    expect(await outcomeOf(rig.detach())).toBe("internal");
    expect(await rig.attachments()).toEqual(["common at common: attached"]);
  });

  test("somebody else's mount in its place is a conflict and left alone", async () => {
    const rig = await furnished();
    rig.mounter.lose(target());
    rig.mounter.occupy(target());
    expect(await outcomeOf(rig.detach())).toBe("conflict");
    expect(rig.mounter.shown(target())).toBe("foreign");
  });

  test("releases nothing when the commit of its intent fails", async () => {
    const rig = await furnished();
    rig.store.failCommit(1);
    expect(await outcomeOf(rig.detach())).toBe("unavailable");
    expect(rig.mounter.calls.detach).toBe(0);
    expect(await rig.attachments()).toEqual(["db at data: attached", "common at common: attached"]);
  });

  test("can be repeated when its last commit failed", async () => {
    const rig = await furnished();
    rig.store.failCommit(2);
    expect(await outcomeOf(rig.detach())).toBe("unavailable");
    await rig.detach();
    expect(await rig.attachments()).toEqual([]);
    expect(rig.mounter.places()).toEqual([]);
  });

  test("a sandbox that is gone is fine", async () => {
    const rig = await furnished();
    rig.mounter.loseSandbox("/sandbox");
    await rig.detach();
    expect(await rig.attachments()).toEqual([]);
  });
});

describe("detach by force", () => {
  test("takes the mount away; the volume lingers and is in use", async () => {
    const rig = await furnished();
    await sit(rig, "db");
    await rig.detach(WEB, true);
    expect(rig.mounter.places()).toEqual([]);
    expect(await rig.states()).toEqual(["common detached", "db lingering"]);
    expect(await outcomeOf(rig.destroy("db"))).toBe("in_use");
    const other = { container: API, sandbox: "/other", volumes: [wanted("db")] };
    expect((await refusalOf(rig.attach(other))).message).toContain("web");
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("in_use");
  });

  test("what lingers is released by the reconcile only when nobody holds it", async () => {
    const rig = await furnished();
    await sit(rig, "db");
    await rig.detach(WEB, true);
    await rig.engine.reconcile();
    expect(await rig.states()).toContain("db lingering");
    rig.holders.failure = new HoldfastError("unavailable", "Cannot read");
    await rig.engine.reconcile();
    expect(await rig.states()).toContain("db lingering");
    rig.holders.failure = undefined;
    await leave(rig, "db");
    await rig.engine.reconcile();
    expect(await rig.states()).toContain("db detached");
    await rig.attach({ volumes: [wanted("db")] });
  });

  test("what lingers does so after a restart, and no longer after a reboot", async () => {
    const rig = await furnished();
    await sit(rig, "db");
    await rig.detach(WEB, true);
    await rig.restart();
    expect(await rig.states()).toContain("db lingering");
    await rig.reboot();
    expect(await rig.states()).toContain("db detached");
  });

  test("what lingers does so though the daemon was killed before it could note it", async () => {
    const rig = await furnished();
    await sit(rig, "db");
    rig.store.failCommit(2);
    expect(await outcomeOf(rig.detach(WEB, true))).toBe("unavailable");
    await rig.restart();
    expect(await rig.states()).toContain("db lingering");
  });

  test("what lingers does so though it is detached again before the reconcile", async () => {
    const rig = await furnished();
    await sit(rig, "db");
    rig.store.failCommit(2);
    await outcomeOf(rig.detach(WEB, true));
    await rig.detach(WEB, true);
    expect(await rig.states()).toContain("db lingering");
  });

  test("repeated, it is fine and what lingers does so", async () => {
    const rig = await furnished();
    await sit(rig, "db");
    await rig.detach(WEB, true);
    await rig.detach(WEB, true);
    expect(await rig.states()).toContain("db lingering");
  });

  test("a lazy unmount that fails does not keep the others, and leaves no intent", async () => {
    const rig = await furnished();
    rig.mounter.failNext("detach", BUSY);
    rig.mounter.failNext("detach", BROKEN);
    expect(await outcomeOf(rig.detach(WEB, true))).toBe("internal");
    expect(await rig.attachments()).toEqual(["common at common: attached"]);
  });

  test("a shared volume that lingers can be attached at the same path again, repeatedly", async () => {
    const rig = await furnished();
    await sit(rig, "common");
    await rig.detach(WEB, true);
    await rig.attach(BOTH);
    await rig.attach(BOTH);
    expect((await rig.attachments()).toSorted()).toEqual([
      "common at common: attached",
      "common at common: lingering",
      "db at data: attached",
    ]);
  });

  test("a shared volume lingers on when its newer attachment is detached", async () => {
    const rig = await furnished();
    await sit(rig, "common");
    await rig.detach(WEB, true);
    rig.mounter.setFree((await rig.live("common")).uuid);
    await rig.attach(BOTH);
    await rig.detach();
    expect(await rig.attachments()).toEqual(["common at common: lingering"]);
  });

  test("a mount that was damaged is forgotten with its damage", async () => {
    const rig = await furnished();
    rig.mounter.stack(target());
    await rig.engine.reconcile();
    expect(await rig.states()).toContain("db damaged");
    await sit(rig, "db");
    await rig.detach(WEB, true);
    await leave(rig, "db");
    await rig.engine.reconcile();
    expect(await rig.states()).toContain("db detached");
  });
});

describe("unmountStray", () => {
  const stray = (id: string, containerPath = "data", sandbox = "/sandbox") => ({
    role: "ads" as Role,
    id: id as VolumeId,
    sandbox,
    containerPath: containerPath as ContainerPath,
  });

  test("leaves alone what a container has there on record", async () => {
    const rig = await furnished();
    expect(await outcomeOf(rig.engine.unmountStray(PEER, stray("db")))).toBe("in_use");
    expect(await rig.attachments()).toContain("db at data: attached");
  });

  test("is fine where nothing is, and refused for a volume that is not there", async () => {
    const rig = await furnished();
    expect(await outcomeOf(rig.engine.unmountStray(PEER, stray("db", "elsewhere")))).toBe("done");
    expect(await outcomeOf(rig.engine.unmountStray(PEER, stray("nothing")))).toBe("no_such_volume");
    expect(await outcomeOf(rig.engine.unmountStray(OPS, stray("db", "elsewhere")))).toBe("forbidden");
  });
});
