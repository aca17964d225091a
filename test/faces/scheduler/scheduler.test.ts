import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { parseAcls } from "../../../src/domain/acl.ts";
import { HoldfastError } from "../../../src/domain/error.ts";
import type { Principal } from "../../../src/domain/units.ts";
import { disk, reservedFor, volume } from "../../domain/world.ts";
import { AGENT_ID } from "../../fakes/fake-engine.ts";
import { type Client, create, destroy, reserve, Scene, sizesIn, unreserve, volumeJson } from "./scene.ts";

const ads = [reservedFor("ads", "fw")];
const FW = { kind: "principal", principal: "fw" as Principal } as const;
const OTHER = { kind: "principal", principal: "other" as Principal } as const;
const THIEF = { kind: "principal", principal: "thief" as Principal } as const;

let scene: Scene;

beforeEach(() => {
  scene = new Scene(disk(1000));
});

afterEach(() => {
  scene.scheduler.stop();
});

describe("a framework that Mesos would not have is told by an ERROR event and the stream's end", () => {
  async function refusal(info: object, options?: Parameters<Scene["subscribe"]>[1]): Promise<string> {
    const client = await scene.subscribe(info, options);
    expect(client.events.map(({ type }) => type)).toEqual(["ERROR"]);
    expect(client.ending).toBe("ended");
    return client.of("ERROR")[0].message;
  }

  it.each<[string, object, RegExp]>([
    ["one that says role though it is MULTI_ROLE", { role: "ads" }, /'FrameworkInfo.role' must not be set/],
    ["one that says roles though it is not", { capabilities: [] }, /'FrameworkInfo.roles' must not be set/],
    ["one that names a role twice", { roles: ["a", "a"] }, /duplicate/],
    ["one with a role that is none", { roles: ["a//b"] }, /no empty component/],
    ["one with too many roles", { roles: Array.from({ length: 101 }, (_, n) => `r${n}`) }, /at most 100/],
    ["one with a negative failover timeout", { failover_timeout: -1 }, /failover_timeout is invalid: -1/],
  ])("%s", async (_what, info, message) => {
    expect(await refusal(info)).toMatch(message);
  });

  it("one whose role the ACLs deny", async () => {
    scene.node.acls = parseAcls({ register_frameworks: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }] });
    expect(await refusal({})).toBe("Cannot subscribe in role ads: the ACLs do not allow register_frameworks to fw");
  });

  it("one that was torn down", async () => {
    const client = await scene.subscribe();
    await client.say("TEARDOWN");
    expect(client.ending).toBe("ended");
    expect(await refusal({}, { id: client.frameworkId })).toBe("Framework has been removed");
  });

  it("one that takes another principal's id", async () => {
    const { frameworkId } = await scene.subscribe();
    expect(await refusal({}, { id: frameworkId, actor: THIEF })).toBe("Changing framework's principal is not allowed");
  });

  it("one that takes another principal's id after a restart, though nothing is known of that one", async () => {
    const { frameworkId: id } = await scene.subscribe();
    scene.restart();
    expect(await refusal({}, { id, actor: THIEF })).toBe("Changing framework's principal is not allowed");
    expect((await scene.subscribe({}, { id })).frameworkId).toBe(id);
  });

  it("a principal's hundred and first, unless one of them is only waited for, who is gone then", async () => {
    const first = await scene.subscribe({ roles: [] });
    for (let count = 1; count < 100; count += 1) await scene.subscribe({ roles: [] });
    expect(await refusal({})).toBe("Too many frameworks: 100 are connected");
    await first.disconnect();
    const late = await scene.subscribe();
    expect(late.offers()).toHaveLength(1);
    expect(scene.scheduler.find(first.frameworkId, FW)).toBeUndefined();
  });

  it("one of whom there are many, and never one of whom there are few", async () => {
    const waiting = await scene.subscribe({ roles: [] }, { actor: OTHER });
    await waiting.disconnect();
    let many = 0;
    while ((await scene.subscribe({ roles: [] })).frameworkId !== "") many += 1;
    expect(many).toBe(100);
    expect((await scene.subscribe({}, { actor: OTHER })).of("SUBSCRIBED")).toHaveLength(1);
    expect((await scene.subscribe({}, { actor: THIEF })).of("SUBSCRIBED")).toHaveLength(1);
    expect(scene.scheduler.find(waiting.frameworkId, OTHER)).toBeDefined();
  });

  it("one that comes while the daemon stops, and is closed at once", async () => {
    const operations = Promise.withResolvers<[]>();
    scene.node.operations = () => operations.promise;
    const subscribing = scene.subscribe({}, { id: "known" });
    scene.scheduler.stop();
    operations.resolve([]);
    const client = await subscribing;
    expect([client.ending, client.events]).toEqual(["ended", []]);
    expect(scene.scheduler.find("known", FW)).toBeUndefined();
  });

  it("one whose earlier operations cannot be found out", async () => {
    scene.node.operations = () => Promise.reject(new TypeError("secret"));
    expect(await refusal({}, { id: "known" })).toBe("Cannot subscribe: a failure inside Holdfast");
  });
});

describe("an id that the node did not give out", () => {
  it("is another framework's for each principal, whoever comes first and whatever they did", async () => {
    const planted = { type: "RESERVE", resources: [disk(1, [reservedFor("ads", "thief")])] } as const;
    await scene.node.perform(THIEF, [planted], { id: '["own-choice","r"]' });
    const thief = await scene.subscribe({}, { id: "own-choice", actor: THIEF });
    const owner = await scene.subscribe({}, { id: "own-choice" });
    await owner.accept([reserve(1, "r")]);
    expect(owner.status("r").state).toBe("OPERATION_FINISHED");
    expect([thief.ending, thief.statuses()]).toEqual([undefined, []]);
    await thief.say("TEARDOWN");
    expect(owner.ending).toBeUndefined();
    expect(scene.scheduler.find("own-choice", FW)).toBeDefined();
  });
});

