import { beforeEach, describe, expect, it } from "vitest";
import type { ContainerProcess } from "../../src/domain/records.ts";
import type { ContainerId } from "../../src/domain/units.ts";
import { API, destroying, outcomeOf, PEER, type Rig, refusalOf, settle, startRig, WEB, wanted } from "./rig.ts";

let rig: Rig;
let init: ContainerProcess;
beforeEach(async () => {
  rig = await startRig();
  await rig.create("db");
  init = rig.processes.start(101);
});

const inProcess = (pid = 101) => ({ sandbox: "/", process: { pid }, volumes: [wanted("db")] });

/** A container's process ends, and its mount namespace with it. */
function end(process: ContainerProcess): void {
  rig.mounter.endNamespace(process);
  rig.processes.end(process.pid);
}

describe("attach to a process", () => {
  it("refuses one that is not there", async () => {
    expect(await outcomeOf(rig.attach(inProcess(404)))).toBe("no_such_process");
    expect(rig.storedContainer()).toBeUndefined();
  });

  it("refuses where volumes are symlinks", async () => {
    const other = await startRig({ mounter: { backend: "symlink" } });
    await other.create("db");
    other.processes.start(101);
    expect(await outcomeOf(other.attach(inProcess()))).toBe("unsupported");
  });

  it("refuses a live container's id with another process", async () => {
    await rig.attach(inProcess());
    rig.processes.start(102);
    const refusal = await refusalOf(rig.attach(inProcess(102)));
    expect(refusal).toMatchObject({ code: "conflict" });
    expect(refusal.message).toContain("/ of process 101");
  });

  it("records the process, and repeating it changes nothing", async () => {
    await rig.attach(inProcess());
    await rig.attach(inProcess());
    expect(rig.mounter.calls.attach).toBe(1);
    expect(rig.storedContainer()).toMatchObject({ sandbox: "/", process: init });
  });

  it("keeps sandboxes of two processes apart, and the host's", async () => {
    await rig.create("logs");
    rig.processes.start(102);
    await rig.attach(inProcess());
    await rig.attach({ container: API, sandbox: "/", process: { pid: 102 }, volumes: [wanted("logs")] });
    expect(await rig.states()).toEqual(["db attached", "logs attached"]);
  });
});

describe("the end of a container's process", () => {
  it("takes the container off the books and clears its mountpoint", async () => {
    await rig.attach(inProcess());
    end(init);
    await settle();
    expect(rig.storedContainer()).toBeUndefined();
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.mounter.calls).toMatchObject({ clear: 1, detach: 0 });
  });

  it("is noticed at start when nobody watched", async () => {
    await rig.attach(inProcess());
    rig.mounter.endNamespace(init);
    rig.processes.forgetWatches();
    rig.processes.end(101);
    await rig.restart();
    expect(await rig.states()).toEqual(["db detached"]);
  });

  it("is watched again by the next daemon", async () => {
    await rig.attach(inProcess());
    await rig.restart();
    expect(await rig.states()).toEqual(["db attached"]);
    end(init);
    await settle();
    expect(await rig.states()).toEqual(["db detached"]);
  });

  it("is noticed by whoever wants the volume next, though nobody has told", async () => {
    await rig.attach(inProcess());
    rig.processes.forgetWatches();
    end(init);
    await rig.attach({ container: API, volumes: [wanted("db")] });
    expect(await rig.attachments(API)).toEqual(["db at data: attached"]);
    expect(rig.storedContainer()).toBeUndefined();
  });

  it("is noticed by a destroy", async () => {
    await rig.attach(inProcess());
    rig.processes.forgetWatches();
    end(init);
    await rig.destroy("db");
    expect(await rig.states()).toEqual(["db retained"]);
  });

  it("lets the same id start again as another process", async () => {
    await rig.attach(inProcess());
    rig.processes.forgetWatches();
    end(init);
    const next = rig.processes.start(101);
    await rig.attach(inProcess());
    expect(rig.storedContainer()).toMatchObject({ process: next });
  });

  it("leaves the volume in use while its namespace shows it, and looks again", async () => {
    await rig.attach(inProcess());
    rig.holders.held.push({ ...elsewhere(init), uuid: (await rig.live("db")).uuid });
    rig.processes.end(101);
    await settle();
    expect(await rig.states()).toEqual(["db lingering"]);
    expect(await outcomeOf(rig.perform(destroying("db")))).toBe("in_use");
    rig.holders.letGo();
    rig.clock.advance(1_000);
    await settle();
    expect(await rig.states()).toEqual(["db detached"]);
  });

  it("counts what cannot be ruled out as in use", async () => {
    await rig.attach(inProcess());
    rig.holders.failure = new Error("hidden");
    end(init);
    await settle();
    expect(await rig.states()).toEqual(["db lingering"]);
  });

  it("does not mistake another container's copy of a shared volume for its own", async () => {
    await rig.create("pool", { shared: true });
    const other = rig.processes.start(102);
    await rig.attach({ ...inProcess(), volumes: [wanted("pool")] });
    await rig.attach({ ...inProcess(102), container: API, volumes: [wanted("pool")] });
    rig.holders.held.push({ ...elsewhere(other), uuid: (await rig.live("pool")).uuid });
    end(init);
    await settle();
    expect(rig.storedContainer()).toBeUndefined();
    expect(await rig.attachments(API)).toEqual(["pool at data: attached"]);
  });

  it("is not overlooked when the next process of that id began in the same clock tick", async () => {
    await rig.attach(inProcess());
    end(init);
    const twin = rig.processes.start(102, init.startTime);
    await rig.attach(inProcess(102));
    await settle();
    end(twin);
    await settle();
    expect(rig.storedContainer()).toBeUndefined();
  });

  it("leaves the volume in use that a process took into another namespace", async () => {
    await rig.attach(inProcess());
    rig.holders.holdElsewhere((await rig.live("db")).uuid);
    end(init);
    await settle();
    expect(await rig.states()).toEqual(["db lingering"]);
  });

  it("is looked at once for all that end together", async () => {
    await rig.create("pool", { shared: true });
    const inits = [1, 2, 3].map((number) => rig.processes.start(200 + number));
    for (const { pid } of inits) {
      await rig.attach({ ...inProcess(pid), container: `c-${pid}` as ContainerId, volumes: [wanted("pool")] });
    }
    const looks = rig.holders.looks;
    for (const process of inits) end(process);
    await settle();
    expect(await rig.states()).toEqual(["db detached", "pool detached"]);
    expect(rig.holders.looks - looks).toBe(1);
  });

  it("that was none, but a look that failed, is taken back when the mount is found", async () => {
    await rig.attach(inProcess());
    rig.holders.failure = new Error("hidden");
    rig.processes.pretendEnded(101, true);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db lingering"]);
    rig.holders.failure = undefined;
    rig.processes.pretendEnded(101, false);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db attached"]);
  });

  it("is over with the boot", async () => {
    await rig.attach(inProcess());
    await rig.powerCut();
    expect(rig.storedContainer()).toBeUndefined();
    expect(await rig.states()).toEqual(["db detached"]);
  });
});

