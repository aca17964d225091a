import { beforeEach, describe, expect, it } from "vitest";
import type { ContainerId, Role, VolumeId } from "../../src/domain/units.ts";
import {
  API,
  destroying,
  OPS,
  outcomeOf,
  PEER,
  RECONCILE_MS,
  type Rig,
  refusalOf,
  settle,
  startRig,
  WEB,
  wanted,
} from "./rig.ts";

const MINUTE_MS = 60_000;

let rig: Rig;
beforeEach(async () => {
  rig = await startRig();
  await rig.create("db");
  await rig.create("pool", { shared: true });
});

const loan = (id: string, borrower = "loan-1") => ({
  borrower: borrower as ContainerId,
  role: "ads" as Role,
  id: id as VolumeId,
  runtime: "docker",
});
const lend = (id: string, borrower?: string) => rig.engine.lend(PEER, loan(id, borrower));
const giveBack = (id: string, borrower?: string) => rig.engine.giveBack(PEER, loan(id, borrower));
const uuidOf = async (id: string) => (await rig.live(id)).uuid;

/** A container of the engine shows the volume, in a mount namespace of its own. */
async function show(id: string, namespace = "4026530001"): Promise<void> {
  const uuid = await uuidOf(id);
  const cgroup = `/docker/${"c".repeat(64)}`;
  rig.holders.held.push({ uuid, namespace, mountId: "7", mountPoint: "/data", pid: 77, command: "db", cgroup });
}

/** The container ends. */
function hide(namespace = "4026530001"): void {
  const left = rig.holders.held.filter((mount) => mount.namespace !== namespace);
  rig.holders.held.splice(0, rig.holders.held.length, ...left);
}

async function later(ms: number): Promise<void> {
  rig.clock.advance(ms);
  await settle();
  await settle();
}

describe("lend", () => {
  it("refuses whoever comes through another door than the agent's", async () => {
    expect(await outcomeOf(rig.engine.lend(OPS, loan("db")))).toBe("forbidden");
  });

  it("refuses a volume that is not there", async () => {
    expect(await outcomeOf(lend("nothing"))).toBe("no_such_volume");
  });

  it("refuses a second borrower of an exclusive volume", async () => {
    await lend("db");
    expect(await outcomeOf(lend("db", "loan-2"))).toBe("in_use");
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("in_use");
  });

  it("refuses an exclusive volume that somebody is seen with, and names who, though no loan says so", async () => {
    await show("db");
    const refusal = await refusalOf(lend("db"));
    expect(refusal.code).toBe("in_use");
    expect(refusal.message).toContain(`process 77 (db, /docker/${"c".repeat(64)}) has it at /data`);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("in_use");
    expect(await rig.states()).toEqual(["db detached", "pool detached"]);
  });

  it("refuses an exclusive volume of which nobody can say who has it", async () => {
    rig.holders.failure = new Error("hidden");
    expect(await outcomeOf(lend("db"))).not.toBe("done");
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).not.toBe("done");
    expect(rig.mounter.places()).toEqual([]);
  });

  it("refuses the id of a container that has a sandbox", async () => {
    await rig.attach({ volumes: [wanted("db")] });
    expect(await outcomeOf(lend("pool", WEB))).toBe("conflict");
  });

  it("gives the content's path, mounts nothing, and counts as attached", async () => {
    const view = await lend("db");
    expect(view).toMatchObject({ state: "attached", containers: ["loan-1"] });
    expect(view.path).toContain(await uuidOf("db"));
    expect(rig.mounter.calls.attach).toBe(0);
  });

  it("changes nothing when repeated", async () => {
    const first = await lend("db");
    expect(await lend("db")).toEqual(first);
  });

  it("lends a shared volume to several, and several to one", async () => {
    await lend("pool", "loan-1");
    await lend("pool", "loan-2");
    await lend("db", "loan-1");
    expect(new Set((await rig.view("pool")).containers)).toEqual(new Set(["loan-1", "loan-2"]));
    expect(await rig.attachments("loan-1" as ContainerId)).toHaveLength(2);
  });

  it("looks for nobody when the volume is shared", async () => {
    await lend("pool", "loan-1");
    const { looks } = rig.holders;
    await lend("pool", "loan-2");
    await rig.attach({ volumes: [wanted("pool")] });
    expect(rig.holders.looks).toBe(looks);
  });

  it("survives the daemon, and not the boot", async () => {
    await lend("db");
    await rig.restart();
    expect(await rig.states()).toContain("db attached");
    await rig.powerCut();
    expect(await rig.states()).toContain("db detached");
  });
});

