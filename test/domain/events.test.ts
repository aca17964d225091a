import { describe, expect, it } from "vitest";
import { eventsOf } from "../../src/domain/events.ts";
import { NodeState, Transaction } from "../../src/domain/node.ts";
import type { AppRecord, Attachment, Container, ReservationRecord, Volume } from "../../src/domain/records.ts";
import { poolKey, ROOT_DISK } from "../../src/domain/resource.ts";
import type {
  AppId,
  BootId,
  ContainerId,
  ContainerPath,
  Incarnation,
  InstanceId,
  MilliMb,
  VolumeId,
} from "../../src/domain/units.ts";
import { volumeOn } from "../support/sample-volume.ts";
import { disk, reservedFor } from "./world.ts";

const ADS = [reservedFor("ads")];
const VOLUME: Volume = volumeOn({
  uuid: "22222222-2222-4222-8222-222222222222" as Incarnation,
  directory: { ino: "7", birthNs: "0" },
});
const RETIRED = { at: VOLUME.createdAt, bootId: "boot" as BootId, bootTimeMs: 1 };

const WEB: Container = {
  id: "web" as ContainerId,
  sandbox: "/sandbox",
  bootId: "boot" as BootId,
  since: VOLUME.createdAt,
  by: "ops",
  attachments: [],
};

const ATTACHED: Attachment = {
  uuid: VOLUME.uuid,
  containerPath: "data" as ContainerPath,
  mode: "RW",
  phase: "attached",
  madeMountpoint: true,
};

const LENT = { ...ATTACHED, mount: { backend: "lent", atBootMs: 1, seen: false } } as const;

const APP: AppRecord = {
  id: "/web" as AppId,
  role: VOLUME.role,
  instances: 1,
  volumes: [],
  residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 1 },
  definition: "{}",
  members: [],
  createdBy: "ops",
  createdAt: VOLUME.createdAt,
  version: VOLUME.createdAt,
};

/** What a transaction tells, one line an event: `attached db web: at data`. */
function told(before: (tx: Transaction) => void, change: (tx: Transaction) => void): string[] {
  const state = new NodeState([disk(1_000)]);
  before(new Transaction(state));
  const tx = new Transaction(state);
  change(tx);
  const events = eventsOf(tx.changes, tx.replaced, (uuid) => state.volumes.get(uuid));
  return events.map(({ type, id, size, container, app, message }) => {
    const facts = [type, id, size === undefined ? undefined : size / 1000, container, app];
    return facts.filter((fact) => fact !== undefined).join(" ") + (message === undefined ? "" : `: ${message}`);
  });
}

const volume = (value: Volume | undefined) => (tx: Transaction) => tx.set("volumes", VOLUME.uuid, value);
const volumeBecomes = (before: Volume | undefined, after: Volume | undefined) => told(volume(before), volume(after));
const reserved = (mb: number) => (tx: Transaction) => {
  const record: ReservationRecord = { source: ROOT_DISK, reservations: ADS, size: (mb * 1000) as MilliMb };
  tx.set("reservations", poolKey(ROOT_DISK, ADS), mb === 0 ? undefined : record);
};
const nothing = () => {};
const has =
  (...attachments: readonly Attachment[]) =>
  (tx: Transaction) => {
    tx.set("volumes", VOLUME.uuid, VOLUME);
    tx.set("containers", WEB.id, attachments.length === 0 ? undefined : { ...WEB, attachments });
  };
const containerBecomes = (before: readonly Attachment[], after: readonly Attachment[]) =>
  told(has(...before), (tx) => {
    tx.set("containers", WEB.id, after.length === 0 ? undefined : { ...WEB, attachments: after });
  });
const app = (value: AppRecord | undefined) => (tx: Transaction) => tx.set("apps", APP.id, value);
const appBecomes = (before: AppRecord | undefined, after: AppRecord | undefined) => told(app(before), app(after));
const named = `${VOLUME.id} ${VOLUME.size / 1000}`;