describe("a principal that may not subscribe any more", () => {
  it("is told why and disconnected, and waited for; others are not", async () => {
    const [client, other] = [await scene.subscribe(), await scene.subscribe({}, { actor: OTHER })];
    scene.takenAway.set("fw", new HoldfastError("unauthenticated", "The credentials are gone"));
    scene.scheduler.review();
    expect(client.of("ERROR")).toEqual([{ message: "The credentials are gone" }]);
    expect([client.ending, other.ending]).toEqual(["ended", undefined]);
    expect(scene.scheduler.find(client.frameworkId, FW)?.stream).toBeUndefined();
    await scene.settle(60_000);
    expect(scene.scheduler.find(client.frameworkId, FW)).toBeUndefined();
    expect(scene.scheduler.find(other.frameworkId, OTHER)?.stream).toBeDefined();
  });

  it("is not connected when that became so while it came", async () => {
    const operations = Promise.withResolvers<[]>();
    scene.node.operations = () => operations.promise;
    const subscribing = scene.subscribe({}, { id: "known" });
    scene.takenAway.set("fw", new HoldfastError("unauthenticated", "The credentials are gone"));
    scene.scheduler.review();
    operations.resolve([]);
    const client = await subscribing;
    expect(client.of("ERROR")).toEqual([{ message: "The credentials are gone" }]);
    expect(client.frameworkId).toBe("");
  });

  it("is disconnected when the ACLs deny one of the roles that it is in now", async () => {
    const client = await scene.subscribe({ roles: ["web"] });
    await client.say("UPDATE_FRAMEWORK", {
      framework_info: {
        user: "root",
        name: "test",
        id: { value: client.frameworkId },
        roles: ["ads"],
        capabilities: [{ type: "MULTI_ROLE" }],
        failover_timeout: 60,
      },
    });
    scene.node.acls = parseAcls({
      register_frameworks: [{ principals: { type: "ANY" }, roles: { values: ["web"] } }],
      permissive: false,
    });
    scene.scheduler.review();
    expect(client.of("ERROR")[0].message).toContain("do not allow register_frameworks to fw");
  });
});

describe("offers", () => {
  it("are of the role's and of unreserved disk, in the form after refinement", async () => {
    scene.node.operate({ type: "RESERVE", resources: [disk(100, ads)] });
    scene.node.operate({ type: "RESERVE", resources: [disk(50, [reservedFor("web")])] });
    scene.node.operate({ type: "CREATE", volumes: [volume("v", 60, ads)] });
    const client = await scene.subscribe();
    const offer = client.offer();
    expect(offer).toMatchObject({
      agent_id: { value: AGENT_ID },
      framework_id: { value: client.frameworkId },
      hostname: "node-1",
      allocation_info: { role: "ads" },
    });
    expect(sizesIn(offer)).toEqual({ "": 850, ads: 40, "ads/v": 60 });
    expect(offer.resources[1]).toEqual({
      name: "disk",
      type: "SCALAR",
      scalar: { value: 40 },
      reservations: [{ type: "DYNAMIC", role: "ads", principal: "fw" }],
      allocation_info: { role: "ads" },
    });
  });

  it("are in the form before refinement for a framework that knows no other, without what that cannot say", async () => {
    scene.node.operate({ type: "RESERVE", resources: [disk(100, [reservedFor("eng", "fw")])] });
    scene.node.operate({ type: "RESERVE", resources: [disk(30, [reservedFor("eng", "fw"), reservedFor("eng/web")])] });
    const client = await scene.subscribe({ roles: [], role: "eng/web", capabilities: [] });
    expect(client.offer().resources).toEqual([
      { name: "disk", type: "SCALAR", scalar: { value: 900 }, role: "*" },
      { name: "disk", type: "SCALAR", scalar: { value: 70 }, role: "eng", reservation: { principal: "fw" } },
    ]);
    expect(client.offer()).not.toHaveProperty("allocation_info");
  });

  it("have shared volumes only for who takes them", async () => {
    scene.node.operate({ type: "RESERVE", resources: [disk(100, ads)] });
    scene.node.operate({ type: "CREATE", volumes: [volume("s", 100, ads, { shared: true })] });
    const without = await scene.subscribe();
    const capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES"].map((type) => ({ type }));
    const with_ = await scene.subscribe({ capabilities });
    expect(sizesIn(without.offer())).toEqual({ "": 900 });
    expect(sizesIn(with_.offer())).toEqual({ "": 900, "ads/s": 100 });
    expect(with_.offer().resources[1].shared).toEqual({});
  });

  it("are one for each role", async () => {
    const client = await scene.subscribe({ roles: ["ads", "web"] });
    expect(client.offers().map(({ allocation_info }) => allocation_info.role)).toEqual(["ads", "web"]);
  });

  it("are of what is new, when something was added", async () => {
    scene.node.operate({ type: "RESERVE", resources: [disk(400, [reservedFor("web")])] });
    const client = await scene.subscribe();
    scene.node.operate({ type: "UNRESERVE", resources: [disk(150, [reservedFor("web")])] });
    await scene.settle();
    expect(client.offers().map(sizesIn)).toEqual([{ "": 600 }, { "": 150 }]);
    expect(client.rescinded()).toEqual([]);
  });

  it("are rescinded when the operator takes the disk, and what is left is offered", async () => {
    const client = await scene.subscribe();
    scene.node.operate({ type: "RESERVE", resources: [disk(400, [reservedFor("web")])] });
    await scene.settle();
    expect(client.rescinded()).toEqual([client.offers()[0].id.value]);
    expect(sizesIn(client.offer())).toEqual({ "": 600 });
  });

  it("are found to be wrong also when nobody told that something changed", async () => {
    const client = await scene.subscribe();
    scene.node.world.perform({ type: "RESERVE", resources: [disk(400, [reservedFor("web")])] });
    await scene.settle(15_000);
    expect(sizesIn(client.offer())).toEqual({ "": 600 });
  });

  it("are several where there are thousands of volumes, and only what changed is rescinded", async () => {
    scene = new Scene(disk(3000));
    scene.node.operate({ type: "RESERVE", resources: [disk(2500, ads)] });
    const volumes = Array.from({ length: 2500 }, (_, index) => volume(`v${index}`, 1, ads));
    scene.node.operate({ type: "CREATE", volumes });
    const client = await scene.subscribe();
    expect(client.offers().map(({ resources }) => resources.length)).toEqual([1000, 1000, 501]);
    scene.node.operate({ type: "RESERVE", resources: [disk(1, [reservedFor("web")])] });
    await scene.settle();
    expect(client.rescinded()).toEqual([client.offers()[0].id.value]);
    expect(client.offers()).toHaveLength(4);
  });

  it("are rescinded when another framework takes the disk", async () => {
    const [one, other] = [await scene.subscribe(), await scene.subscribe({ roles: ["web"] })];
    await one.accept([reserve(10)]);
    expect(other.rescinded()).toEqual([other.offers()[0].id.value]);
    expect(sizesIn(other.offer())).toEqual({ "": 990 });
  });

  it("do not come while looking at the disk fails, and come later", async () => {
    const { resources } = scene.node;
    scene.node.resources = () => Promise.reject(new HoldfastError("unavailable", "Cannot look"));
    const client = await scene.subscribe();
    expect(client.offers()).toEqual([]);
    expect(scene.warnings).toEqual(["Cannot look at the disk to offer it"]);
    scene.node.resources = resources;
    await scene.settle(1_000);
    expect(client.offers()).toHaveLength(1);
  });

  it("do not come while those that came are still being read, and come later", async () => {
    const labels = [{ key: "k", value: "x".repeat(9_000_000) }];
    scene.node.operate({ type: "RESERVE", resources: [disk(100, [{ ...reservedFor("ads", "fw"), labels }])] });
    const client = await scene.subscribe({}, { stalled: true });
    scene.node.operate({ type: "RESERVE", resources: [disk(10, ads)] });
    await scene.settle(15_000);
    expect(client.ending).toBeUndefined();
    client.readSome(200);
    await scene.settle(15_000);
    client.readSome(200);
    expect(client.rescinded()).toEqual([client.offers()[0].id.value]);
    expect(client.offers()).toHaveLength(2);
  });

  it("are not made to who is not connected", async () => {
    const client = await scene.subscribe();
    await client.disconnect();
    const count = client.events.length;
    scene.node.operate({ type: "RESERVE", resources: [disk(400, [reservedFor("web")])] });
    await scene.settle(30_000);
    expect(client.events).toHaveLength(count);
  });
});

