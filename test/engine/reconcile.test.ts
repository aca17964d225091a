import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import { API, BROKEN, outcomeOf, PEER, type Rig, startRig, target, wanted } from "./rig.ts";

/** Container `web` has `db` at data and `logs` at logs. */
async function furnished(): Promise<Rig> {
  const rig = await startRig();
  await rig.create("db");
  await rig.create("logs");
  await rig.attach({ volumes: [wanted("db"), wanted("logs", { at: "logs" })] });
  return rig;
}

const problems = async (rig: Rig) => (await rig.engine.status(PEER)).problems;

describe("reconcile of mounts", () => {
  test("nothing is done where all is as recorded", async () => {
    const rig = await furnished();
    const commits = rig.store.commits.length;
    const { inspect: _, ...calls } = rig.mounter.calls;
    await rig.engine.reconcile();
    expect(rig.store.commits).toHaveLength(commits);
    expect(rig.mounter.calls).toMatchObject(calls);
  });

  test.each([
    ["removed behind our back", (rig: Rig) => rig.mounter.lose(target()), "removed behind our back"],
    ["there twice", (rig: Rig) => rig.mounter.stack(target()), "more than once"],
    ["covered by another one", (rig: Rig) => rig.mounter.occupy(target()), "not what was recorded"],
  ])("a mount that is %s is shown as damaged, and nothing is mounted under the container", async (_, harm, text) => {
    const rig = await furnished();
    const { attach } = rig.mounter.calls;
    harm(rig);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db damaged", "logs attached"]);
    expect(await problems(rig)).toEqual(expect.arrayContaining([expect.stringContaining(text)]));
    expect(rig.mounter.calls.attach).toBe(attach);
  });

  test("a mount that is right again is no longer damaged", async () => {
    const rig = await furnished();
    rig.mounter.stack(target());
    await rig.engine.reconcile();
    rig.mounter.makeRoom(target());
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db attached", "logs attached"]);
    expect(await problems(rig)).toEqual([]);
  });

  test("a damaged mount is cured by detach and attach", async () => {
    const rig = await furnished();
    rig.mounter.lose(target());
    await rig.engine.reconcile();
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("damaged");
    await rig.detach();
    await rig.attach({ volumes: [wanted("db")] });
    expect(await rig.states()).toEqual(["db attached", "logs detached"]);
  });

  test("a container whose sandbox is gone is released", async () => {
    const rig = await furnished();
    rig.mounter.loseSandbox("/sandbox");
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db detached", "logs detached"]);
    expect(rig.store.contents().records.containers.size).toBe(0);
    await rig.attach({ container: API, sandbox: "/other", volumes: [wanted("db")] });
  });

  test("a mount that cannot be looked at is shown, and does not keep the others", async () => {
    const rig = await furnished();
    rig.mounter.failNext("inspect", BROKEN);
    rig.mounter.loseSandbox("/nobody");
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db damaged", "logs attached"]);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db attached", "logs attached"]);
  });

  test("what could not be looked at once is not damaged for ever", async () => {
    const rig = await furnished();
    await rig.detach();
    rig.store.failCommit(2);
    await outcomeOf(rig.attach({ volumes: [wanted("db")] }));
    rig.mounter.failNext("inspect", BROKEN);
    await rig.engine.reconcile();
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db detached", "logs detached"]);
  });

  test("a half-made mount that a process found lingers", async () => {
    const rig = await furnished();
    await rig.detach();
    rig.store.failCommit(2);
    await outcomeOf(rig.attach({ volumes: [wanted("db")] }));
    const { uuid } = await rig.live("db");
    rig.mounter.sitIn(uuid);
    rig.holders.sitIn(uuid);
    await rig.engine.reconcile();
    expect(rig.mounter.places()).toEqual([]);
    expect(await rig.states()).toEqual(["db lingering", "logs detached"]);
  });

  test("a half-made mount counts as held while the holders cannot be read", async () => {
    const rig = await furnished();
    await rig.detach();
    rig.store.failCommit(2);
    await outcomeOf(rig.attach({ volumes: [wanted("db")] }));
    rig.holders.failure = new HoldfastError("unavailable", "Cannot read");
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db lingering", "logs detached"]);
    rig.holders.failure = undefined;
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db detached", "logs detached"]);
  });

  test("a half-undone mount that is not as it was made is still its container's", async () => {
    const rig = await furnished();
    const { uuid } = await rig.live("db");
    rig.store.failCommit(2);
    await outcomeOf(rig.detach());
    rig.holders.holdHere(uuid, "/moved/data");
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual(["db damaged", "logs detached"]);
    expect(await problems(rig)).toEqual([expect.stringContaining("/moved/data")]);
    rig.holders.letGo();
    await rig.detach();
    expect(await rig.states()).toEqual(["db detached", "logs detached"]);
  });

  test("works while a container is attached and detached", async () => {
    const rig = await furnished();
    await Promise.all([rig.engine.reconcile(), rig.detach(), rig.engine.reconcile()]);
    expect(await rig.attachments()).toEqual([]);
    expect(rig.mounter.places()).toEqual([]);
  });
});

describe("reconcile of directories", () => {
  test.each([
    ["missing", (rig: Rig, uuid: never) => rig.disk.lose(uuid)],
    ["another one", (rig: Rig, uuid: never) => rig.disk.swap(uuid)],
    ["not its directory", (rig: Rig, uuid: never) => rig.disk.occupy(uuid)],
  ])("a directory that is %s makes its volume damaged, and is never made anew", async (text, harm) => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    harm(rig, uuid as never);
    await rig.engine.reconcile();
    const view = await rig.view("db");
    expect(view.state).toBe("damaged");
    expect(view.problem).toContain(text === "another one" ? "another directory" : text);
    expect(await outcomeOf(rig.attach({ volumes: [wanted("db")] }))).toBe("damaged");
  });

  test("one damaged volume does not keep the others", async () => {
    const rig = await startRig();
    rig.disk.lose((await rig.create("db")).uuid);
    await rig.create("logs");
    await rig.engine.reconcile();
    await rig.attach({ volumes: [wanted("logs")] });
    expect(await rig.states()).toEqual(["db damaged", "logs attached"]);
  });

  test("retained content that somebody removed by hand is forgotten", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    await rig.destroy("db");
    rig.disk.lose(uuid);
    await rig.engine.reconcile();
    expect(await rig.states()).toEqual([]);
  });

  test("a DESTROY whose commit is still under way moves nothing", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    rig.store.failCommit(1);
    const release = rig.store.hold();
    const destroying = outcomeOf(rig.destroy("db"));
    await new Promise((resolve) => setImmediate(resolve));
    const reconciling = rig.engine.reconcile();
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.disk.examine(uuid).state).toBe("present");
    release();
    expect(await destroying).toBe("unavailable");
    await reconciling;
    expect(await rig.states()).toEqual(["db detached"]);
    expect(rig.disk.examine(uuid).state).toBe("present");
  });
});
