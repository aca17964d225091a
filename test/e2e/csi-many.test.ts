/** A thousand volumes, sixteen calls at a time: nothing leaks. */
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CsiScene, capability, MIB } from "./csi-scene.ts";
import { mayMount } from "./privileges.ts";

const VOLUMES = 1_000;
const AT_A_TIME = 16;
/** What the daemon has open for other reasons comes and goes. */
const DESCRIPTORS_MORE = 8;

let scene: CsiScene;

describe.runIf(mayMount)(`${VOLUMES} volumes, ${AT_A_TIME} at a time`, () => {
  beforeAll(async () => {
    scene = await CsiScene.start({ args: ["--reconcile-interval", "1s"] });
  });
  afterAll(() => scene?.close());

  test("are made, published, used, unpublished and deleted, and nothing is left", async () => {
    await life("warm-up");
    const descriptors = scene.descriptors();
    const made = Array.from({ length: VOLUMES }, (_, number) => `pvc-${number}`);
    await together(made, (name) => scene.create(name, { capacity_range: { required_bytes: MIB } }));
    await together(made, (name) => scene.must("NodePublishVolume", published(name)));
    expect(scene.mounts()).toHaveLength(VOLUMES);
    await together(made, async (name) => writeFileSync(path.join(scene.target(name), "name"), name));
    expect((await scene.must("ListVolumes")).entries).toHaveLength(VOLUMES);
    await together(made, (name) => scene.must("NodeUnpublishVolume", published(name)));
    await together(made, (name) => scene.must("DeleteVolume", { volume_id: `csi/${name}` }));

    expect(scene.left()).toEqual({ mounts: [], entries: [] });
    expect(await scene.containers()).toEqual([]);
    expect((await scene.must("ListVolumes")).entries).toEqual([]);
    expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String(4096 * MIB) });
    await expect
      .poll(() => scene.descriptors(), { timeout: 10_000 })
      .toBeLessThanOrEqual(descriptors + DESCRIPTORS_MORE);
    // Retained, each under its own name.
    await expect.poll(() => kept().length, { timeout: 30_000 }).toBe(VOLUMES + 1);
    expect(scene.log()).not.toMatch(/"level":"error"/);
  }, 240_000);

  test("a thousand publishes and unpublishes of one volume leave one directory fewer, and no descriptor more", async () => {
    await scene.create("one");
    const descriptors = scene.descriptors();
    for (let time = 0; time < VOLUMES; time += 1) {
      await scene.must("NodePublishVolume", published("one"));
      await scene.must("NodeUnpublishVolume", published("one"));
    }
    expect(scene.left()).toEqual({ mounts: [], entries: [] });
    await expect
      .poll(() => scene.descriptors(), { timeout: 10_000 })
      .toBeLessThanOrEqual(descriptors + DESCRIPTORS_MORE);
  }, 120_000);
});

async function life(name: string): Promise<void> {
  await scene.create(name);
  await scene.must("NodePublishVolume", published(name));
  await scene.must("NodeUnpublishVolume", published(name));
  await scene.must("DeleteVolume", { volume_id: `csi/${name}` });
}

function published(name: string): object {
  return { volume_id: `csi/${name}`, target_path: scene.target(name), volume_capability: capability() };
}

function kept(): readonly string[] {
  return readdirSync(path.join(scene.daemon.workRoot, "trash"));
}

async function together<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}