describe("DECLINE, SUPPRESS and REVIVE", () => {
  let client: Client;

  beforeEach(async () => {
    client = await scene.subscribe();
  });

  function decline(refuse_seconds?: number): Promise<void> {
    const filters = refuse_seconds === undefined ? {} : { filters: { refuse_seconds } };
    return client.say("DECLINE", { offer_ids: [client.offer().id], ...filters });
  }

  it("has the offer again after 5 seconds, when it does not say how long", async () => {
    await decline();
    await scene.settle(4_000);
    expect(client.offers()).toHaveLength(1);
    await scene.settle(1_000);
    await scene.settle();
    expect(client.offers()).toHaveLength(2);
  });

  it("has it again at once when it refuses for no time", async () => {
    await decline(0);
    expect(client.offers()).toHaveLength(2);
  });

  it("takes a negative time for none said", async () => {
    await decline(-7);
    expect(client.offers()).toHaveLength(1);
    await scene.settle(5_000);
    await scene.settle();
    expect(client.offers()).toHaveLength(2);
  });

  it("has less than it refused neither, but more", async () => {
    await decline(1000);
    scene.node.operate({ type: "RESERVE", resources: [disk(400, [reservedFor("web")])] });
    await scene.settle();
    expect(client.offers()).toHaveLength(1);
    scene.node.operate({ type: "RESERVE", resources: [disk(1, ads)] });
    await scene.settle();
    expect(sizesIn(client.offer())).toEqual({ "": 599, ads: 1 });
  });

  it("has it again when it is revived", async () => {
    await decline(1000);
    await client.say("REVIVE");
    expect(client.offers()).toHaveLength(2);
  });

  it("ignores an offer that is not there", async () => {
    await client.say("DECLINE", { offer_ids: [{ value: "nothing" }] });
    expect(client.offers()).toHaveLength(1);
  });

  it("wants none while it is suppressed, and again when it is revived", async () => {
    await client.say("SUPPRESS", { roles: ["ads"] });
    await decline(0);
    expect(client.offers()).toHaveLength(1);
    await client.say("REVIVE", { roles: ["ads"] });
    expect(client.offers()).toHaveLength(2);
  });

  it("wants none of a role that it suppresses as it subscribes", async () => {
    const other = await scene.subscribe({ roles: ["ads", "web"] }, { more: { suppressed_roles: ["ads"] } });
    expect(other.offers().map(({ allocation_info }) => allocation_info.role)).toEqual(["web"]);
  });
});

