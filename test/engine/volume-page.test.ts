import { describe, expect, test } from "vitest";
import type { Change, Volume } from "../../src/domain/records.ts";
import type { AppId, Role } from "../../src/domain/units.ts";
import type { VolumePage, VolumeQuery } from "../../src/engine/engine.ts";
import { disk, reservedFor, volume } from "../domain/world.ts";
import { OPS, outcomeOf, PEER, type Rig, startRig } from "./rig.ts";

const FIRST: VolumeQuery = { sort: "role", order: "asc", offset: 0, limit: 10 };
const ADS_ONLY = {
  permissive: false,
  view_roles: [{ principals: { values: ["ops"] }, roles: { values: ["ads"] } }],
};

/** `ads/a`, `ads/b` and `ads/c` of 100, 300 and 200 MB, `ads/c` attached; `eng/a` of 50 MB. */
async function furnished(): Promise<Rig> {
  const rig = await startRig();
  await rig.create("a", { sizeMb: 100 });
  await rig.create("b", { sizeMb: 300 });
  await rig.create("c", { sizeMb: 200 });
  const eng = [reservedFor("eng")];
  await rig.perform(
    { type: "RESERVE", resources: [disk(50, eng)] },
    { type: "CREATE", volumes: [volume("a", 50, eng)] },
  );
  await rig.attach({ volumes: [{ role: "ads" as Role, id: "c" as never, mode: "RW" }] });
  return rig;
}

const names = ({ volumes }: VolumePage) => volumes.map(({ volume: { role, id } }) => `${role}/${id}`);
const changed = (value: Volume): Change => ({ table: "volumes", key: value.uuid, value });
const page = (rig: Rig, query: Partial<VolumeQuery> = {}) => rig.engine.volumePage(PEER, { ...FIRST, ...query });

describe("a page of volumes", () => {
  test("is refused before the daemon is ready", async () => {
    const rig = await furnished();
    await rig.engine.stop();
    expect(await outcomeOf(page(rig))).toBe("unavailable");
  });

  test("shows and counts only what the actor may view", async () => {
    const rig = await furnished();
    rig.setAcls(ADS_ONLY);
    const { total, counts, roles, volumes } = await rig.engine.volumePage(OPS, FIRST);
    expect(volumes.map(({ volume: { role } }) => role)).toEqual(["ads", "ads", "ads"]);
    expect({ total, counts, roles }).toEqual({
      total: 3,
      counts: { attached: 1, detached: 2 },
      roles: [["ads", 3]],
    });
  });

  test.each([
    ["role", "asc", ["ads/a", "ads/b", "ads/c", "eng/a"]],
    ["role", "desc", ["eng/a", "ads/c", "ads/b", "ads/a"]],
    ["id", "asc", ["ads/a", "eng/a", "ads/b", "ads/c"]],
    ["size", "asc", ["eng/a", "ads/a", "ads/c", "ads/b"]],
    ["size", "desc", ["ads/b", "ads/c", "ads/a", "eng/a"]],
    ["state", "asc", ["ads/c", "ads/a", "ads/b", "eng/a"]],
  ] as const)("is ordered by %s, %s", async (sort, order, expected) => {
    expect(names(await page(await furnished(), { sort, order }))).toEqual(expected);
  });

  test("is the part that was asked for, and says how many there are", async () => {
    const rig = await furnished();
    const second = await page(rig, { offset: 1, limit: 2 });
    expect(names(second)).toEqual(["ads/b", "ads/c"]);
    expect(second.total).toBe(4);
    expect(names(await page(rig, { offset: 9 }))).toEqual([]);
  });

  test("counts every state of what was found, also those that are filtered away", async () => {
    const found = await page(await furnished(), { role: "ads" as Role, state: "attached" });
    expect(names(found)).toEqual(["ads/c"]);
    expect(found).toMatchObject({ total: 1, counts: { attached: 1, detached: 2 } });
  });

  test("finds a part of the name in any case, and an incarnation by its beginning", async () => {
    const rig = await furnished();
    expect(names(await page(rig, { search: "S/B" }))).toEqual(["ads/b"]);
    const { uuid } = await rig.live("b");
    expect(names(await page(rig, { search: uuid }))).toEqual(["ads/b"]);
    expect(names(await page(rig, { search: "nobody" }))).toEqual([]);
  });

  test("finds a part of the description, a label with and without its value, and an app's volumes", async () => {
    const rig = await furnished();
    const [b, c] = [await rig.live("b"), await rig.live("c")];
    const note = { description: "The shop's orders", labels: [{ key: "team", value: "shop" }, { key: "old" }] };
    const app = { id: "/shop" as AppId, instance: "shop.1" as never };
    await rig.store.commit([changed({ ...b, note }), changed({ ...c, app })], { durable: true });
    await rig.restart();
    expect(names(await page(rig, { search: "ORDERS" }))).toEqual(["ads/b"]);
    expect(names(await page(rig, { label: { key: "team" } }))).toEqual(["ads/b"]);
    expect(names(await page(rig, { label: { key: "team", value: "shop" } }))).toEqual(["ads/b"]);
    expect(names(await page(rig, { label: { key: "team", value: "ads" } }))).toEqual([]);
    expect(names(await page(rig, { label: { key: "old" } }))).toEqual(["ads/b"]);
    expect(names(await page(rig, { app: "/shop" as AppId }))).toEqual(["ads/c"]);
  });

  test("has what was destroyed or what was not, the next to be collected first", async () => {
    const rig = await furnished();
    await rig.destroy("b", 300);
    rig.clock.advance(60_000);
    await rig.destroy("a");
    expect(names(await page(rig, { retired: false }))).toEqual(["ads/c", "eng/a"]);
    expect(names(await page(rig, { retired: true, sort: "dueAt" }))).toEqual(["ads/b", "ads/a"]);
    expect(names(await page(rig, { retired: true, sort: "retiredAt", order: "desc" }))).toEqual(["ads/a", "ads/b"]);
  });
});
