import { beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/domain/json.ts";
import type { ContainerProcess } from "../../src/domain/records.ts";
import type { AppId, ContainerId, InstanceId } from "../../src/domain/units.ts";
import type { AppView } from "../../src/engine/engine.ts";
import { persistent, SAMSON, samson } from "../domain/app-samples.ts";
import { disk } from "../domain/world.ts";
import { startWithMounts } from "./app-disks.ts";
import { BROKEN, OPS, outcomeOf, PEER, type Rig, refusalOf, settle, startRig, wanted } from "./rig.ts";

const ID = SAMSON as AppId;
const HOUR_MS = 3_600_000;

let rig: Rig;
beforeEach(async () => {
  rig = await startRig();
});

const create = (rest: JsonObject = {}, actor = PEER) => rig.engine.createApp(actor, samson(rest));
const change = (json: JsonObject) => rig.engine.changeApp(PEER, ID, json, { create: false });
const scale = (instances: number) => change({ instances });
const app = (): Promise<AppView> => rig.engine.app(PEER, ID);
const remove = (force = false, actor = PEER) => rig.engine.deleteApp(actor, ID, { force });
const wipe = (instances: readonly string[], force = false) =>
  rig.engine.wipeApp(PEER, ID, { force, instances: instances as InstanceId[] });

function attach(container: string, pid?: number) {
  const place = pid === undefined ? { sandbox: `/sandboxes/${container}` } : { sandbox: "/", process: { pid } };
  return rig.engine.attach(PEER, { container: container as ContainerId, ...place, app: ID, volumes: [] });
}

const detach = (container: string, force = false) => rig.detach(container as ContainerId, force);

/** A container's process ends, and its mount namespace with it. */
async function kill(process: ContainerProcess): Promise<void> {
  rig.mounter.endNamespace(process);
  rig.processes.end(process.pid);
  await settle();
}

/** `running web` for each instance. */
async function states(): Promise<readonly string[]> {
  return (await app()).instances.map(({ state, containers }) => [state, ...containers].join(" "));
}

/** The incarnations that a container has. */
async function has(container: string): Promise<readonly string[]> {
  const views = await rig.engine.containers(PEER);
  return views.find((view) => view.container.id === container)?.container.attachments.map(({ uuid }) => uuid) ?? [];
}

const ids = async () => (await app()).instances.map(({ instance }) => instance.id);
const phases = () => [...rig.store.contents().records.volumes.values()].map(({ phase }) => phase);
const reserved = () => rig.store.contents().records.reservations.size;

describe("creating an app", () => {
  it("of more instances than there is disk for makes nothing, and asks no disk for directories", async () => {
    rig.disk.failNext("take", BROKEN);
    const refusal = await refusalOf(create({ instances: 10_000 }));
    expect(refusal).toMatchObject({ code: "insufficient", details: { wanted: 10_000, possible: 10 } });
    expect([phases(), reserved(), await rig.engine.apps(PEER)]).toEqual([[], 0, []]);
  });

  it("whose commit fails makes nothing", async () => {
    rig.store.failCommit(1);
    expect(await outcomeOf(create({ instances: 2 }))).not.toBe("done");
    expect([phases(), reserved(), await rig.engine.apps(PEER)]).toEqual([[], 0, []]);
    expect(await outcomeOf(create({ instances: 2 }))).toBe("done");
  });

  it("a second time is refused", async () => {
    await create();
    expect(await outcomeOf(create())).toBe("duplicate_app");
    expect(phases()).toEqual(["live"]);
  });

  it("is refused to whom the ACLs do not allow it, also without instances", async () => {
    rig.setAcls({ permissive: false, create_volumes: [], reserve_resources: [] });
    expect(await outcomeOf(create({}, OPS))).toBe("forbidden");
    expect(await outcomeOf(create({ instances: 0 }, OPS))).toBe("forbidden");
    expect(await rig.engine.apps(PEER)).toEqual([]);
  });

  it("of an id that one in a role has which the caller may not view is refused as if the ACLs said no, and so is putting it", async () => {
    await create();
    const all = [{ principals: { type: "ANY" }, roles: { type: "ANY" } }];
    const [{ role }] = [(await app()).app];
    rig.setAcls({ create_volumes: all, view_roles: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }] });
    const created = await refusalOf(create({ role: "mine" }, OPS));
    const put = await refusalOf(rig.engine.changeApp(OPS, ID, samson({ role: "mine" }), { create: true }));
    rig.setAcls({ create_volumes: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }] });
    const denied = await refusalOf(create({ role: "mine" }, OPS));
    expect([created.code, created.message]).toEqual(["forbidden", denied.message]);
    expect([put.code, put.message]).toEqual(["forbidden", denied.message]);
    expect(created.message).not.toContain(role);
  });

  it("makes reservation and volumes of every instance, with Marathon's ids and the caller as principal", async () => {
    const volumes = [persistent("data", { size: 100 }), persistent("logs", { size: 50 })];
    const view = await create({ instances: 2, container: { volumes } }, OPS);
    expect(view.instances.map(({ state }) => state)).toEqual(["waiting", "waiting"]);
    const records = [...rig.store.contents().records.volumes.values()];
    expect(records).toHaveLength(4);
    const [first] = view.instances;
    const uuid = first?.instance.volumes[0]?.uuid;
    expect(records.find((record) => record.uuid === uuid)).toMatchObject({
      id: expect.stringMatching(/^sesame_samson#data#[0-9a-f-]{36}$/),
      role: "ads",
      principal: "ops",
      containerPath: "data",
      shared: false,
      app: { id: SAMSON, instance: first?.instance.id },
      reservations: [
        {
          type: "DYNAMIC",
          role: "ads",
          principal: "ops",
          labels: [{ key: "marathon_task_id", value: first?.instance.id }],
        },
      ],
    });
    expect(first?.instance.id).toMatch(/^sesame_samson\.[0-9a-f-]{36}$/);
    expect([...rig.store.contents().records.reservations.values()].map(({ size }) => size)).toEqual([150_000, 150_000]);
  });

  it("takes disks by type and constraints, and a MOUNT disk whole", async () => {
    rig = await startWithMounts(["/mnt/hdd-1", 500], ["/mnt/ssd-1", 400], ["/mnt/ssd-2", 300]);
    const spec = { type: "mount", size: 200, maxSize: 450, constraints: [["path", "LIKE", "/mnt/ssd.*"]] };
    await create({ instances: 2, container: { volumes: [persistent("data", spec)] } });
    const places = [...rig.store.contents().records.volumes.values()].map(({ source, size }) => [source, size]);
    expect(places).toEqual([
      [{ type: "MOUNT", root: "/mnt/ssd-2" }, 300_000],
      [{ type: "MOUNT", root: "/mnt/ssd-1" }, 400_000],
    ]);
    expect(await outcomeOf(scale(3))).toBe("insufficient");
  });
});