describe("ACCEPT", () => {
  let client: Client;

  beforeEach(async () => {
    client = await scene.subscribe();
  });

  it("performs a list as a whole, and the next offer shows all of it", async () => {
    await client.accept([reserve(100, "r"), create("v", 60, "c")]);
    expect(scene.node.performed).toBe(1);
    expect(client.status("r")).toMatchObject({ state: "OPERATION_FINISHED", message: expect.any(String) });
    expect(client.status("c").converted_resources[0].disk.persistence).toEqual({ id: "v", principal: "fw" });
    expect(client.status("c").uuid.value).toMatch(/^[A-Za-z0-9+/]{22}==$/);
    expect(sizesIn(client.offer())).toEqual({ "": 900, ads: 40, "ads/v": 60 });
    expect(client.offers()).toHaveLength(2);
  });

  it("does not offer again what is left for as long as it refuses, unless there is more", async () => {
    await client.accept([reserve(1000, "r"), unreserve(1000, "u")], { filters: { refuse_seconds: 1000 } });
    expect(client.offers()).toHaveLength(2);
    await client.say("ACCEPT", { offer_ids: [client.offer().id], operations: [], filters: { refuse_seconds: 1000 } });
    expect(client.offers()).toHaveLength(2);
  });

  it("performs nothing when one of the list is refused, and says which", async () => {
    await client.accept([reserve(100, "r"), create("v", 101, "c"), unreserve(1, "u")]);
    expect(scene.node.performed).toBe(0);
    expect(client.status("c").state).toBe("OPERATION_ERROR");
    expect(client.status("c").message).toMatch(/^Cannot CREATE on this offer: it does not have 101 MB/);
    expect(client.status("r").state).toBe("OPERATION_DROPPED");
    expect(client.status("u").message).toMatch(/^Not performed, because operation 2 of the list was not: /);
  });

  it("refuses operations out of order", async () => {
    await client.accept([create("v", 10, "c"), reserve(10, "r")]);
    expect([client.status("c").state, client.status("r").state]).toEqual(["OPERATION_ERROR", "OPERATION_DROPPED"]);
    expect(scene.node.performed).toBe(0);
  });

  it.each<[string, object, RegExp]>([
    ["without a message", { type: "RESERVE", id: { value: "x" } }, /operation 1: reserve is missing/],
    [
      "on cpus",
      {
        type: "RESERVE",
        id: { value: "x" },
        reserve: { resources: [{ name: "cpus", type: "SCALAR", scalar: { value: 1 } }] },
      },
      /only disk is managed/,
    ],
    ["that Mesos has for other disks", { type: "CREATE_DISK", id: { value: "x" } }, /does not concern this disk/],
  ])("refuses an operation %s", async (_what, operation, message) => {
    await client.accept([operation]);
    expect(client.status("x")).toMatchObject({ state: "OPERATION_ERROR", message: expect.stringMatching(message) });
  });

  it("refuses to act on disk that was not offered, whatever the ACLs allow", async () => {
    const web = [{ type: "DYNAMIC", role: "web" }];
    scene.node.operate({ type: "RESERVE", resources: [disk(50, [reservedFor("web")])] });
    await scene.settle();
    const resources = [{ name: "disk", type: "SCALAR", scalar: { value: 50 }, reservations: web }];
    await client.accept([{ type: "UNRESERVE", id: { value: "x" }, unreserve: { resources } }]);
    expect(client.status("x").state).toBe("OPERATION_ERROR");
    expect(scene.node.performed).toBe(0);
  });

  it("refuses a shared volume of a framework that does not know them", async () => {
    const shared = { ...volumeJson("v", 60), shared: {} };
    const operations = [reserve(100, "r"), { type: "CREATE", id: { value: "c" }, create: { volumes: [shared] } }];
    await client.accept(operations, { filters: { refuse_seconds: 0 } });
    expect(client.status("c")).toMatchObject({
      state: "OPERATION_ERROR",
      message: "Cannot CREATE: volume v is shared, and the framework does not have the capability SHARED_RESOURCES",
    });
    expect(scene.node.performed).toBe(0);
    const capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES"].map((type) => ({ type }));
    const other = await scene.subscribe({ capabilities });
    await other.accept(operations);
    expect(other.status("c").state).toBe("OPERATION_FINISHED");
  });

  it("refuses an allocation to another role than the offer's, and takes the offer's", async () => {
    const withAllocation = (role: string, id: string) => ({
      type: "RESERVE",
      id: { value: id },
      reserve: {
        resources: [
          {
            name: "disk",
            type: "SCALAR",
            scalar: { value: 5 },
            reservations: [{ type: "DYNAMIC", role: "ads" }],
            allocation_info: { role },
          },
        ],
      },
    });
    await client.accept([withAllocation("web", "w")], { filters: { refuse_seconds: 0 } });
    expect(client.status("w")).toMatchObject({ state: "OPERATION_ERROR", message: expect.stringContaining('"web"') });
    await client.accept([withAllocation("ads", "a")]);
    expect(client.status("a").state).toBe("OPERATION_FINISHED");
    expect(client.status("a").converted_resources[0].reservations[0].principal).toBe("fw");
  });

  it.each([
    ["insufficient", "OPERATION_FAILED"],
    ["forbidden", "OPERATION_ERROR"],
    ["unavailable", "OPERATION_DROPPED"],
  ] as const)("tells a refusal of the node: %s is %s", async (code, state) => {
    scene.node.failure = { error: new HoldfastError(code, "Cannot do it: so it is") };
    await client.accept([reserve(1, "r")]);
    expect(client.status("r")).toMatchObject({ state, message: "Cannot do it: so it is" });
  });

  it("reveals nothing of a failure of our own", async () => {
    scene.node.failure = { error: new TypeError("secret") };
    await client.accept([reserve(1, "r")]);
    expect(client.status("r").state).toBe("OPERATION_DROPPED");
    expect(JSON.stringify(client.events)).not.toContain("secret");
  });

  it("takes no offer twice, and none that was rescinded", async () => {
    const first = client.offer().id;
    scene.node.operate({ type: "RESERVE", resources: [disk(1, [reservedFor("web")])] });
    await scene.settle();
    await client.say("ACCEPT", { offer_ids: [first], operations: [reserve(1, "r")] });
    expect(client.status("r")).toEqual({
      operation_id: { value: "r" },
      state: "OPERATION_ERROR",
      message: `Offer ${first.value} is no longer valid`,
      agent_id: { value: AGENT_ID },
    });
    expect(scene.node.performed).toBe(0);
  });

  it("refuses offers to different roles together", async () => {
    const both = await scene.subscribe({ roles: ["ads", "web"] });
    const offer_ids = both.offers().map(({ id }) => id);
    await both.say("ACCEPT", { offer_ids, operations: [reserve(1, "r")] });
    expect(both.status("r").message).toBe("Aggregated offers must be allocated to the same role");
  });

  it("takes several offers together", async () => {
    scene.node.operate({ type: "RESERVE", resources: [disk(7, ads)] });
    await scene.settle();
    const offer_ids = client.offers().map(({ id }) => id);
    await client.say("ACCEPT", { offer_ids: offer_ids.slice(-1), operations: [create("v", 7, "c")] });
    expect(client.status("c").state).toBe("OPERATION_FINISHED");
  });

  it("answers a task with an error that says that none run here, and does the rest", async () => {
    const launch = { type: "LAUNCH", launch: { task_infos: [{ name: "t", task_id: { value: "t1" } }] } };
    await client.accept([reserve(10, "r"), launch]);
    expect(client.of("UPDATE")[0].status).toMatchObject({
      task_id: { value: "t1" },
      state: "TASK_ERROR",
      source: "SOURCE_MASTER",
      reason: "REASON_TASK_INVALID",
      message: "Holdfast runs no tasks: it manages disk only",
    });
    expect(client.status("r").state).toBe("OPERATION_FINISHED");
  });

  it("says of a task group on an invalid offer that the offer is", async () => {
    const tasks = [{ task_id: { value: "a" } }, { task_id: { value: "b" } }];
    const operations = [{ type: "LAUNCH_GROUP", launch_group: { task_group: { tasks } } }];
    await client.say("ACCEPT", { offer_ids: [{ value: "x" }], operations });
    expect(client.of("UPDATE").map(({ status }) => [status.task_id.value, status.state, status.reason])).toEqual([
      ["a", "TASK_LOST", "REASON_INVALID_OFFERS"],
      ["b", "TASK_LOST", "REASON_INVALID_OFFERS"],
    ]);
  });

  it("makes no offers of the disk as it was while operations are performed", async () => {
    const gate = Promise.withResolvers<void>();
    scene.node.gate = gate.promise;
    const accepted = client.accept([reserve(100, "r")]);
    await scene.settle(20_000);
    expect(client.offers()).toHaveLength(1);
    gate.resolve();
    await accepted;
    expect(sizesIn(client.offer())).toEqual({ "": 900, ads: 100 });
  });
});

