import { afterEach, beforeEach, expect, test } from "vitest";
import { disk, reservedFor, volume } from "../../domain/world.ts";
import { destroying, PEER, type Rig, startRig } from "../../engine/rig.ts";
import { makeFakeEngine } from "../../fakes/fake-engine.ts";
import { openPlugin, type Plugin } from "./plugin.ts";

let rig: Rig;
let plugin: Plugin;
beforeEach(async () => {
  rig = await startRig();
  plugin = await openPlugin(rig.engine);
});
afterEach(() => plugin.close());

async function create(role: string, ids: readonly string[]): Promise<void> {
  const own = [reservedFor(role)];
  for (const id of ids) {
    await rig.perform(
      { type: "RESERVE", resources: [disk(10, own)] },
      { type: "CREATE", volumes: [volume(id, 10, own)] },
    );
  }
}

/** Every page's ids. */
async function pages(call: "ListVolumes" | "ListSnapshots", size: number): Promise<string[][]> {
  const seen: string[][] = [];
  let token = "";
  do {
    const { status, value } = await plugin.client.call(call, { max_entries: size, starting_token: token });
    expect(status).toBe("OK");
    seen.push(
      value.entries.map((entry: { volume?: { volume_id: string }; snapshot?: { snapshot_id: string } }) =>
        entry.volume === undefined ? entry.snapshot?.snapshot_id : entry.volume.volume_id,
      ),
    );
    token = value.next_token;
  } while (token !== "");
  return seen;
}

test.each(["ListVolumes", "ListSnapshots"])("%s looks at one page, and not at all there is", async (call) => {
  const engine = makeFakeEngine();
  const other = await openPlugin(engine);
  await other.client.call(call, { max_entries: 3, starting_token: "ads/b" });
  expect(engine.calls).toMatchObject([
    { method: "volumes", args: [PEER, { limit: 4, behind: { role: "ads", id: "b" } }] },
  ]);
  await other.close();
});

test("Pages have every volume once, also of roles whose names begin alike, and end without an empty one", async () => {
  await create("ads", ["a", "b"]);
  await create("ads-2", ["a"]);
  await create("ads/x", ["c"]);
  expect(await pages("ListVolumes", 1)).toEqual([["ads/a"], ["ads/b"], ["ads-2/a"], ["ads/x/c"]]);
  expect(await pages("ListVolumes", 2)).toEqual([
    ["ads/a", "ads/b"],
    ["ads-2/a", "ads/x/c"],
  ]);
  expect(await pages("ListVolumes", 3)).toEqual([["ads/a", "ads/b", "ads-2/a"], ["ads/x/c"]]);
});

test("Pages have neither snapshots nor what was destroyed, and those of snapshots have nothing else", async () => {
  await create("ads", ["a", "b", "c"]);
  await rig.perform(destroying("b", 10));
  const source = { role: "ads" as never, id: "a" as never };
  for (const id of ["s1", "s2"]) {
    await rig.engine.copy(PEER, { source, role: source.role, id: id as never, snapshot: true });
  }
  expect(await pages("ListVolumes", 1)).toEqual([["ads/a"], ["ads/c"]]);
  expect(await pages("ListSnapshots", 1)).toEqual([["ads/s1"], ["ads/s2"]]);
});