describe("changing an app", () => {
  beforeEach(() => create({ instances: 2 }));

  it("to other volumes is refused and changes nothing", async () => {
    const before = await app();
    const refusal = await refusalOf(
      change({ container: { volumes: [persistent("data", { size: 200 })] }, instances: 3 }),
    );
    expect(refusal).toMatchObject({ code: "invalid", details: { errors: ["Persistent volumes can not be changed!"] } });
    expect(await app()).toEqual(before);
  });

  it("that is not there is refused", async () => {
    expect(await outcomeOf(rig.engine.changeApp(PEER, "/nix" as AppId, {}, { create: false }))).toBe("no_such_app");
  });

  it("to more instances than there is disk for changes nothing", async () => {
    const before = await app();
    expect(await outcomeOf(scale(11))).toBe("insufficient");
    expect(await app()).toEqual(before);
  });

  it("gives it a later version, also when the clock went back", async () => {
    const { version } = (await app()).app;
    rig.clock.jump(-HOUR_MS);
    expect((await change({ cmd: "true" })).app.version).toBeGreaterThan(version);
  });

  it("to fewer instances suspends unused ones, the highest first, and to more takes them up again", async () => {
    await attach("one");
    const [first, second] = await ids();
    expect((await scale(1)).instances.map(({ state }) => state)).toEqual(["running", "suspended"]);
    expect(phases()).toEqual(["live", "live"]);
    await scale(3);
    const after = await ids();
    expect(after.slice(0, 2)).toEqual([first, second]);
    expect(await states()).toEqual(["running one", "waiting", "waiting"]);
  });

  it("to fewer instances than have containers lets those go on, and suspends what they leave", async () => {
    await attach("one");
    await attach("two");
    await scale(1);
    expect(await states()).toEqual(["running one", "running two"]);
    await detach("one");
    expect(await states()).toEqual(["suspended", "running two"]);
    expect(await outcomeOf(attach("three"))).toBe("in_use");
  });

  it("is made by one of two that ask at once, and changed by the other", async () => {
    const put = (instances: number) =>
      rig.engine.changeApp(PEER, "/other" as AppId, { ...samson({ instances }), id: "/other" }, { create: true });
    const outcomes = await Promise.all([put(1), put(2)].map(outcomeOf));
    expect(outcomes).toEqual(["done", "done"]);
    expect((await rig.engine.app(PEER, "/other" as AppId)).instances).toHaveLength(2);
  });

  it("that is made by it when there is none", async () => {
    const view = await rig.engine.changeApp(PEER, "/other" as AppId, { ...samson(), id: "/other" }, { create: true });
    expect(view.app.id).toBe("/other");
  });
});