describe("a mountpoint that was made for another container of the same root", () => {
  it("is left for the last of them to remove", async () => {
    await rig.create("pool", { shared: true });
    rig.processes.start(102);
    const sharedRoot = (pid: number) => ({
      sandbox: "/",
      process: { pid, rootfs: "/image" },
      volumes: [wanted("pool")],
    });
    await rig.attach(sharedRoot(101));
    await rig.attach({ ...sharedRoot(102), container: API });
    expect(rig.storedContainer(API)?.attachments).toMatchObject([{ madeMountpoint: true }]);
  });
});

describe("detach from a process", () => {
  it("unmounts in its namespace and stops watching", async () => {
    await rig.attach(inProcess());
    expect(rig.processes.watched).toBe(1);
    await rig.detach();
    expect(rig.mounter.calls.detach).toBe(1);
    expect(rig.processes.watched).toBe(0);
    expect(rig.storedContainer()).toBeUndefined();
  });

  it("leaves alone who else has a shared volume, and who sits in it", async () => {
    await rig.create("pool", { shared: true });
    const other = rig.processes.start(102);
    await rig.attach({ ...inProcess(), volumes: [wanted("pool")] });
    await rig.attach({ ...inProcess(102), container: API, volumes: [wanted("pool")] });
    const { uuid } = await rig.live("pool");
    for (const process of [init, other]) rig.holders.held.push({ ...elsewhere(process), uuid });
    rig.holders.sitIn(uuid, 102);
    await rig.detach();
    expect(rig.storedContainer(WEB)).toBeUndefined();
    expect(await rig.attachments(API)).toEqual(["pool at data: attached"]);
  });

  it("lingers when the container has bound the volume to another place as well", async () => {
    await rig.attach(inProcess());
    const { uuid } = await rig.live("db");
    rig.holders.held.push(
      { ...elsewhere(init), uuid },
      { ...elsewhere(init), uuid, mountId: "78", mountPoint: "/copy" },
    );
    await rig.detach();
    expect(await rig.states()).toEqual(["db lingering"]);
  });

  it("by force, again and again, leaves one record of what lingers", async () => {
    const { uuid } = await rig.live("db");
    for (let round = 0; round < 3; round += 1) {
      await rig.attach(inProcess());
      rig.holders.held.push({ ...elsewhere(init), uuid, mountPoint: "/copy" });
      rig.holders.sitIn(uuid);
      await rig.engine.detach(PEER, WEB, { force: true });
      expect(rig.storedContainer()?.attachments).toHaveLength(1);
      rig.holders.letGo();
      await rig.engine.reconcile();
    }
  });

  it("does not take the container's own mount for somebody else's copy", async () => {
    await rig.attach(inProcess());
    rig.holders.held.push({ ...elsewhere(init), uuid: (await rig.live("db")).uuid });
    rig.holders.sitIn((await rig.live("db")).uuid, 999);
    await rig.detach();
    expect(rig.storedContainer(WEB)).toBeUndefined();
  });
});

function elsewhere({ pid, mountNamespace }: ContainerProcess) {
  return { namespace: mountNamespace, mountId: "77", mountPoint: "/data", pid, command: "db", cgroup: "/web" };
}