describe("an operation that is repeated", () => {
  let client: Client;

  beforeEach(async () => {
    client = await scene.subscribe();
  });

  it("is not performed again, on the same offer or the next one", async () => {
    const { id } = client.offer();
    const operations = [reserve(100, "r"), create("v", 60, "c")];
    await client.say("ACCEPT", { offer_ids: [id], operations });
    await client.say("ACCEPT", { offer_ids: [id], operations });
    await client.accept(operations);
    expect(scene.node.performed).toBe(1);
    expect(client.statuses().map(({ state }) => state)).toEqual(Array(6).fill("OPERATION_FINISHED"));
  });

  it("is not performed again while it still is", async () => {
    const gate = Promise.withResolvers<void>();
    scene.node.gate = gate.promise;
    const accept = { offer_ids: [client.offer().id], operations: [reserve(100, "r")] };
    const both = [client.say("ACCEPT", accept), client.say("ACCEPT", accept)];
    await scene.settle();
    gate.resolve();
    await Promise.all(both);
    expect(scene.node.performed).toBe(1);
    expect(client.statuses().every(({ state }) => state === "OPERATION_FINISHED")).toBe(true);
  });

  it("is not performed again when its answer never came, though it was done", async () => {
    scene.node.failure = { error: new HoldfastError("unavailable", "Cannot tell"), afterCommit: true };
    await client.accept([reserve(100, "r")], { filters: { refuse_seconds: 0 } });
    expect(client.status("r").state).toBe("OPERATION_DROPPED");
    scene.node.failure = undefined;
    await client.accept([reserve(100, "r")]);
    expect(client.status("r").state).toBe("OPERATION_FINISHED");
    expect(sizesIn(client.offer())).toMatchObject({ ads: 100 });
  });

  it("is left out of a list that has more, and the rest is performed", async () => {
    await client.accept([reserve(100, "r")]);
    await client.accept([reserve(100, "r"), create("v", 60, "c")]);
    expect(sizesIn(client.offer())).toEqual({ "": 900, ads: 40, "ads/v": 60 });
    await client.accept([create("v", 60, "c")]);
    expect(scene.node.performed).toBe(2);
  });

  it("is left out together with those beside it that have no id", async () => {
    await client.accept([reserve(100), create("v", 60, "c")]);
    await client.accept([reserve(100), create("v", 60, "c")]);
    expect(scene.node.performed).toBe(1);
  });

  it("is performed when it was refused before", async () => {
    await client.accept([reserve(1001, "r")], { filters: { refuse_seconds: 0 } });
    expect(client.status("r").state).toBe("OPERATION_ERROR");
    await client.accept([reserve(1000, "r")]);
    expect(client.status("r").state).toBe("OPERATION_FINISHED");
  });

  it("is refused with other content, and what is beside it dropped", async () => {
    await client.accept([reserve(100, "r")]);
    await client.accept([reserve(101, "r"), create("v", 60, "c")]);
    expect(client.status("r")).toMatchObject({
      state: "OPERATION_ERROR",
      message: "Cannot perform operation r: the id was used before for other content",
    });
    expect(client.status("c").state).toBe("OPERATION_DROPPED");
    expect(scene.node.performed).toBe(1);
  });

  it("is not said to be undone because one beside it is malformed", async () => {
    await client.accept([reserve(100, "r")]);
    await client.accept([reserve(100, "r"), { type: "CREATE", id: { value: "c" } }, unreserve(1, "u")]);
    const states = ["r", "c", "u"].map((id) => client.status(id).state);
    expect(states).toEqual(["OPERATION_FINISHED", "OPERATION_ERROR", "OPERATION_DROPPED"]);
  });

  it("is refused when it is in one list twice", async () => {
    await client.accept([reserve(100, "r"), reserve(100, "r")]);
    expect(scene.node.performed).toBe(0);
    expect(client.status("r")).toMatchObject({
      state: "OPERATION_ERROR",
      message: "Cannot perform operation r: its id is in the list twice",
    });
  });

  it("is another framework's own", async () => {
    const other = await scene.subscribe();
    await client.accept([reserve(100, "r")]);
    await other.accept([reserve(50, "r")]);
    expect(scene.node.performed).toBe(2);
  });

  it("is not performed again after a restart", async () => {
    await client.accept([reserve(100, "r"), create("v", 60, "c")]);
    scene.restart();
    const again = await scene.subscribe({}, { id: client.frameworkId });
    expect(again.frameworkId).toBe(client.frameworkId);
    await again.accept([reserve(100, "r")]);
    expect(again.status("r").state).toBe("OPERATION_FINISHED");
    expect(scene.node.performed).toBe(1);
  });

  it("does not come back where the same principal gave such ids to operations of its own", async () => {
    const fw = { kind: "principal", principal: "fw" as Principal } as const;
    const operation = { type: "RESERVE", resources: [disk(1, ads)] } as const;
    for (const id of ['["mine",', '["mine",{}]', '["mine",1]']) await scene.node.perform(fw, [operation], { id });
    const again = await scene.subscribe({}, { id: "mine" });
    expect(again.frameworkId).toBe("mine");
    await again.say("RECONCILE_OPERATIONS", {});
    expect(again.events.map(({ type }) => type)).toEqual(["SUBSCRIBED", "OFFERS"]);
  });

  it("hinders nobody where there were no credentials when it was performed, or are none now", async () => {
    const anonymous = { kind: "anonymous" } as const;
    const principal = { kind: "principal", principal: "new" as Principal } as const;
    const before = await scene.subscribe({}, { id: "before", actor: anonymous });
    const resources = [{ name: "disk", type: "SCALAR", scalar: { value: 1 } }];
    const reservations = [{ type: "DYNAMIC", role: "ads" }];
    const operation = { type: "RESERVE", reserve: { resources: [{ ...resources[0], reservations }] } };
    await before.accept([{ ...operation, id: { value: "r" } }]);
    expect(before.status("r").state).toBe("OPERATION_FINISHED");
    await client.accept([reserve(1, "r")]);
    scene.restart();
    expect((await scene.subscribe({}, { id: "before", actor: principal })).frameworkId).toBe("before");
    const now = await scene.subscribe({}, { id: client.frameworkId, actor: anonymous });
    expect(now.frameworkId).toBe(client.frameworkId);
  });

  it("is performed again when the node has forgotten it", async () => {
    await client.accept([reserve(100, "r")]);
    scene.node.forgetOutcomes();
    await client.accept([reserve(100, "r")]);
    expect(scene.node.performed).toBe(2);
  });
});

