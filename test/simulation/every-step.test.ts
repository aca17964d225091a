/** One request at a time, and a death at each of its steps. */
import { describe, expect, test } from "vitest";
import type { Operation } from "../../src/domain/operation.ts";
import type { AppId, ContainerId, ContainerPath, MilliMb, Role, VolumeId } from "../../src/domain/units.ts";
import type { LendRequest, Mark } from "../../src/engine/engine.ts";
import type { NodeEngine } from "../../src/engine/node-engine.ts";
import { persistent, SAMSON, samson } from "../domain/app-samples.ts";
import { disk, volume } from "../domain/world.ts";
import { ADS, creating, destroying, outcomeOf, PEER, reserving } from "../engine/rig.ts";
import { type Books, booksOf } from "./books.ts";
import { drive, Life } from "./life.ts";
import { examineRecovery } from "./recovery.ts";
import { type Death, World } from "./world.ts";

const perform =
  (...operations: readonly Operation[]) =>
  (engine: NodeEngine) =>
    engine.perform(PEER, operations);

/** The books want the ids of containers to start with the role. */
const CONTAINER = "ads-web" as ContainerId;

/** `volumes` by path. */
const attach = (volumes: Readonly<Record<string, string>>) => attachIn("/sandbox", volumes);

const attachIn =
  (sandbox: string, volumes: Readonly<Record<string, string>>) =>
  (engine: NodeEngine): Promise<unknown> =>
    engine.attach(PEER, {
      container: CONTAINER,
      sandbox,
      volumes: Object.entries(volumes).map(([path, id]) => ({
        role: "ads" as Role,
        id: id as VolumeId,
        containerPath: path as ContainerPath,
        mode: "RW" as const,
      })),
    });

const detach =
  (force = false) =>
  (engine: NodeEngine) =>
    engine.detach(PEER, CONTAINER, { force });

const restore = (as?: string) => (engine: NodeEngine) =>
  engine.restore(PEER, {
    role: "ads" as Role,
    id: "old" as VolumeId,
    ...(as === undefined ? {} : { as: as as VolumeId }),
  });

const mark =
  (mark: Mark, id: string): Request =>
  (engine) =>
    engine.mark(PEER, { role: "ads" as Role, id: id as VolumeId, mark });

/** Everything that was destroyed. */
const collect: Request = async (engine, world) => {
  const retained = [...world.store.contents().records.volumes.values()].filter(({ phase }) => phase === "retained");
  const uuids = retained.map(({ uuid }) => uuid);
  for (const uuid of uuids) world.mayGo.add(uuid);
  return engine.collect(PEER, { dryRun: false, uuids });
};

/** Directories beside the volumes. */
const leave =
  (...ids: readonly string[]): Request =>
  async (_engine, world) => {
    for (const id of ids) world.layDown(`/srv/${id}`);
  };

const adopt =
  (...ids: readonly string[]) =>
  (engine: NodeEngine): Promise<unknown> =>
    engine.adopt(PEER, {
      adoptions: ids.map((id) => ({ directory: `/srv/${id}`, role: "ads" as Role, id: id as VolumeId })),
      dryRun: false,
    });

const BOX = "/srv/boxes/web";

/** A container with a volume in a directory of its own. */
const unpack: Request = async (engine, world) => {
  world.unpack(BOX);
  await attachIn(BOX, { data: "db" })(engine);
};

const discard: Request = (engine) => engine.discardSandbox(PEER, BOX);

const unpackAndDiscard: Request = async (engine, world) => {
  await unpack(engine, world);
  await discard(engine, world);
};

const collectSandbox: Request = async (engine, world) => {
  world.boxes.delete(BOX);
  return engine.collect(PEER, { dryRun: false, sandboxes: [BOX] });
};

/** A process sits in every volume that is mounted. */
const sit = (world: World): void => {
  for (const { uuid } of world.store.contents().records.volumes.values()) {
    if (world.placesOf(uuid).length === 0) continue;
    world.mounter.sitIn(uuid);
    world.holders.sitIn(uuid);
  }
};

