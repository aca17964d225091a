import { describe, expect, test } from "vitest";
import { PEER, type Rig, startRig, wanted } from "./rig.ts";

const MB = 1024 * 1024;

/** A node with `ads/db` of 100 MB, which a container has. */
async function inUse(): Promise<{ readonly rig: Rig; readonly grow: (mb: number) => Promise<void> }> {
  const rig = await startRig({ disk: { enforcement: "project-quota" } });
  const { uuid } = await rig.create("db");
  await rig.attach({ volumes: [wanted("db")] });
  const grow = async (mb: number): Promise<void> => {
    rig.clock.advance(1_000);
    rig.disk.write(uuid, mb * MB);
    // Whoever asks for the status has the accounts looked at.
    await rig.engine.status(PEER);
  };
  return { rig, grow };
}

const usedMb = async (rig: Rig) => ((await rig.view("db")).useHistory ?? []).map(({ usedBytes }) => usedBytes / MB);

describe("what a volume took over time", () => {
  test("is not kept of a volume that nobody has", async () => {
    const rig = await startRig({ disk: { enforcement: "project-quota" } });
    const { uuid } = await rig.create("db");
    rig.disk.write(uuid, MB);
    await rig.engine.status(PEER);
    expect(await usedMb(rig)).toEqual([]);
  });

  test("has a point for every change that is worth one", async () => {
    const { rig, grow } = await inUse();
    for (const mb of [10, 0, 0.1, 20]) await grow(mb);
    expect(await usedMb(rig)).toEqual([10, 30.1]);
  });

  test("reaches back to the beginning in a bounded number of points", async () => {
    const { rig, grow } = await inUse();
    for (let times = 0; times < 99; times += 1) await grow(1);
    const points = await usedMb(rig);
    expect(points.length).toBeLessThanOrEqual(64);
    expect([points[0], points.at(-1)]).toEqual([1, 99]);
    expect(points).toEqual([...points].sort((left, right) => left - right));
  });
});
