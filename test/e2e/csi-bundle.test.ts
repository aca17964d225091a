/** CSI as it is installed: the descriptors are inside the program, and a debug log tells nothing of a request. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeProgram } from "./bundled-program.ts";
import { CsiScene, capability } from "./csi-scene.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";

const SECRET = "s3cr3t-that-nobody-may-read";

let built: Place;
let scene: CsiScene;

describe.runIf(mayMount)("the bundled program", () => {
  beforeAll(async () => {
    built = await makePlace("csi-bundle");
    scene = await CsiScene.start({ program: await makeProgram(path.join(built.dir, "program")) });
  }, 120_000);

  afterAll(async () => {
    await scene?.close();
    await built?.remove();
  });

  test("serves a volume's whole life", async () => {
    const volume_id = await scene.create("db");
    const fields = { volume_id, target_path: scene.target("db"), volume_capability: capability() };
    await scene.must("NodePublishVolume", fields);
    writeFileSync(path.join(scene.target("db"), "file"), "content");
    await scene.must("CreateSnapshot", { source_volume_id: volume_id, name: "snap" });
    await scene.restart();
    await scene.must("NodePublishVolume", fields);
    await scene.must("NodeUnpublishVolume", fields);
    await scene.clear();
    expect(scene.left()).toEqual({ mounts: [], entries: [] });
  });

  test("writes no secret, also of a call that fails, at the lowest level of its log", async () => {
    const secrets = { password: SECRET };
    const mount = capability("SINGLE_NODE_WRITER", { mount_flags: [SECRET] });
    const fields = { name: "a", volume_id: "csi/no", target_path: scene.target("a"), secrets };
    const calls = ["CreateVolume", "DeleteVolume", "NodePublishVolume", "ControllerExpandVolume", "CreateSnapshot"];
    for (const call of calls) {
      for (const one of [capability(), mount]) {
        await scene.call(call, { ...fields, volume_capabilities: [one], volume_capability: one });
      }
    }
    // The log is written behind the answers.
    await scene.daemon.stop();
    expect(scene.log()).toMatch(/"call":"NodePublishVolume","outcome":"INVALID_ARGUMENT"/);
    expect(scene.log()).not.toContain(SECRET);
  });
});