describe("what became of an operation", () => {
  let client: Client;

  beforeEach(async () => {
    client = await scene.subscribe();
    await client.accept([reserve(100, "r")]);
  });

  function acknowledge(uuid = client.status("r").uuid.value): Promise<void> {
    return client.say("ACKNOWLEDGE_OPERATION_STATUS", { operation_id: { value: "r" }, uuid });
  }

  it("is told again after 10 s, 20 s, 40 s, and at most 10 minutes", async () => {
    const waits: number[] = [];
    let last = scene.clock.bootTimeMs();
    for (let second = 0; second < 3_000; second += 1) {
      const before = client.statuses().length;
      scene.clock.advance(1_000);
      if (client.statuses().length === before) continue;
      waits.push(Math.round((scene.clock.bootTimeMs() - last) / 1_000));
      last = scene.clock.bootTimeMs();
    }
    expect(waits.slice(0, 8)).toEqual([10, 20, 40, 80, 160, 320, 600, 600]);
    expect(new Set(client.statuses().map(({ uuid }) => uuid.value)).size).toBe(1);
  });

  it("is told again after an acknowledgement of something else", async () => {
    await acknowledge("AAAAAAAAAAAAAAAAAAAAAA==");
    await scene.settle(10_000);
    expect(client.statuses()).toHaveLength(2);
  });

  it("is not told again once it is acknowledged", async () => {
    await acknowledge();
    await scene.settle(100_000);
    expect(client.statuses()).toHaveLength(1);
  });

  it("is told at once to a framework that is back", async () => {
    await client.disconnect();
    await scene.settle(50_000);
    const again = await scene.subscribe({}, { id: client.frameworkId });
    expect(again.status("r")).toEqual(client.status("r"));
  });

  describe("of so many that they do not fit the stream at once", () => {
    /** 12 MB of statuses that nobody acknowledges. */
    async function perform(): Promise<readonly string[]> {
      const labels = { labels: [{ key: "k", value: "x".repeat(500_000) }] };
      const ids = Array.from({ length: 24 }, (_, index) => `big${index}`);
      for (const id of ids) {
        const reservations = [{ type: "DYNAMIC", role: "ads", principal: "fw", labels }];
        const resources = [{ name: "disk", type: "SCALAR", scalar: { value: 1 }, reservations }];
        const operations = [{ type: "RESERVE", id: { value: id }, reserve: { resources } }];
        await client.accept(operations, { filters: { refuse_seconds: 0 } });
      }
      return ids;
    }

    function toldTo(one: Client): ReadonlySet<string> {
      return new Set(one.statuses().map(({ operation_id }) => operation_id.value));
    }

    it("is told as fast as a framework that is back reads", async () => {
      const ids = await perform();
      const again = await scene.subscribe({}, { id: client.frameworkId, stalled: true });
      expect([again.ending, toldTo(again).size]).toEqual([undefined, 0]);
      for (let second = 0; second < 30; second += 1) {
        again.readSome();
        await scene.settle(1_000);
      }
      expect(again.ending).toBeUndefined();
      expect([...toldTo(again)]).toEqual(expect.arrayContaining([...ids]));
    });

    it("is told when it is asked after as fast as the framework reads", async () => {
      const ids = await perform();
      client.stall();
      const before = client.statuses().length;
      const asked = client.say("RECONCILE_OPERATIONS", {});
      for (let round = 0; round < 30; round += 1) {
        await scene.settle(1_000);
        client.readSome();
      }
      await asked;
      expect(client.ending).toBeUndefined();
      expect(client.statuses().length - before).toBeGreaterThanOrEqual(ids.length);
    });
  });

  it("is not told of operations without an id", async () => {
    await client.accept([reserve(1)]);
    expect(client.statuses()).toHaveLength(1);
  });

  describe("when it is asked after", () => {
    function reconcile(...ids: string[]): Promise<void> {
      const operations = ids.map((value) => ({ operation_id: { value } }));
      return client.say("RECONCILE_OPERATIONS", { operations });
    }

    it("is told without a uuid, also when it was acknowledged", async () => {
      await acknowledge();
      await reconcile("r");
      expect(client.statuses().at(-1)).toMatchObject({ operation_id: { value: "r" }, state: "OPERATION_FINISHED" });
      expect(client.statuses().at(-1)).not.toHaveProperty("uuid");
    });

    it("is unknown when it never was", async () => {
      await reconcile("nothing");
      expect(client.status("nothing").state).toBe("OPERATION_UNKNOWN");
    });

    it("is pending while it is performed", async () => {
      const gate = Promise.withResolvers<void>();
      scene.node.gate = gate.promise;
      const accepted = client.accept([reserve(1, "slow")]);
      await reconcile("slow");
      expect(client.status("slow").state).toBe("OPERATION_PENDING");
      gate.resolve();
      await accepted;
    });

    it("is told of all that are open when none is named", async () => {
      await client.accept([create("v", 1, "c")]);
      await acknowledge();
      const before = client.statuses().length;
      await reconcile();
      expect(
        client
          .statuses()
          .slice(before)
          .map(({ operation_id }) => operation_id.value),
      ).toEqual(["c"]);
    });

    it("is known after a restart", async () => {
      await acknowledge();
      scene.restart();
      client = await scene.subscribe({}, { id: client.frameworkId });
      await reconcile("r");
      await reconcile();
      expect(client.statuses().map(({ state }) => state)).toEqual(["OPERATION_FINISHED", "OPERATION_FINISHED"]);
    });
  });
});