describe("eventsOf", () => {
  it("tells how much more or less is reserved", () => {
    expect(told(nothing, reserved(100))).toEqual(["reserved 100"]);
    expect(told(reserved(100), reserved(150))).toEqual(["reserved 50"]);
    expect(told(reserved(150), reserved(0))).toEqual(["unreserved 150"]);
    expect(told(reserved(150), reserved(150))).toEqual([]);
  });

  it("tells of a volume's life, and of each step only once", () => {
    const destroying: Volume = { ...VOLUME, phase: "destroying", retired: RETIRED };
    const retained: Volume = { ...destroying, phase: "retained" };
    const collecting: Volume = { ...retained, phase: "collecting" };
    expect(volumeBecomes(undefined, VOLUME)).toEqual([`created ${named}`]);
    expect(volumeBecomes(VOLUME, destroying)).toEqual([`destroyed ${named}`]);
    expect(volumeBecomes(destroying, retained)).toEqual([]);
    expect(volumeBecomes(retained, VOLUME)).toEqual([`restored ${named}`]);
    expect(volumeBecomes(retained, collecting)).toEqual([]);
    expect(volumeBecomes(collecting, undefined)).toEqual([`collected ${named}`]);
    expect(volumeBecomes(retained, undefined)).toEqual([`collected ${named}`]);
  });

  it("tells the old name of what is restored under another one", () => {
    const retained: Volume = { ...VOLUME, phase: "retained", retired: RETIRED };
    const [event] = volumeBecomes(retained, { ...VOLUME, id: "other" as VolumeId });
    expect(event).toContain(`: it was ${VOLUME.role}/${VOLUME.id}`);
  });

  it("tells of an adoption when it is through, and nothing of one that is taken back", () => {
    const adopting: Volume = { ...VOLUME, origin: "/srv/db" };
    expect(volumeBecomes(undefined, adopting)).toEqual([]);
    expect(volumeBecomes(adopting, undefined)).toEqual([]);
    expect(volumeBecomes(adopting, VOLUME)).toEqual([`adopted ${named}: from /srv/db`]);
  });

  it("tells of sizes, marks and notes", () => {
    const larger = { ...VOLUME, size: (VOLUME.size * 2) as MilliMb };
    expect(volumeBecomes(VOLUME, larger)[0]).toMatch(/^grown .*: from .* MB to .* MB$/);
    expect(volumeBecomes(larger, VOLUME)[0]).toMatch(/^shrunk /);
    expect(volumeBecomes(VOLUME, { ...VOLUME, protected: true })).toEqual([`protected ${named}`]);
    expect(volumeBecomes({ ...VOLUME, protected: true }, VOLUME)).toEqual([`unprotected ${named}`]);
    const retained: Volume = { ...VOLUME, phase: "retained", retired: RETIRED };
    expect(volumeBecomes(retained, { ...retained, pinned: true })).toEqual([`pinned ${named}`]);
    expect(volumeBecomes({ ...retained, pinned: true }, retained)).toEqual([`unpinned ${named}`]);
    const note = { description: "clicks", labels: [{ key: "team", value: "ads" }] };
    expect(volumeBecomes(VOLUME, { ...VOLUME, note })).toEqual([`described ${named}: clicks, team=ads`]);
    expect(volumeBecomes({ ...VOLUME, note }, { ...VOLUME, note: { ...note } })).toEqual([]);
  });

  it("tells nothing of what is noted for the daemon itself", () => {
    expect(volumeBecomes(VOLUME, { ...VOLUME, firstAttachedAt: VOLUME.createdAt, revision: 9 })).toEqual([]);
  });

  it("counts an attachment from when it is there until it is gone", () => {
    const attaching: Attachment = { ...ATTACHED, phase: "attaching" };
    const detaching: Attachment = { ...ATTACHED, phase: "detaching" };
    const at = `${VOLUME.id} web: at data`;
    expect(containerBecomes([], [attaching])).toEqual([]);
    expect(containerBecomes([attaching], [ATTACHED])).toEqual([`attached ${at}`]);
    expect(containerBecomes([attaching], [])).toEqual([]);
    expect(containerBecomes([ATTACHED], [detaching])).toEqual([]);
    expect(containerBecomes([detaching], [ATTACHED])).toEqual([]);
    expect(containerBecomes([detaching], [])).toEqual([`detached ${at}`]);
    expect(containerBecomes([ATTACHED], [])).toEqual([`detached ${at}`]);
  });

  it("says when somebody still has what was detached, and nothing when that is over", () => {
    const lingering: Attachment = { ...ATTACHED, phase: "lingering" };
    expect(containerBecomes([ATTACHED], [lingering])).toEqual([
      `detached ${VOLUME.id} web: by force, somebody still has it at data`,
    ]);
    expect(containerBecomes([lingering], [])).toEqual([]);
  });

  it("takes an engine's word that it gives back for no end", () => {
    expect(containerBecomes([LENT], [{ ...LENT, phase: "lingering" }])).toEqual([]);
    expect(containerBecomes([{ ...LENT, phase: "lingering" }], [LENT])).toEqual([]);
    expect(containerBecomes([{ ...LENT, phase: "lingering" }], [])).toEqual([`detached ${VOLUME.id} web: at data`]);
  });

  it("tells of what moved to another path as two", () => {
    const moved = { ...ATTACHED, containerPath: "other" as ContainerPath };
    expect(containerBecomes([ATTACHED], [moved])).toEqual([
      `detached ${VOLUME.id} web: at data`,
      `attached ${VOLUME.id} web: at other`,
    ]);
  });

  it("tells of apps, and of instances whose container vanished", () => {
    const member = { id: "web.1" as InstanceId, volumes: [], createdAt: APP.createdAt };
    const lost = { ...member, lost: { container: WEB.id, since: RETIRED } };
    expect(appBecomes(undefined, APP)).toEqual(["app-created /web: 1 instance"]);
    expect(appBecomes(APP, { ...APP, instances: 3 })).toEqual(["app-scaled /web: from 1 to 3 instances"]);
    expect(appBecomes(APP, { ...APP, definition: "{ }" })).toEqual(["app-changed /web"]);
    expect(appBecomes(APP, { ...APP, members: [member] })).toEqual([]);
    expect(appBecomes({ ...APP, members: [member] }, { ...APP, members: [lost] })).toEqual([
      "instance-lost web /web: instance web.1: its container vanished",
    ]);
    expect(appBecomes({ ...APP, members: [lost] }, { ...APP, members: [lost] })).toEqual([]);
    expect(appBecomes(APP, undefined)).toEqual(["app-deleted /web"]);
  });

  it("tells of one instance among very many at once", () => {
    const member = (index: number) => ({ id: `web.${index}` as InstanceId, volumes: [], createdAt: APP.createdAt });
    const members = Array.from({ length: 10_000 }, (_, index) => member(index));
    const lost = { ...member(9_999), lost: { container: WEB.id, since: RETIRED } };
    const startedAt = performance.now();
    const events = appBecomes({ ...APP, members }, { ...APP, members: [...members.slice(0, -1), lost] });
    expect(events).toEqual(["instance-lost web /web: instance web.9999: its container vanished"]);
    expect(performance.now() - startedAt).toBeLessThan(150);
  });

  it("keeps the order of a list, and sees what came and went within it", () => {
    expect(
      told(nothing, (tx) => {
        reserved(100)(tx);
        volume(VOLUME)(tx);
        volume({ ...VOLUME, phase: "destroying", retired: RETIRED })(tx);
      }),
    ).toEqual(["reserved 100", `created ${named}`, `destroyed ${named}`]);
  });

  it("names the app that a volume is for", () => {
    const owned: Volume = { ...VOLUME, app: { id: APP.id, instance: "web.1" as InstanceId } };
    expect(volumeBecomes(undefined, owned)).toEqual([`created ${named} /web`]);
  });
});