describe("attaching by an app's name", () => {
  beforeEach(() => create({ instances: 2 }));

  it("of no app is refused", async () => {
    await remove();
    expect(await outcomeOf(attach("one"))).toBe("no_such_app");
  });

  it("is refused when all instances have containers, naming them", async () => {
    await attach("one");
    await attach("two");
    const refusal = await refusalOf(attach("three"));
    expect(refusal).toMatchObject({ code: "in_use", details: { containers: ["one", "two"] } });
    expect(await has("three")).toEqual([]);
  });

  it("that fails leaves the instance free for the next container", async () => {
    rig.mounter.failNext("attach", BROKEN);
    expect(await outcomeOf(attach("one"))).toBe("internal");
    expect(await states()).toEqual(["waiting", "waiting"]);
    await attach("two");
    expect(await states()).toEqual(["running two", "waiting"]);
  });

  it("gives each of many containers at once another instance", async () => {
    await scale(5);
    await Promise.all(["a", "b", "c", "d", "e"].map((name) => attach(name)));
    const given = await Promise.all(["a", "b", "c", "d", "e"].map(has));
    expect(new Set(given.flat()).size).toBe(5);
  });

  it("repeated gives the same and mounts nothing anew", async () => {
    await attach("one");
    const before = await has("one");
    const { attach: mounts } = rig.mounter.calls;
    await attach("one");
    expect([await has("one"), rig.mounter.calls.attach]).toEqual([before, mounts]);
  });

  it("gives what was used before, not what was never used", async () => {
    await attach("one");
    await attach("two");
    const [, used] = [await has("one"), await has("two")];
    await detach("two");
    await scale(3);
    await attach("three");
    expect(await has("three")).toEqual(used);
  });

  it("keeps the other volumes that are named beside it", async () => {
    await rig.create("extra");
    const volumes = [
      { role: "ads" as never, id: "extra" as never, containerPath: "extra" as never, mode: "RW" as const },
    ];
    const request = { container: "one" as ContainerId, sandbox: "/sandboxes/one", app: ID, volumes };
    await rig.engine.attach(PEER, request);
    expect(await has("one")).toHaveLength(2);
    await attach("one");
    expect(await has("one")).toHaveLength(1);
    expect(await states()).toEqual(["running one", "waiting"]);
  });

  it("gives the data back that a container's last life had, also over a restart of the daemon", async () => {
    await attach("one");
    const before = await has("one");
    await detach("one");
    await rig.restart();
    await attach("another");
    expect(await has("another")).toEqual(before);
  });
});

describe("an instance whose container's DELETE was interrupted", () => {
  it("is not lost: it was taken away", async () => {
    await create({ instances: 1 });
    await attach("one");
    rig.store.failCommit(2);
    expect(await outcomeOf(detach("one"))).not.toBe("done");
    await rig.restart();
    expect(await has("one")).toEqual([]);
    expect(await states()).toEqual(["waiting"]);
  });
});