describe("a framework that is disconnected", () => {
  it("is gone at once without a failover timeout; what it reserved stays", async () => {
    const client = await scene.subscribe({ failover_timeout: 0 });
    await client.accept([reserve(100)]);
    await client.disconnect();
    expect(scene.scheduler.find(client.frameworkId, FW)).toBeUndefined();
    expect(scene.node.notes.map(({ type }) => type)).toEqual(["framework-subscribed", "framework-gone"]);
    expect(sizesIn((await scene.subscribe()).offer())).toEqual({ "": 900, ads: 100 });
  });

  it("is gone after its failover timeout", async () => {
    const client = await scene.subscribe({ failover_timeout: 60 });
    await client.disconnect();
    scene.clock.advance(59_000);
    expect(scene.scheduler.find(client.frameworkId, FW)).toBeDefined();
    scene.clock.advance(1_000);
    expect(scene.scheduler.find(client.frameworkId, FW)).toBeUndefined();
    const again = await scene.subscribe({}, { id: client.frameworkId });
    expect(again.of("ERROR")).toEqual([{ message: "Framework has been removed" }]);
  });

  it("is waited for no more when it is back", async () => {
    const client = await scene.subscribe({ failover_timeout: 60 });
    await client.disconnect();
    const again = await scene.subscribe({ failover_timeout: 60 }, { id: client.frameworkId });
    scene.clock.advance(100_000);
    expect(scene.scheduler.find(client.frameworkId, FW)).toBeDefined();
    expect(again.offers()).toHaveLength(1);
    expect(scene.node.notes).toHaveLength(1);
  });

  it("does not lose its new stream when the old one's end is noticed", async () => {
    const client = await scene.subscribe({ failover_timeout: 0 });
    const again = await scene.subscribe({ failover_timeout: 0 }, { id: client.frameworkId });
    expect(client.of("ERROR")).toEqual([{ message: "Framework failed over" }]);
    expect(client.ending).toBe("ended");
    await client.disconnect();
    expect(scene.scheduler.find(client.frameworkId, FW)?.stream).toBe(again.stream);
  });

  it("has no use for the offers of its old stream", async () => {
    const client = await scene.subscribe();
    const { id } = client.offer();
    const again = await scene.subscribe({}, { id: client.frameworkId });
    await again.say("ACCEPT", { offer_ids: [id], operations: [reserve(1, "r")] });
    expect(again.status("r").message).toBe(`Offer ${id.value} is no longer valid`);
  });
});