type Request = (engine: NodeEngine, world: World) => Promise<unknown>;

const attachToProcess: Request = (engine, world) =>
  engine.attach(PEER, {
    container: CONTAINER,
    sandbox: "/",
    process: { pid: world.initOf(CONTAINER).pid },
    volumes: ["db", "logs"].map((id) => ({
      role: "ads" as Role,
      id: id as VolumeId,
      containerPath: id as ContainerPath,
      mode: "RW",
    })),
  });

const LOAN: LendRequest = {
  borrower: "ads-engine" as ContainerId,
  role: "ads" as Role,
  id: "db" as VolumeId,
  runtime: "docker",
};
const lend: Request = (engine) => engine.lend(PEER, LOAN);

const APP = SAMSON as AppId;

/** Of so many instances, each with two volumes. */
const createApp =
  (instances: number): Request =>
  (engine) => {
    const volumes = [persistent("data", { size: 10 }), persistent("logs", { size: 5 })];
    return engine.createApp(PEER, samson({ instances, container: { volumes } }));
  };

const scaleApp =
  (instances: number): Request =>
  (engine) =>
    engine.changeApp(PEER, APP, { instances }, { create: false });

const attachApp: Request = (engine) =>
  engine.attach(PEER, { container: CONTAINER, sandbox: "/sandbox", app: APP, volumes: [] });

const wipeApp: Request = (engine) => engine.wipeApp(PEER, APP, { force: true });

const inTurn =
  (...requests: readonly Request[]): Request =>
  async (engine, world) => {
    for (const request of requests) await request(engine, world);
  };

interface Scenario {
  readonly request: Request;
  /** What has been asked for before. */
  readonly before?: Request;
  readonly meanwhile?: (world: World) => void;
}

