/** kill -9 between any two calls, and in the middle of them: the same call again finds what was, and goes on. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Chance } from "../simulation/chance.ts";
import { CsiScene, capability, MIB } from "./csi-scene.ts";
import { mayMount } from "./privileges.ts";

const KILLS = 25;

let scene: CsiScene;
const MULTI = capability("SINGLE_NODE_MULTI_WRITER");
const at = (name: string): string => scene.target(name);

interface Step {
  readonly call: string;
  readonly fields: () => object;
}

const step = (call: string, fields: () => object): Step => ({ call, fields });

/** The life of a volume, with all that may happen to it; each step may be repeated. */
const LIFE: readonly Step[] = [
  step("CreateVolume", () => ({
    name: "db",
    volume_capabilities: [MULTI],
    capacity_range: { required_bytes: 4 * MIB },
  })),
  step("NodePublishVolume", () => ({ volume_id: "csi/db", target_path: at("one"), volume_capability: MULTI })),
  step("NodeGetVolumeStats", () => ({ volume_id: "csi/db", volume_path: at("one") })),
  step("NodePublishVolume", () => ({
    volume_id: "csi/db",
    target_path: at("two"),
    volume_capability: MULTI,
    readonly: true,
  })),
  step("ControllerExpandVolume", () => ({ volume_id: "csi/db", capacity_range: { required_bytes: 8 * MIB } })),
  step("NodeExpandVolume", () => ({
    volume_id: "csi/db",
    volume_path: at("one"),
    capacity_range: { required_bytes: 8 * MIB },
  })),
  step("CreateSnapshot", () => ({ source_volume_id: "csi/db", name: "snap" })),
  step("CreateVolume", () => ({
    name: "copy",
    volume_capabilities: [MULTI],
    volume_content_source: { snapshot: { snapshot_id: "csi/snap" } },
  })),
  step("DeleteSnapshot", () => ({ snapshot_id: "csi/snap" })),
  step("NodePublishVolume", () => ({ volume_id: "csi/copy", target_path: at("three"), volume_capability: MULTI })),
  step("NodeUnpublishVolume", () => ({ volume_id: "csi/copy", target_path: at("three") })),
  step("DeleteVolume", () => ({ volume_id: "csi/copy" })),
  step("NodeUnpublishVolume", () => ({ volume_id: "csi/db", target_path: at("two") })),
  step("NodeUnpublishVolume", () => ({ volume_id: "csi/db", target_path: at("one") })),
  step("DeleteVolume", () => ({ volume_id: "csi/db" })),
];

/** What a volume takes is counted when there is time. */
function told(answer: object): object {
  return { ...answer, usage: undefined };
}

describe.runIf(mayMount)("CSI and kill -9", () => {
  beforeAll(async () => {
    scene = await CsiScene.start();
  });
  afterAll(() => scene?.close());

  test("between any two calls: the one before is done, and done again changes nothing", async () => {
    for (const { call, fields } of LIFE) {
      const first = await scene.must(call, fields());
      if (call === "NodePublishVolume" && scene.mounts().length === 1)
        writeFileSync(path.join(at("one"), "file"), "content");
      const mounts = scene.mounts();
      await scene.restart();
      expect(scene.mounts(), call).toEqual(mounts);
      expect(told(await scene.must(call, fields())), call).toEqual(told(first));
      expect(scene.mounts(), call).toEqual(mounts);
      for (const mount of mounts) expect(readFileSync(path.join(mount, "file"), "utf8"), call).toBe("content");
    }
    await requireNothingLeft();
  }, 180_000);

  test(`in the middle of a call, ${KILLS} times at any moment of it`, async () => {
    const seed = Number(process.env["HOLDFAST_SEED"] ?? Date.now() % 2 ** 31);
    console.log(`seed ${seed} (HOLDFAST_SEED repeats it)`);
    const chance = new Chance(seed);
    let kills = 0;
    while (kills < KILLS) {
      for (const { call, fields } of LIFE) {
        if (kills < KILLS && chance.percent(33)) {
          kills += 1;
          const running = scene.call(call, fields());
          await sleep(chance.below(8));
          await scene.daemon.kill9();
          await running;
          await scene.daemon.start();
        }
        const answer = await untilDone(call, fields());
        expect(answer, `${call} after ${kills} kills, seed ${seed}`).toBe("OK");
      }
      await requireNothingLeft();
    }
  }, 240_000);

  test("a machine that was restarted finds everything when kubelet asks again", async () => {
    const [create, publish, , second] = LIFE as [Step, Step, Step, Step];
    for (const { call, fields } of [create, publish, second]) await scene.must(call, fields());
    writeFileSync(path.join(at("one"), "file"), "content");
    await scene.daemon.kill9();
    // What a restart of the machine does to mounts; the daemon sees none of its own.
    await scene.unmountAll();
    await scene.daemon.start();
    for (const { call, fields } of [publish, second]) await scene.must(call, fields());
    for (const name of ["one", "two"]) expect(readFileSync(path.join(at(name), "file"), "utf8")).toBe("content");
    await scene.clear();
    await requireNothingLeft();
  });
});

async function untilDone(call: string, fields: object): Promise<string> {
  for (;;) {
    const { status, message } = await scene.call(call, fields);
    if (status !== "ABORTED" && status !== "UNAVAILABLE") return status === "OK" ? status : `${status}: ${message}`;
    await sleep(20);
  }
}

async function requireNothingLeft(): Promise<void> {
  expect(scene.left()).toEqual({ mounts: [], entries: [] });
  expect(await scene.containers()).toEqual([]);
  expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String(4096 * MIB) });
}
