import { describe, expect, test } from "vitest";
import type { Actor } from "../../src/domain/operation.ts";
import type { Volume } from "../../src/domain/records.ts";
import type { Incarnation, Principal, Role, VolumeId } from "../../src/domain/units.ts";
import type { Mark } from "../../src/engine/engine.ts";
import { disk } from "../domain/world.ts";
import { ADS, destroying, PEER, type Rig, refusalOf, startRig } from "./rig.ts";

const DB = { role: "ads" as Role, id: "db" as VolumeId };
const EVE: Actor = { kind: "principal", principal: "eve" as Principal };
const DECLARED = [disk(1_000)];

function put(rig: Rig, mark: Mark, of: typeof DB | { readonly uuid: Incarnation } = DB, actor = PEER) {
  return rig.engine.mark(actor, { ...of, mark });
}

/** A destroyed volume of 100 MB that nothing is reserved for any more. */
async function destroyed(rig: Rig, id = "db"): Promise<Volume> {
  const volume = await rig.create(id);
  await rig.perform(destroying(id, 100), { type: "UNRESERVE", resources: [disk(100, ADS)] });
  return volume;
}

async function freeMb(rig: Rig): Promise<number> {
  const { resources } = await rig.engine.resources(PEER);
  return (
    resources.filter(({ reservations }) => reservations.length === 0).reduce((sum, { size }) => sum + size, 0) / 1_000
  );
}

describe("protect", () => {
  test("is refused for a volume that is not there, or is destroyed already", async () => {
    const rig = await startRig();
    expect(await refusalOf(put(rig, "protect"))).toMatchObject({ code: "no_such_volume" });
    const { uuid } = await destroyed(rig);
    expect(await refusalOf(put(rig, "protect", { uuid }))).toMatchObject({ code: "busy" });
  });

  test("keeps a volume from being destroyed, also after a restart, until it is taken away", async () => {
    const rig = await startRig();
    await rig.create("db");
    expect((await put(rig, "protect")).volume.protected).toBe(true);
    await rig.restart();
    const refusal = await refusalOf(rig.destroy("db"));
    expect(refusal).toMatchObject({
      code: "protected",
      message: "Cannot destroy volume ads/db: it is protected, unprotect it first",
    });
    await put(rig, "unprotect");
    await rig.destroy("db");
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("stands on the label, so that it outlives the checkpoint", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    await put(rig, "protect");
    expect(rig.disk.label(uuid)?.protected).toBe(true);
    await put(rig, "unprotect");
    expect(rig.disk.label(uuid)).not.toHaveProperty("protected");
  });

  test("survives a power cut", async () => {
    const rig = await startRig();
    await rig.create("db");
    await put(rig, "protect");
    await rig.powerCut();
    expect((await rig.live("db")).protected).toBe(true);
  });

  test("changes nothing the second time", async () => {
    const rig = await startRig();
    await rig.create("db");
    const { volume } = await put(rig, "protect");
    const commits = rig.store.commits.length;
    expect((await put(rig, "protect")).volume.revision).toBe(volume.revision);
    expect(rig.store.commits.length).toBe(commits);
  });
});

describe("pin", () => {
  test("is refused for a live volume", async () => {
    const rig = await startRig();
    const { uuid } = await rig.create("db");
    expect(await refusalOf(put(rig, "pin"))).toMatchObject({ code: "no_such_volume" });
    expect(await refusalOf(put(rig, "pin", { uuid }))).toMatchObject({ code: "in_use" });
  });

  test("is refused with the figures when unreserved disk has no room for it", async () => {
    const rig = await startRig({ declared: DECLARED });
    await destroyed(rig);
    await rig.perform({ type: "RESERVE", resources: [disk(950, ADS)] });
    const refusal = await refusalOf(put(rig, "pin"));
    expect(refusal).toMatchObject({ code: "insufficient", details: { wantedMb: 100, freeMb: 50 } });
    expect(await freeMb(rig)).toBe(50);
  });

  test("takes the volume's size from unreserved disk, and unpin gives it back", async () => {
    const rig = await startRig({ declared: DECLARED });
    await destroyed(rig);
    await put(rig, "pin");
    expect(await freeMb(rig)).toBe(900);
    await rig.restart();
    expect(await freeMb(rig)).toBe(900);
    await put(rig, "unpin");
    expect(await freeMb(rig)).toBe(1_000);
  });

  test("keeps content from being collected, by itself and by name", async () => {
    const rig = await startRig();
    const { uuid } = await destroyed(rig);
    await put(rig, "pin");
    const named = await rig.engine.collect(PEER, { dryRun: false, uuids: [uuid] });
    expect(named.kept[0]?.reason).toBe("Cannot collect volume ads/db: it is pinned, unpin it first");
    rig.clock.advance(52 * 7 * 86_400_000);
    const byRule = await rig.engine.collect(PEER, { dryRun: false });
    expect(byRule.kept[0]).toMatchObject({ reason: "it is pinned, unpin it first", dueAt: undefined });
    expect(await rig.states()).toEqual(["db retained"]);
  });

  test("ends with a restore, which takes the room of the pin", async () => {
    const rig = await startRig({ declared: [disk(100)] });
    await destroyed(rig);
    await put(rig, "pin");
    await rig.engine.restore(PEER, DB);
    expect((await rig.live("db")).pinned).toBeUndefined();
    expect(await freeMb(rig)).toBe(0);
  });
});

describe("who may mark", () => {
  const acls = (rules: object) => ({ permissive: false, ...rules });

  test.each([
    ["protect", { create_volumes: [{ principals: { values: ["eve"] }, roles: { values: ["eng"] } }] }],
    ["unprotect", { destroy_volumes: [{ principals: { values: ["eve"] }, creator_principals: { values: ["ops"] } }] }],
    ["pin", {}],
    ["unpin", {}],
  ] as const)("%s is refused before anything is said about the volume", async (mark, rules) => {
    const rig = await startRig();
    rig.setAcls(acls(rules));
    const missing = await refusalOf(put(rig, mark, DB, EVE));
    await rig.create("db");
    const there = await refusalOf(put(rig, mark, DB, EVE));
    expect(missing).toMatchObject({ code: "forbidden" });
    expect(there).toMatchObject({ code: "forbidden", message: missing.message });
  });

  test("who may create volumes of the role may protect them, and not take that away", async () => {
    const rig = await startRig();
    await rig.create("db");
    rig.setAcls(acls({ create_volumes: [{ principals: { values: ["eve"] }, roles: { values: ["ads"] } }] }));
    await put(rig, "protect", DB, EVE);
    expect(await refusalOf(put(rig, "unprotect", DB, EVE))).toMatchObject({ code: "forbidden" });
  });

  test("who may create volumes of the role may pin destroyed ones, and not take that away", async () => {
    const rig = await startRig();
    await destroyed(rig);
    rig.setAcls(acls({ create_volumes: [{ principals: { values: ["eve"] }, roles: { values: ["ads"] } }] }));
    await put(rig, "pin", DB, EVE);
    expect(await refusalOf(put(rig, "unpin", DB, EVE))).toMatchObject({ code: "forbidden" });
  });
});
