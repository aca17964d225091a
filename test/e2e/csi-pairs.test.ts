/** Two calls at the same time, every pair of them: each is done or refused as if it came alone, and nothing is left over. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Answer } from "../faces/csi/client.ts";
import { CsiScene, capability, MIB } from "./csi-scene.ts";
import { mayMount } from "./privileges.ts";

let scene: CsiScene;

const VOLUME = { volume_id: "csi/db" };
const MULTI = capability("SINGLE_NODE_MULTI_WRITER");
const target = (name: string): object => ({ target_path: scene.target(name) });

/** Every call that changes something or looks at a volume, on one volume and one target. */
const CALLS: Readonly<Record<string, () => object>> = {
  Probe: () => ({}),
  CreateVolume: () => ({ name: "db", volume_capabilities: [MULTI], capacity_range: { limit_bytes: 64 * MIB } }),
  DeleteVolume: () => VOLUME,
  ValidateVolumeCapabilities: () => ({ ...VOLUME, volume_capabilities: [MULTI] }),
  ListVolumes: () => ({}),
  ControllerGetVolume: () => VOLUME,
  GetCapacity: () => ({}),
  ControllerExpandVolume: () => ({ ...VOLUME, capacity_range: { required_bytes: 8 * MIB } }),
  CreateSnapshot: () => ({ source_volume_id: "csi/db", name: "snap" }),
  DeleteSnapshot: () => ({ snapshot_id: "csi/snap" }),
  ListSnapshots: () => ({}),
  NodePublishVolume: () => ({ ...VOLUME, ...target("one"), volume_capability: MULTI }),
  NodeUnpublishVolume: () => ({ ...VOLUME, ...target("one") }),
  NodeGetVolumeStats: () => ({ ...VOLUME, volume_path: scene.target("one") }),
  NodeGetVolumeHealth: () => VOLUME,
  NodeExpandVolume: () => ({
    ...VOLUME,
    volume_path: scene.target("one"),
    capacity_range: { required_bytes: 8 * MIB },
  }),
};

/** What a call may be answered besides OK when another one has come between. */
const REFUSED = ["ABORTED", "NOT_FOUND", "FAILED_PRECONDITION"];

const NAMES = Object.keys(CALLS);
const PAIRS = NAMES.flatMap((one, index) => NAMES.slice(index).map((other) => [one, other] as const));

function call(name: string): Promise<Answer> {
  return scene.call(name, CALLS[name]?.());
}

describe.runIf(mayMount)("two calls at once", () => {
  beforeAll(async () => {
    scene = await CsiScene.start();
  });
  afterAll(() => scene?.close());

  test.each(NAMES)(
    "%s with every other one",
    async (name) => {
      for (const [one, other] of PAIRS.filter(([first]) => first === name)) {
        for (const published of [false, true]) {
          await scene.create("db", { volume_capabilities: [MULTI] });
          if (published) await scene.must("NodePublishVolume", CALLS["NodePublishVolume"]?.());
          if (published) writeFileSync(path.join(scene.target("one"), "file"), "content");
          const answers = await Promise.all([call(one), call(other), call(one)]);
          for (const { status, message } of answers) {
            expect(["OK", ...REFUSED], `${one}, ${other}: ${message}`).toContain(status);
          }
          await requireWhole(published);
          await scene.clear();
          expect(scene.left(), `${one}, ${other}`).toEqual({ mounts: [], entries: [] });
        }
      }
      expect(await scene.containers()).toEqual([]);
      expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String(4096 * MIB) });
      expect(scene.log()).not.toMatch(/"level":"error"/);
    },
    120_000,
  );

  test("publishing one volume at many targets at once publishes it at all of them", async () => {
    await scene.create("db", { volume_capabilities: [MULTI] });
    const fields = Array.from({ length: 16 }, (_, index) => ({
      ...VOLUME,
      ...target(`many-${index}`),
      volume_capability: MULTI,
    }));
    await Promise.all(fields.map((one) => untilDone("NodePublishVolume", one)));
    expect(scene.mounts()).toHaveLength(16);
    await Promise.all(fields.map((one) => untilDone("NodeUnpublishVolume", one)));
    await scene.clear();
    expect(scene.left()).toEqual({ mounts: [], entries: [] });
  });

  test("of many who create one name at once all get the same volume", async () => {
    const fields = { name: "same", volume_capabilities: [MULTI], capacity_range: { required_bytes: 4 * MIB } };
    await Promise.all(Array.from({ length: 16 }, () => untilDone("CreateVolume", fields)));
    expect((await scene.must("ListVolumes")).entries).toHaveLength(1);
    await scene.clear();
  });
});

/** As a cluster does it: again while it is ABORTED. */
async function untilDone(name: string, fields: object): Promise<void> {
  for (;;) {
    const answer = await scene.call(name, fields);
    if (answer.status === "OK") return;
    if (answer.status !== "ABORTED") throw new Error(`${name}: ${answer.status}: ${answer.message}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** What is published shows what was written, unless it was taken away. */
async function requireWhole(published: boolean): Promise<void> {
  const volume = (await scene.volumes()).find(({ id, state }) => id === "db" && state === "attached");
  if (!published || volume === undefined) return;
  expect(readFileSync(path.join(scene.target("one"), "file"), "utf8")).toBe("content");
}