describe("an instance is lost", () => {
  beforeEach(() => create({ instances: 2 }));

  it("when its container's process ends, and the next container gets its data", async () => {
    const init = rig.processes.start(101);
    await attach("one", 101);
    const before = await has("one");
    await attach("two");
    await kill(init);
    expect(await states()).toEqual(["lost", "running two"]);
    await attach("three");
    expect(await has("three")).toEqual(before);
    expect(await states()).toEqual(["running three", "running two"]);
  });

  it("when the machine boots anew, each for the container that comes back", async () => {
    await attach("one");
    await attach("two");
    const before = [await has("one"), await has("two")];
    await rig.reboot();
    expect(await states()).toEqual(["lost", "lost"]);
    await attach("two");
    await attach("one");
    expect([await has("one"), await has("two")]).toEqual(before);
  });

  it("when the power fails", async () => {
    await attach("one");
    const before = await has("one");
    await rig.powerCut();
    expect((await states())[0]).toBe("lost");
    await attach("next");
    expect(await has("next")).toEqual(before);
  });

  it("when its container ended while the daemon was down", async () => {
    const init = rig.processes.start(101);
    await attach("one", 101);
    rig.mounter.endNamespace(init);
    rig.processes.forgetWatches();
    rig.processes.end(101);
    await rig.restart();
    expect((await states())[0]).toBe("lost");
  });

  it("not when it is detached, by force either", async () => {
    await attach("one");
    await detach("one", true);
    expect(await states()).toEqual(["waiting", "waiting"]);
  });

  it("no more when its container is deleted after all", async () => {
    const init = rig.processes.start(101);
    await attach("one", 101);
    await kill(init);
    await detach("one");
    expect(await states()).toEqual(["waiting", "waiting"]);
  });
});

describe("an instance that was lost for long", () => {
  const RELAUNCH = { taskLostBehavior: "RELAUNCH_AFTER_TIMEOUT", relaunchEscalationTimeoutSeconds: 60 };

  async function lose(residency: JsonObject): Promise<readonly string[]> {
    await create({ residency });
    const init = rig.processes.start(101);
    await attach("one", 101);
    const before = await has("one");
    await kill(init);
    return before;
  }

  it("keeps its data for the next container for ever with WAIT_FOREVER", async () => {
    const before = await lose({ taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 60 });
    rig.clock.advance(1000 * HOUR_MS);
    await settle();
    await attach("two");
    expect(await has("two")).toEqual(before);
  });

  it("keeps its data until the timeout with RELAUNCH_AFTER_TIMEOUT, whatever the wall clock does", async () => {
    const before = await lose(RELAUNCH);
    rig.clock.advance(59_000);
    rig.clock.jump(HOUR_MS);
    await attach("two");
    expect(await has("two")).toEqual(before);
  });

  it("is kept, detached, while a fresh one takes its place after the timeout", async () => {
    const before = await lose(RELAUNCH);
    rig.clock.advance(61_000);
    await attach("two");
    expect(await has("two")).not.toEqual(before);
    expect(await states()).toEqual(["suspended", "running two"]);
    expect(phases()).toEqual(["live", "live"]);
    expect(await outcomeOf(attach("three"))).toBe("in_use");
    await scale(2);
    await attach("three");
    expect(await has("three")).toEqual(before);
  });

  it("is given to the container that comes back after the timeout", async () => {
    const before = await lose(RELAUNCH);
    rig.clock.advance(61_000);
    await attach("one");
    expect(await has("one")).toEqual(before);
  });

  it("is not put aside when a container has got it while a fresh one was made", async () => {
    await lose(RELAUNCH);
    rig.clock.advance(61_000);
    const [member] = (await app()).instances;
    const take = rig.disk.take.bind(rig.disk);
    rig.disk.take = async (count) => {
      rig.disk.take = take;
      await rig.attach({ volumes: [wanted(member?.instance.volumes[0]?.id ?? "")] });
      return take(count);
    };
    expect(await outcomeOf(attach("two"))).toBe("in_use");
    expect(await states()).toEqual(["running web"]);
    expect(phases()).toEqual(["live"]);
  });

  it("is used on where there is no disk for another", async () => {
    const before = await lose(RELAUNCH);
    await rig.create("large", { sizeMb: 850 });
    rig.clock.advance(61_000);
    await attach("two");
    expect(await has("two")).toEqual(before);
  });
});