describe("two frameworks in one role", () => {
  it("are warned about in the log once, and in the notices as long as they are there", async () => {
    const one = await scene.subscribe({ name: "marathon-a" });
    expect(scene.scheduler.notices()).toEqual([]);
    const other = await scene.subscribe({ name: "marathon-b", roles: ["ads", "web"], failover_timeout: 0 });
    const notice = `2 frameworks share role ads ("marathon-a" (${one.frameworkId}), "marathon-b" (${other.frameworkId})): each can take the other's disk, give each a role of its own`;
    expect(scene.scheduler.notices()).toEqual([notice]);
    await scene.subscribe({}, { id: one.frameworkId });
    expect(scene.warnings).toEqual([notice]);
    await other.disconnect();
    expect(scene.scheduler.notices()).toEqual([]);
  });

  it("may both be in the role *", async () => {
    for (const name of ["a", "b"]) await scene.subscribe({ name, roles: ["*"] });
    expect(scene.scheduler.notices()).toEqual([]);
  });

  it("see each other's volumes, and the first one to destroy them does", async () => {
    const [one, other] = [await scene.subscribe(), await scene.subscribe()];
    await one.accept([reserve(100, "r"), create("v", 100, "c")]);
    expect(sizesIn(other.offer())).toEqual({ "": 900, "ads/v": 100 });
    const late = one.offer().id;
    await other.accept([destroy("v", 100, "d"), unreserve(100, "u")]);
    expect(other.status("d").state).toBe("OPERATION_FINISHED");
    await one.say("ACCEPT", { offer_ids: [late], operations: [destroy("v", 100, "d")] });
    expect(one.status("d").state).toBe("OPERATION_ERROR");
  });
});

test("A framework in several roles is told of in each, and to nobody who may view none of them", async () => {
  const client = await scene.subscribe({ roles: ["ads", "web", "*"] });
  await client.say("TEARDOWN");
  expect(scene.node.notes.map(({ type, role }) => [type, role])).toEqual([
    ["framework-subscribed", "ads"],
    ["framework-subscribed", "web"],
    ["framework-gone", "ads"],
    ["framework-gone", "web"],
  ]);
});

describe("calls about what is not here", () => {
  it("say of tasks what Mesos says of tasks that it does not know", async () => {
    const client = await scene.subscribe();
    await client.say("KILL", { task_id: { value: "t" } });
    await client.say("RECONCILE", { tasks: [{ task_id: { value: "u" }, agent_id: { value: AGENT_ID } }] });
    await client.say("RECONCILE", { tasks: [] });
    expect(client.of("UPDATE").map(({ status }) => [status.task_id.value, status.state])).toEqual([
      ["t", "TASK_LOST"],
      ["u", "TASK_LOST"],
    ]);
  });

  it("tell a framework that knows partitions more", async () => {
    const capabilities = ["MULTI_ROLE", "PARTITION_AWARE"].map((type) => ({ type }));
    const client = await scene.subscribe({ capabilities });
    const tasks = [{ task_id: { value: "a" } }, { task_id: { value: "b" }, agent_id: { value: AGENT_ID } }];
    await client.say("RECONCILE", { tasks });
    expect(client.of("UPDATE").map(({ status }) => status.state)).toEqual(["TASK_UNKNOWN", "TASK_GONE"]);
  });

  it.each(["SHUTDOWN", "ACKNOWLEDGE", "MESSAGE", "REQUEST", "ACCEPT_INVERSE_OFFERS", "DECLINE_INVERSE_OFFERS"])(
    "take %s and do nothing",
    async (type) => {
      const client = await scene.subscribe();
      const before = client.events.length;
      await client.say(type, {});
      expect(client.events).toHaveLength(before);
    },
  );
});

describe("a framework that is torn down while its operations are performed", () => {
  it("leaves nothing behind but what was performed", async () => {
    const client = await scene.subscribe();
    const gate = Promise.withResolvers<void>();
    scene.node.gate = gate.promise;
    const accepted = client.accept([reserve(100, "r")], { filters: { refuse_seconds: 1000 } });
    await client.say("TEARDOWN");
    gate.resolve();
    await accepted;
    expect(scene.node.performed).toBe(1);
    // The look at the disk.
    expect(scene.clock.waiting).toBeLessThanOrEqual(2);
  });
});

describe("UPDATE_FRAMEWORK", () => {
  const capabilities = [{ type: "MULTI_ROLE" }];

  it("changes the roles: offers to one that is left are rescinded, to a new one made", async () => {
    const client = await scene.subscribe();
    const framework_info = { id: { value: client.frameworkId }, user: "u", name: "n", roles: ["web"], capabilities };
    await client.say("UPDATE_FRAMEWORK", { framework_info });
    expect(client.rescinded()).toEqual([client.offers()[0].id.value]);
    expect(client.offer().allocation_info).toEqual({ role: "web" });
  });

  it("refuses what the ACLs deny, and changes nothing", async () => {
    const client = await scene.subscribe();
    scene.node.acls = parseAcls({ register_frameworks: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }] });
    const framework_info = { id: { value: client.frameworkId }, user: "u", name: "n", roles: ["web"], capabilities };
    await expect(client.say("UPDATE_FRAMEWORK", { framework_info })).rejects.toThrow(/role web: the ACLs do not allow/);
    expect(scene.scheduler.find(client.frameworkId, FW)?.info.roles).toEqual(["ads"]);
  });
});
