/** What a node says it has room for is what it can make: a scheduler sends pods there for it. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { CsiScene, capability, MIB } from "./csi-scene.ts";
import { mayMount } from "./privileges.ts";

let scene: CsiScene;

afterEach(() => scene?.close());

test("a disk for which more was declared than it has has no room, though its role's part has", async () => {
  scene = await CsiScene.start({ args: ["--resources", "disk(*):999999999;disk(csi):64"] });
  expect(await scene.must("GetCapacity")).toMatchObject(room(64));
  await scene.create("db");
  expect(await scene.must("GetCapacity")).toMatchObject(room(60));
});

test("a disk that is not there has none, whoever it is reserved for", async () => {
  scene = await CsiScene.start({
    prepare: async (directory) => {
      mkdirSync(path.join(directory, "extra"));
      return ["--resources", resources(directory)];
    },
  });
  await scene.create("db", { parameters: { disk: path.join(scene.place.dir, "extra") } });
  expect(await scene.must("GetCapacity")).toMatchObject(room(92, 48));
  await scene.daemon.kill9();
  renameSync(path.join(scene.place.dir, "extra"), path.join(scene.place.dir, "elsewhere"));
  mkdirSync(path.join(scene.place.dir, "extra"));
  await scene.daemon.start();
  expect(await scene.must("GetCapacity")).toMatchObject(room(16));
});

test("a provisioner that does not know the access mode may ask, and make nothing", async () => {
  scene = await CsiScene.start();
  const unknown = { mount: {}, access_mode: { mode: 0 } };
  const volume_capabilities = [unknown];
  expect(await scene.must("GetCapacity", { volume_capabilities })).toEqual(await scene.must("GetCapacity"));
  const asked = { name: "db", volume_capabilities, capacity_range: { required_bytes: MIB } };
  expect(await scene.call("CreateVolume", asked)).toMatchObject({ status: "INVALID_ARGUMENT" });
});

test("a name that is asked for in two roles at once is made in one", async () => {
  scene = await CsiScene.start();
  const asked = { name: "db", volume_capabilities: [capability()], capacity_range: { required_bytes: MIB } };
  const answers = await Promise.all(
    ["a", "b"].map((role) => scene.call("CreateVolume", { ...asked, parameters: { role } })),
  );
  expect(answers.map(({ status }) => status).toSorted()).toEqual(["ABORTED", "OK"]);
});

test.runIf(mayMount)("a pod's own volume goes with it, also when CSI's role became another meanwhile", async () => {
  let configuration = "";
  scene = await CsiScene.start({
    prepare: async (directory) => {
      configuration = path.join(directory, "holdfast.yaml");
      writeFileSync(configuration, "csiRole: one\n");
      return ["--config", configuration];
    },
  });
  const asked = {
    volume_id: `csi-${"e".repeat(64)}`,
    target_path: scene.target("pod"),
    volume_capability: capability(),
    volume_context: { "csi.storage.k8s.io/ephemeral": "true", size: "4Mi" },
  };
  await scene.must("NodePublishVolume", asked);
  writeFileSync(configuration, "csiRole: two\n");
  await scene.restart();
  await scene.must("NodeGetVolumeStats", { ...asked, volume_path: asked.target_path });
  await scene.must("NodeUnpublishVolume", asked);
  expect((await scene.volumes()).map(({ role, state }) => [role, state])).toEqual([["one", "retained"]]);
});

function room(mb: number, largestMb = mb): object {
  return { available_capacity: String(mb * MIB), maximum_volume_size: { value: String(largestMb * MIB) } };
}

function resources(directory: string): string {
  const extra = { disk: { source: { type: "PATH", path: { root: path.join(directory, "extra") } } } };
  const disk = (value: number, rest: object) => ({ name: "disk", type: "SCALAR", scalar: { value }, ...rest });
  return JSON.stringify([disk(16, {}), disk(32, extra), disk(48, { ...extra, role: "csi" })]);
}
