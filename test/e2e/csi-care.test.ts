/** What nobody should ask of CSI, and what becomes of data then: it stays, and nothing is left that nobody asked for. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mustHoldfast } from "./command.ts";
import { CsiScene, capability } from "./csi-scene.ts";
import { mayMount } from "./privileges.ts";
import { run } from "./run.ts";

let scene: CsiScene;
let second: string;

const copying = (name: string, rest: object = {}) => ({
  name,
  volume_capabilities: [capability()],
  volume_content_source: { volume: { volume_id: "csi/db" } },
  ...rest,
});
const publishing = (volume_id: string, target_path: string) => ({
  volume_id,
  target_path,
  volume_capability: capability(),
});
const made = async (): Promise<readonly string[]> =>
  (await scene.volumes()).filter(({ state }) => state !== "retained").map(({ id }) => id);
const pathOf = async (id: string): Promise<string> =>
  (await scene.volumes("detached")).find((volume) => volume.id === id)?.path ?? "";

describe.runIf(mayMount)("careless requests of CSI", () => {
  beforeAll(async () => {
    scene = await CsiScene.start({
      prepare: async (directory) => {
        second = path.join(directory, "second");
        mkdirSync(second);
        return ["--resources", resources()];
      },
    });
    await scene.create("db");
  });

  afterAll(() => scene?.close());

  test("a copy for a disk that is not there, or a file system that none has, is refused and not made", async () => {
    for (const rest of [
      { parameters: { disk: "/nowhere" } },
      { volume_capabilities: [capability("SINGLE_NODE_WRITER", { fs_type: "ntfs" })] },
    ]) {
      expect(await scene.call("CreateVolume", copying("copy", rest))).toMatchObject({ status: "INVALID_ARGUMENT" });
      expect(await scene.must("GetCapacity", rest)).toMatchObject({ available_capacity: "0" });
    }
    expect(await made()).toEqual(["db"]);
  });

  test("a copy lies on the disk that is named, also when asked for again", async () => {
    const asked = copying("copy", { parameters: { disk: second } });
    for (let time = 0; time < 2; time += 1) await scene.must("CreateVolume", asked);
    expect(await pathOf("copy")).toMatch(new RegExp(`^${second}/volumes/`));
    await scene.must("DeleteVolume", { volume_id: "csi/copy" });
  });

  test("a snapshot lies where its source does: to name another disk is refused", async () => {
    const asked = { source_volume_id: "csi/db", name: "snap", parameters: { disk: second } };
    expect(await scene.call("CreateSnapshot", asked)).toMatchObject({ status: "INVALID_ARGUMENT" });
    expect(await made()).toEqual(["db"]);
  });

  test("what was copied from an earlier volume of the name is not passed off as a copy of this one", async () => {
    const snapshot = { source_volume_id: "csi/db", name: "nightly" };
    await scene.must("CreateSnapshot", snapshot);
    await scene.must("CreateVolume", copying("copy"));
    await scene.must("DeleteVolume", { volume_id: "csi/db" });
    // As long as there is no other one, the same call is the same call.
    await scene.must("CreateVolume", copying("copy"));
    await scene.create("db");
    expect(await scene.call("CreateSnapshot", snapshot)).toMatchObject({
      status: "ALREADY_EXISTS",
      message: expect.stringMatching(/an earlier volume of that name/),
    });
    expect(await scene.call("CreateVolume", copying("copy"))).toMatchObject({ status: "ALREADY_EXISTS" });
    await scene.must("DeleteSnapshot", { snapshot_id: "csi/nightly" });
    await scene.must("DeleteVolume", { volume_id: "csi/copy" });
  });

  test("a role with which no id could be told makes nothing that nobody could delete", async () => {
    const parameters = { role: "r".repeat(120) };
    expect(await scene.call("CreateVolume", { ...copying("x".repeat(100)), parameters })).toMatchObject({
      status: "INVALID_ARGUMENT",
    });
    const snapshot = { source_volume_id: "csi/db", name: "x".repeat(100), parameters };
    expect(await scene.call("CreateSnapshot", snapshot)).toMatchObject({ status: "INVALID_ARGUMENT" });
    expect(await made()).toEqual(["db"]);
  });

  test("an empty volume's own directory is neither a target nor a leftover, nor are those that disks keep", async () => {
    const content = await pathOf("db");
    const other = await scene.create("other", { parameters: { disk: second } });
    const root = scene.daemon.workRoot;
    for (const target of [content, path.join(content, "below"), path.join(root, "trash"), path.join(second, "trash")]) {
      expect(await scene.call("NodePublishVolume", publishing(other, target))).toMatchObject({
        status: "INVALID_ARGUMENT",
      });
      const existed = existsSync(target);
      await scene.must("NodeUnpublishVolume", publishing(other, target));
      expect(existsSync(target)).toBe(existed);
    }
    expect(existsSync(content)).toBe(true);
    await scene.must("DeleteVolume", { volume_id: other });
  });

  test("a pod that somebody else cleaned up after keeps nobody from deleting its volume", async () => {
    const id = await scene.create("forgotten");
    const target = scene.target("forgotten");
    await scene.must("NodePublishVolume", publishing(id, target));
    expect(await scene.call("DeleteVolume", { volume_id: id })).toMatchObject({ status: "FAILED_PRECONDITION" });
    await run("umount", target);
    rmSync(path.dirname(target), { recursive: true });
    await scene.must("DeleteVolume", { volume_id: id });
    expect(await scene.containers()).toEqual([]);
  });

  test("an inline volume whose pod never gets it is not kept for ever", async () => {
    const target = scene.target("inline");
    mkdirSync(target);
    await run("mount", "-t", "tmpfs", "none", target);
    const asked = {
      ...publishing(`csi-${"b".repeat(64)}`, target),
      volume_context: { "csi.storage.k8s.io/ephemeral": "true", size: "8Mi" },
    };
    for (const target_path of [target, path.join(scene.place.dir, "nowhere/mount")]) {
      expect(await scene.call("NodePublishVolume", { ...asked, target_path })).toMatchObject({
        status: "FAILED_PRECONDITION",
      });
      expect(await made()).toEqual(["db"]);
    }
    await run("umount", target);
    // What is there already stays, whatever becomes of a repetition.
    await scene.must("NodePublishVolume", asked);
    expect(await scene.call("NodePublishVolume", { ...asked, readonly: true })).toMatchObject({
      status: "ALREADY_EXISTS",
    });
    expect(await made()).toHaveLength(2);
    await scene.must("NodeUnpublishVolume", asked);
    expect(await made()).toEqual(["db"]);
  });

  test("a volume that is asked for at many targets at once is at all of them, and nobody has to ask again", async () => {
    const volume_capability = capability("SINGLE_NODE_MULTI_WRITER");
    const id = await scene.create("shared", { volume_capabilities: [volume_capability] });
    const all = Array.from({ length: 16 }, (_, index) => ({
      ...publishing(id, scene.target(`shared-${index}`)),
      volume_capability,
    }));
    for (const call of ["NodePublishVolume", "NodeUnpublishVolume"]) {
      await Promise.all(all.map((fields) => scene.must(call, fields)));
    }
    await scene.must("DeleteVolume", { volume_id: id });
  });

  test("a volume of another role is not unpublished by a part of its id", async () => {
    const id = await scene.createByOperator("ads", "part");
    const target = scene.target("part");
    await scene.must("NodePublishVolume", publishing(id, target));
    expect(await scene.call("NodeUnpublishVolume", publishing("part", target))).toMatchObject({ status: "NOT_FOUND" });
    expect(scene.mounts()).toContain(target);
    await scene.must("NodeUnpublishVolume", publishing(id, target));
    await scene.must("DeleteVolume", { volume_id: id });
  });

  test("a volume that an operator mounted elsewhere is not taken from there, and what only shows it stays", async () => {
    const elsewhere = path.join(scene.place.dir, "elsewhere");
    mkdirSync(elsewhere);
    const content = await pathOf("db");
    await run("mount", "--bind", path.dirname(content), elsewhere);
    try {
      const shown = path.join(elsewhere, path.basename(content));
      expect(await scene.call("NodeUnpublishVolume", publishing("csi/db", shown))).toMatchObject({
        status: expect.stringMatching(/FAILED_PRECONDITION|INVALID_ARGUMENT/),
      });
      expect(existsSync(shown)).toBe(true);
      expect(await scene.call("NodeUnpublishVolume", publishing("csi/db", content))).toMatchObject({
        status: expect.stringMatching(/FAILED_PRECONDITION|INVALID_ARGUMENT/),
      });
      expect(existsSync(content)).toBe(true);
    } finally {
      await run("umount", elsewhere);
    }
  });

  test("what a rebuild found mounted is unpublished as ever", async () => {
    const target = scene.target("kept");
    await scene.must("NodePublishVolume", publishing("csi/db", target));
    writeFileSync(path.join(target, "file"), "content");
    await scene.daemon.kill9();
    rmSync(path.join(scene.daemon.workRoot, "meta"), { recursive: true });
    await mustHoldfast("rebuild", "--work-root", scene.daemon.workRoot, "--resources", resources());
    await scene.daemon.start();
    const sitting = spawn("sleep", ["60"], { cwd: target, stdio: "ignore" });
    try {
      await once(sitting, "spawn");
      expect(await scene.call("NodeUnpublishVolume", publishing("csi/db", target))).toMatchObject({
        status: "FAILED_PRECONDITION",
      });
    } finally {
      sitting.kill("SIGKILL");
      await once(sitting, "exit");
    }
    expect(readFileSync(path.join(target, "file"), "utf8")).toBe("content");
    await scene.must("NodeUnpublishVolume", publishing("csi/db", target));
    expect(existsSync(target)).toBe(false);
    expect(readFileSync(path.join(await pathOf("db"), "file"), "utf8")).toBe("content");
  });
});

function resources(): string {
  const disk = (value: number, rest: object) => ({ name: "disk", type: "SCALAR", scalar: { value }, ...rest });
  return JSON.stringify([disk(256, {}), disk(128, { disk: { source: { type: "PATH", path: { root: second } } } })]);
}