describe("wiping an instance", () => {
  beforeEach(() => create({ instances: 2 }));

  it("that a container has is refused, and changes nothing", async () => {
    await attach("one");
    const before = await app();
    expect(await outcomeOf(wipe(await ids()))).toBe("in_use");
    expect([await app(), phases()]).toEqual([before, ["live", "live"]]);
  });

  it("that there is not is refused", async () => {
    expect(await outcomeOf(wipe(["sesame_samson.nix"]))).toBe("no_such_app");
  });

  it("retains its volumes and makes a fresh one where it was, within the same disk", async () => {
    await rig.create("rest", { sizeMb: 800 });
    const [first = "", second] = await ids();
    await wipe([first]);
    const after = await ids();
    expect(after).toHaveLength(2);
    expect(after).toContain(second);
    expect(after).not.toContain(first);
    expect(phases().sort()).toEqual(["live", "live", "live", "retained"]);
  });

  it("by force takes it away from its container; only the socket may", async () => {
    await attach("one");
    const [first = ""] = await ids();
    const forced = rig.engine.wipeApp(OPS, ID, { force: true, instances: [first as InstanceId] });
    expect(await outcomeOf(forced)).toBe("forbidden");
    await wipe([first], true);
    expect(await states()).toEqual(["waiting", "waiting"]);
    expect(await has("one")).toEqual([]);
  });

  it("that is suspended makes no other one", async () => {
    await scale(1);
    const [, second = ""] = await ids();
    await wipe([second]);
    expect(await states()).toEqual(["waiting"]);
    expect(reserved()).toBe(1);
  });
});

describe("deleting an app", () => {
  beforeEach(() => create({ instances: 2 }));

  it("is refused while a container has volumes of it", async () => {
    await attach("one");
    expect(await outcomeOf(remove())).toBe("in_use");
    expect(await states()).toEqual(["running one", "waiting"]);
  });

  it("is refused while one of its volumes is protected, and nothing is half gone", async () => {
    const volume = (await app()).instances[1]?.instance.volumes[0];
    await rig.engine.mark(PEER, { uuid: volume?.uuid as never, mark: "protect" });
    expect(await outcomeOf(remove())).toBe("protected");
    expect([phases(), reserved()]).toEqual([["live", "live"], 2]);
  });

  it("is refused to whom the ACLs do not let destroy its volumes", async () => {
    rig.setAcls({ destroy_volumes: [{ principals: { type: "ANY" }, creator_principals: { type: "NONE" } }] });
    expect(await outcomeOf(remove(false, OPS))).toBe("forbidden");
  });

  it("retains its volumes and gives back what was reserved for them", async () => {
    await remove();
    expect([phases(), reserved()]).toEqual([["retained", "retained"], 0]);
    expect(await outcomeOf(app())).toBe("no_such_app");
  });

  it("leaves volumes that can be restored, and are nobody's then", async () => {
    const volume = (await app()).instances[0]?.instance.volumes[0];
    await remove();
    const restored = await rig.engine.restore(PEER, { uuid: volume?.uuid as never });
    expect(restored.volume).not.toHaveProperty("app");
    await create();
    expect(await ids()).not.toContain(restored.volume.app);
  });

  it("by force is refused while one of its volumes is protected, and its containers keep theirs", async () => {
    await attach("one");
    const before = await has("one");
    await rig.engine.mark(PEER, { uuid: before[0] as never, mark: "protect" });
    expect(await outcomeOf(remove(true))).toBe("protected");
    expect(await outcomeOf(wipe(await ids(), true))).toBe("protected");
    expect(await has("one")).toEqual(before);
  });

  it("by force ends what its containers have", async () => {
    await attach("one");
    await remove(true);
    expect(phases()).toEqual(["retained", "retained"]);
  });

  it("that nobody may see is refused as if it were not there", async () => {
    rig.setAcls({ view_roles: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }] });
    expect(await rig.engine.apps(OPS)).toEqual([]);
    expect(await outcomeOf(rig.engine.app(OPS, ID))).toBe("no_such_app");
    expect(await outcomeOf(remove(false, OPS))).toBe("no_such_app");
  });
});

describe("a volume of an app", () => {
  it("is not destroyed by its own name as long as its instance has it", async () => {
    await create();
    const volume = [...rig.store.contents().records.volumes.values()][0];
    if (volume === undefined) throw new Error("There is no volume");
    const resource = { ...disk(100, volume.reservations), volume: { ...volume, mode: "RW" as const } };
    const refusal = await refusalOf(rig.perform({ type: "DESTROY", volumes: [resource] }));
    expect(refusal.code).toBe("in_use");
    expect(refusal.message).toContain(`app ${SAMSON} has it`);
  });
});
