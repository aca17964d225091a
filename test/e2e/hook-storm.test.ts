/** Many containers come and go at once, and nothing of them is left. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { asking, type HookScene, openScene } from "./hook-scene.ts";
import { mayMount } from "./privileges.ts";

const CONTAINERS = 200;
const AT_ONCE = 8;
const WITHIN_A_SECOND = { timeout: 1000, interval: 20 };

describe.runIf(mayMount)("a storm of containers (needs root with CAP_SYS_ADMIN, and runc)", () => {
  let scene: HookScene;
  beforeEach(async () => {
    scene = await openScene("runc");
  });
  afterEach(() => scene?.close());

  test(`${CONTAINERS} containers, ${AT_ONCE} at a time, leave what was there before`, {
    timeout: 180_000,
  }, async () => {
    const volumes = Array.from({ length: AT_ONCE }, (_, lane) => `v${lane}`);
    for (const id of volumes) await scene.createVolume(id);
    const before = await scene.traces();

    await Promise.all(volumes.map((id) => runOneAfterAnother(id)));

    for (const id of volumes) await expect.poll(() => scene.state(id), WITHIN_A_SECOND).toBe("detached");
    expect(await scene.containers()).toEqual([]);
    expect(await scene.traces()).toEqual(before);
  });

  /** Each finds what the one before it wrote, at a path that all share. */
  async function runOneAfterAnother(volume: string): Promise<void> {
    for (let count = 0; count < CONTAINERS / AT_ONCE; count += 1) {
      const outcome = await scene.tool.run({
        id: `${volume}-${count}`,
        script: `echo ${count} >> /${volume}/log; cat /${volume}/log | grep -c .`,
        annotations: asking({ role: "ads", id: volume, containerPath: volume }),
      });
      expect(outcome).toMatchObject({ status: 0, stdout: String(count + 1) });
    }
  }
});
