/** Which disk a volume of CSI's lies on: the role's own, another disk of the node, or all of a disk. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CsiScene, capability, MIB } from "./csi-scene.ts";
import { LoopDisk } from "./loop-disk.ts";
import { mayMount } from "./privileges.ts";

const OWN_MB = 64;
const MOUNT_MB = 40;

let scene: CsiScene;
let loop: LoopDisk;
const at = (name: string): string => path.join(scene.place.dir, name);

describe.runIf(mayMount)("disks for CSI", () => {
  beforeAll(async () => {
    const prepare = async (directory: string): Promise<readonly string[]> => {
      for (const name of ["carved", "whole"]) await mkdir(path.join(directory, name));
      loop = await LoopDisk.make(directory, "image");
      await loop.mount(path.join(directory, "whole"));
      return ["--resources", resources(directory)];
    };
    scene = await CsiScene.start({ prepare });
  });

  afterAll(async () => {
    await scene?.close();
    await loop?.detach();
  });

  test("a volume takes what its role has, where nothing is unreserved, and it stays the role's", async () => {
    const volume_id = await scene.create("own");
    expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String((OWN_MB + 32 - 4) * MIB) });
    await scene.must("ControllerExpandVolume", { volume_id, capacity_range: { required_bytes: 8 * MIB } });
    expect(
      await scene.call("ControllerExpandVolume", { volume_id, capacity_range: { required_bytes: 80 * MIB } }),
    ).toMatchObject({ status: "RESOURCE_EXHAUSTED" });
    await scene.must("DeleteVolume", { volume_id });
    expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String((OWN_MB + 32) * MIB) });
  });

  test("a disk that is named is taken, and no other one", async () => {
    const parameters = { disk: at("carved") };
    const volume_id = await scene.create("carved", { parameters });
    expect((await scene.volumes()).find(({ id }) => id === "carved")?.path).toMatch(
      new RegExp(`^${at("carved")}/volumes/`),
    );
    expect(await scene.must("GetCapacity", { parameters })).toMatchObject({ available_capacity: String(28 * MIB) });
    expect(
      await scene.call("CreateVolume", {
        name: "large",
        parameters,
        volume_capabilities: [capability()],
        capacity_range: { required_bytes: 50 * MIB },
      }),
    ).toMatchObject({ status: "RESOURCE_EXHAUSTED" });
    expect(
      await scene.call("CreateVolume", {
        name: "carved",
        parameters: { disk: at("whole") },
        volume_capabilities: [capability()],
      }),
    ).toMatchObject({
      status: "ALREADY_EXISTS",
    });
    await scene.must("DeleteVolume", { volume_id });
  });

  test("a MOUNT disk is taken as a whole when it is named and fits, and grows no more", async () => {
    const asked = { name: "whole", parameters: { disk: at("whole") }, volume_capabilities: [capability()] };
    const { volume } = await scene.must("CreateVolume", { ...asked, capacity_range: { required_bytes: 4 * MIB } });
    expect(volume.capacity_bytes).toBe(String(MOUNT_MB * MIB));
    expect(await scene.must("CreateVolume", { ...asked, capacity_range: { required_bytes: 4 * MIB } })).toEqual({
      volume,
    });
    const { volume_id } = volume;
    expect(
      await scene.call("ControllerExpandVolume", { volume_id, capacity_range: { required_bytes: 50 * MIB } }),
    ).toMatchObject({ status: "OUT_OF_RANGE" });
    await scene.must("DeleteVolume", { volume_id });
  });

  test("a MOUNT disk that nobody named is not taken, also where it fits just so", async () => {
    const fitting = { capacity_range: { required_bytes: MOUNT_MB * MIB } };
    const volume_id = await scene.create("just-so", fitting);
    expect((await scene.volumes()).find(({ id }) => id === "just-so")?.path).not.toMatch(/whole/);
    await scene.must("DeleteVolume", { volume_id });
  });

  test("a copy takes a MOUNT disk as a whole when it is named", async () => {
    const volume_id = await scene.create("small");
    const asked = {
      name: "copy",
      parameters: { disk: at("whole") },
      volume_capabilities: [capability()],
      volume_content_source: { volume: { volume_id } },
    };
    for (let time = 0; time < 2; time += 1) {
      expect(await scene.must("CreateVolume", asked)).toMatchObject({
        volume: { volume_id: "csi/copy", capacity_bytes: String(MOUNT_MB * MIB) },
      });
    }
    for (const id of ["csi/copy", volume_id]) await scene.must("DeleteVolume", { volume_id: id });
  });

  test("a MOUNT disk that does not fit the range is refused", async () => {
    const asked = { name: "small", parameters: { disk: at("whole") }, volume_capabilities: [capability()] };
    const { status } = await scene.call("CreateVolume", { ...asked, capacity_range: { limit_bytes: 4 * MIB } });
    expect(status).toMatch(/^(RESOURCE_EXHAUSTED|OUT_OF_RANGE)$/);
  });

  test("a copy takes what its role has, and another disk, where its source's has no room", async () => {
    const room = { capacity_range: { required_bytes: 24 * MIB } };
    const source = await scene.create("source", { ...room, parameters: { disk: at("carved") } });
    const copy = await scene.create("copy", { volume_content_source: { volume: { volume_id: source } } });
    const snapshots = await Promise.all(
      [copy, source].map((source_volume_id, index) =>
        scene.call("CreateSnapshot", { name: `snap-${index}`, source_volume_id }),
      ),
    );
    // A snapshot lies on its source's disk.
    expect(snapshots.map(({ status }) => status)).toEqual(["OK", "RESOURCE_EXHAUSTED"]);
    expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String((OWN_MB + 32 - 3 * 24) * MIB) });
    await scene.must("DeleteSnapshot", { snapshot_id: "csi/snap-0" });
    for (const volume_id of [source, copy]) await scene.must("DeleteVolume", { volume_id });
    expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String((OWN_MB + 32) * MIB) });
  });

  test("a pod's own volume takes what CSI's role has, ends with its pod, and tells what it takes", async () => {
    const volume_id = `csi-${"c".repeat(64)}`;
    const asked = {
      volume_id,
      target_path: scene.target("pod"),
      volume_capability: capability(),
      volume_context: { "csi.storage.k8s.io/ephemeral": "true", size: "40Mi" },
    };
    // More often than there is room for leftovers.
    for (let time = 0; time < 3; time += 1) {
      await scene.must("NodePublishVolume", asked);
      await scene.must("NodePublishVolume", asked);
      await scene.must("NodeGetVolumeStats", { volume_id, volume_path: asked.target_path });
      expect(await scene.must("NodeGetVolumeHealth", { volume_id })).toMatchObject({
        volume_health: { health_statuses: [] },
      });
      await scene.restart();
      await scene.unmountAll();
      await scene.must("NodePublishVolume", asked);
      await scene.must("NodeUnpublishVolume", asked);
      expect(await scene.call("NodeGetVolumeHealth", { volume_id })).toMatchObject({ status: "NOT_FOUND" });
    }
    expect((await scene.volumes()).filter(({ state }) => state !== "retained")).toEqual([]);
  });

  test("of another name it takes unreserved disk alone, which says whose it is", async () => {
    const asked = {
      volume_id: "csi-made-by-hand",
      target_path: scene.target("pod"),
      volume_capability: capability(),
      volume_context: { "csi.storage.k8s.io/ephemeral": "true", size: "40Mi" },
    };
    expect(await scene.call("NodePublishVolume", asked)).toMatchObject({ status: "RESOURCE_EXHAUSTED" });
    const small = { ...asked, volume_context: { ...asked.volume_context, size: "8Mi" } };
    await scene.must("NodePublishVolume", small);
    await scene.must("NodeUnpublishVolume", small);
    expect((await scene.volumes()).filter(({ state }) => state !== "retained")).toEqual([]);
  });

  test("what was made for a claim under a pod's name is not taken for the pod's", async () => {
    const own = `csi-${"d".repeat(64)}`;
    await scene.create(own);
    const asked = { volume_id: own, target_path: scene.target("pod") };
    expect(await scene.call("NodeGetVolumeHealth", { volume_id: own })).toMatchObject({ status: "NOT_FOUND" });
    await scene.must("NodeUnpublishVolume", asked);
    await scene.must("DeleteVolume", { volume_id: `csi/${own}` });
  });

  test("a file system that a disk has may be asked for, and leads there", async () => {
    const volume_capabilities = [capability("SINGLE_NODE_WRITER", { fs_type: "ext4" })];
    const volume_id = await scene.create("on-ext4", { volume_capabilities });
    const confirmed = await scene.must("ValidateVolumeCapabilities", { volume_id, volume_capabilities });
    expect(confirmed).toMatchObject({ message: "" });
    await scene.must("DeleteVolume", { volume_id });
  });
});

function resources(directory: string): string {
  const disk = (value: number, rest: object) => ({ name: "disk", type: "SCALAR", scalar: { value }, ...rest });
  return JSON.stringify([
    disk(OWN_MB, { role: "csi" }),
    disk(32, { disk: { source: { type: "PATH", path: { root: path.join(directory, "carved") } } } }),
    disk(MOUNT_MB, { disk: { source: { type: "MOUNT", mount: { root: path.join(directory, "whole") } } } }),
  ]);
}