describe("giveBack", () => {
  it("is fine for what was never lent", async () => {
    expect(await outcomeOf(giveBack("db"))).toBe("done");
    expect(await outcomeOf(giveBack("nothing"))).toBe("done");
  });

  it("ends the loan when nobody is seen with the volume", async () => {
    await lend("db");
    await giveBack("db");
    expect(await rig.states()).toEqual(["db detached", "pool detached"]);
    expect(await outcomeOf(lend("db", "loan-2"))).toBe("done");
  });

  it("is a hint: the volume stays in use while a container shows it", async () => {
    await lend("db");
    await show("db");
    await giveBack("db");
    expect(await rig.states()).toContain("db attached");
    expect(await outcomeOf(rig.perform(destroying("db")))).toBe("in_use");
    hide();
    await rig.destroy("db");
    expect(await rig.states()).toContain("db retained");
  });

  it("leaves what else the borrower has", async () => {
    await lend("db");
    await lend("pool");
    await giveBack("db");
    expect(await rig.states()).toEqual(["db detached", "pool attached"]);
  });
});

describe("a loan that nobody gives back", () => {
  it("is over for the next borrower as soon as its container is", async () => {
    await lend("db");
    await show("db");
    await later(600);
    hide();
    expect(await outcomeOf(lend("db", "loan-2"))).toBe("done");
    expect((await rig.view("db")).containers).toEqual(["loan-2"]);
  });

  it("is over with the next reconcile", async () => {
    await lend("db");
    await show("db");
    await later(600);
    hide();
    await later(RECONCILE_MS);
    expect(await rig.states()).toContain("db detached");
  });

  it("is kept while its engine may still be about to mount it", async () => {
    await lend("db");
    expect(await outcomeOf(lend("db", "loan-2"))).toBe("in_use");
    await later(3 * MINUTE_MS);
    expect(await outcomeOf(lend("db", "loan-2"))).toBe("done");
  });

  it("is kept while its engine fills the volume before it mounts it", async () => {
    await lend("db");
    rig.holders.sitIn(await uuidOf("db"));
    await later(3 * MINUTE_MS);
    expect(await outcomeOf(lend("db", "loan-2"))).toBe("in_use");
  });

  it("does not end because the wall clock jumped", async () => {
    await lend("db");
    rig.clock.jump(60 * MINUTE_MS);
    expect(await outcomeOf(lend("db", "loan-2"))).toBe("in_use");
  });

  it("is kept while it cannot be ruled out that somebody has it", async () => {
    await lend("db");
    await show("db");
    await later(600);
    hide();
    rig.holders.failure = new Error("hidden");
    await later(RECONCILE_MS);
    rig.holders.failure = undefined;
    expect(rig.storedContainer("loan-1" as ContainerId)?.attachments).toHaveLength(1);
  });

  it("is not counted besides those of the containers that are seen", async () => {
    for (const borrower of ["loan-1", "loan-2"]) await lend("pool", borrower);
    await show("pool", "4026530001");
    await show("pool", "4026530002");
    await later(600);
    hide("4026530001");
    await later(RECONCILE_MS);
    expect((await rig.view("pool")).containers).toHaveLength(1);
    hide("4026530002");
    await later(RECONCILE_MS);
    expect((await rig.view("pool")).containers).toEqual([]);
  });

  it("is not ended by another's that was given out a moment ago", async () => {
    await lend("pool", "loan-1");
    await show("pool");
    await later(600);
    await lend("pool", "loan-2");
    await rig.engine.reconcile();
    expect((await rig.view("pool")).containers).toEqual(["loan-1", "loan-2"]);
  });

  it("ends when an operator detaches its borrower", async () => {
    await lend("db");
    await rig.detach("loan-1" as ContainerId);
    expect(await rig.states()).toContain("db detached");
  });
});

describe("views", () => {
  it("show who is seen with a volume, by engine and container", async () => {
    await lend("pool");
    await show("pool");
    const holder = { pid: 77, command: "db", mountPoint: "/data", engine: "docker", container: "c".repeat(64) };
    expect((await rig.view("pool")).holders).toMatchObject([holder]);
    const [container] = await rig.engine.containers(PEER);
    expect(container).toMatchObject({ container: { runtime: "docker" }, holders: [holder] });
  });

  it("do not take a container that we mounted for for a borrower", async () => {
    const init = rig.processes.start(101);
    await lend("pool");
    await rig.attach({ container: API, sandbox: "/", process: { pid: 101 }, volumes: [wanted("pool")] });
    await show("pool", init.mountNamespace);
    const views = await rig.engine.containers(PEER);
    expect(views.find(({ container }) => container.id === "loan-1")?.holders).toEqual([]);
  });
});