/** On a node with volumes `db` and `logs`, and `old`, which is retained. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  RESERVE: { request: perform(reserving(10)) },
  "app create": { request: createApp(2) },
  "app scale up": { before: inTurn(createApp(2), scaleApp(1)), request: scaleApp(3) },
  "app scale down": { before: createApp(2), request: scaleApp(1) },
  "app wipe": { before: createApp(2), request: wipeApp },
  "app wipe by force": { before: inTurn(createApp(1), attachApp), request: wipeApp },
  "app delete": { before: createApp(2), request: (engine) => engine.deleteApp(PEER, APP, { force: false }) },
  "attach of an app": { before: createApp(1), request: attachApp },
  "detach of an app": { before: inTurn(createApp(1), attachApp), request: detach() },
  CREATE: { request: perform(reserving(100), creating("new")) },
  "CREATE of many": { request: perform(reserving(300), creating("x", "y", "z")) },
  DESTROY: { request: perform(destroying("db")) },
  "DESTROY of many": { request: perform(destroying("db"), destroying("logs")) },
  "DESTROY and CREATE of one name": { request: perform(destroying("db"), creating("db")) },
  GROW_VOLUME: { request: perform({ type: "GROW_VOLUME", volume: volume("db", 100, ADS), addition: disk(20, ADS) }) },
  SHRINK_VOLUME: {
    request: perform({ type: "SHRINK_VOLUME", volume: volume("db", 100, ADS), subtract: 1_000 as MilliMb }),
  },
  "attach to a process": { request: attachToProcess },
  "the end of a process": {
    before: attachToProcess,
    request: (engine, world) => {
      world.end(CONTAINER);
      return engine.reconcile();
    },
  },
  lend: { request: lend },
  giveBack: { before: lend, request: (engine) => engine.giveBack(PEER, LOAN) },
  protect: { request: mark("protect", "db") },
  pin: { request: mark("pin", "old") },
  unpin: { before: mark("pin", "old"), request: mark("unpin", "old") },
  "restore of what is pinned": { before: mark("pin", "old"), request: restore() },
  collect: { request: collect },
  adopt: { before: leave("web"), request: adopt("web") },
  "adopt of two": { before: leave("web", "api"), request: adopt("web", "api") },
  "adopt of what somebody enters meanwhile": {
    before: leave("web", "api"),
    request: async (engine, world) => {
      world.disk.onAdopted = (path) => world.holders.sitInDirectory(path);
      await adopt("web", "api")(engine);
    },
  },
  "gc add": { before: unpack, request: discard },
  "gc add that is busy": { before: unpack, meanwhile: sit, request: discard },
  "gc keep": { before: unpackAndDiscard, request: (engine) => engine.keepSandbox(PEER, BOX) },
  "collect of a sandbox": { before: unpackAndDiscard, request: collectSandbox },
  "collect of a sandbox that was taken back": {
    before: unpackAndDiscard,
    request: async (engine, world) => {
      world.boxes.delete(BOX);
      await Promise.all([outcomeOf(collectSandbox(engine, world)), outcomeOf(engine.keepSandbox(PEER, BOX))]);
    },
  },
  restore: { request: restore() },
  "restore under another id": { request: restore("renamed") },
  "restore from unreserved disk": {
    before: perform({ type: "UNRESERVE", resources: [disk(100, ADS)] }),
    request: restore(),
  },
  "attach of two": { request: attach({ data: "db", logs: "logs" }) },
  "attach in place of another": { before: attach({ data: "db" }), request: attach({ logs: "logs" }) },
  "attach at another path": { before: attach({ data: "db" }), request: attach({ moved: "db" }) },
  "attach that is busy with what shall go": {
    before: attach({ data: "db" }),
    meanwhile: sit,
    request: attach({ logs: "logs" }),
  },
  detach: { before: attach({ data: "db", logs: "logs" }), request: detach() },
  "detach that is busy": { before: attach({ data: "db" }), meanwhile: sit, request: detach() },
  "detach by force": {
    before: attach({ data: "db", logs: "logs" }),
    meanwhile: sit,
    request: detach(true),
  },
};

interface Ending {
  readonly world: World;
  readonly life: Life;
  readonly before: Books;
}

/** Sets a scenario up and dies so many steps into its request. */
async function dieIn(scenario: Scenario, steps: number): Promise<Ending> {
  const world = new World(1);
  const life = new Life();
  const engine = world.engine(life);
  await drive(life, setUp(engine, world, scenario));
  scenario.meanwhile?.(world);
  world.getToKnow();
  const before = booksOf(world.store.contents(), "ads");
  life.dieAfter(steps);
  await drive(life, outcomeOf(scenario.request(engine, world)));
  return { world, life, before };
}

async function setUp(engine: NodeEngine, world: World, scenario: Scenario): Promise<void> {
  await engine.start();
  await engine.perform(PEER, [reserving(400), creating("db", "logs", "old")]);
  await engine.perform(PEER, [destroying("old")]);
  await scenario.before?.(engine, world);
}

/** Every death that is left nothing wrong behind. @returns how many there were */
async function tryEveryStep(scenario: Scenario, death: Death): Promise<number> {
  const undisturbed = await dieIn(scenario, Number.POSITIVE_INFINITY);
  const after = booksOf(undisturbed.world.store.contents(), "ads");
  for (let steps = 0; ; steps += 1) {
    const { world, life, before } = await dieIn(scenario, steps);
    const isThrough = !life.dead;
    await world.die(life, death);
    const mounts = (books: Books): Books => (death === "power cut" ? { ...books, attached: [] } : books);
    const belief = { before: mounts(isThrough ? after : before), after: mounts(after) };
    const wrong = await examineRecovery(world, new Map([["ads", belief]]));
    expect(wrong, `after ${steps} steps`).toEqual([]);
    if (isThrough) return steps;
  }
}

describe.each(["kill", "power cut"] as const)("a %s at any step of", (death) => {
  test.each(Object.keys(SCENARIOS))("%s leaves it done or undone", async (name) => {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) throw new Error(`No scenario ${name}`);
    expect(await tryEveryStep(scenario, death)).toBeGreaterThan(0);
  });
});
