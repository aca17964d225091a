/** The system under test: the real engine over fakes, behind the real doors. The doors outlive the engine. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseAcls } from "../../../src/domain/acl.ts";
import type { ContainerProcess } from "../../../src/domain/records.ts";
import { sourceKey } from "../../../src/domain/resource.ts";
import type { MilliMb, Principal, Role } from "../../../src/domain/units.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { NodeEngine } from "../../../src/engine/node-engine.ts";
import { startAgentSocket } from "../../../src/faces/agent-socket/server.ts";
import { startDockerPlugin } from "../../../src/faces/docker-plugin/server.ts";
import { startOperatorHttp } from "../../../src/faces/operator-http/server.ts";
import type { Authenticator } from "../../../src/ports/authenticator.ts";
import type { Log } from "../../../src/ports/log.ts";
import { disk, staticFor } from "../../domain/world.ts";
import { GC, SILENT, settle } from "../../engine/rig.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { fakeRandom } from "../../fakes/fake-random.ts";
import { MemoryDisk } from "../../fakes/memory-disk.ts";
import { NO_DRIVES } from "../../fakes/memory-drives.ts";
import { MemoryHolders } from "../../fakes/memory-holders.ts";
import { MemoryMounter } from "../../fakes/memory-mounter.ts";
import { MemoryProcesses } from "../../fakes/memory-processes.ts";
import { MemorySandboxes } from "../../fakes/memory-sandboxes.ts";
import { createMemoryStore } from "../../fakes/memory-store.ts";
import { MemoryTrail } from "../../fakes/memory-trail.ts";
import { Life, mortalClock } from "../../simulation/life.ts";
import { DEFAULT_MB, PLUGIN_ROLE } from "./docker.ts";
import { STATIC_MB, STATIC_ROLE, UNRESERVED_MB } from "./reference.ts";
import { credentials, type Doors } from "./send.ts";

const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };
/** The model says when it is reconciled. */
const NEVER_MS = 10 * 365 * 86_400_000;
/** So often everything may have to wait for something else of its own. */
const TURNS = 12;

const ONLY_ANN = { values: ["ann"] };
const NONE = { type: "NONE" };
/** `ann`: everything for role `ads`, with what is her own, and nothing else. */
const ACLS = parseAcls({
  permissive: true,
  reserve_resources: [
    { principals: ONLY_ANN, roles: { values: ["ads"] } },
    { principals: ONLY_ANN, roles: NONE },
  ],
  create_volumes: [
    { principals: ONLY_ANN, roles: { values: ["ads"] } },
    { principals: ONLY_ANN, roles: NONE },
  ],
  resize_volumes: [
    { principals: ONLY_ANN, roles: { values: ["ads"] } },
    { principals: ONLY_ANN, roles: NONE },
  ],
  view_roles: [
    { principals: ONLY_ANN, roles: { values: ["ads"] } },
    { principals: ONLY_ANN, roles: NONE },
  ],
  unreserve_resources: [
    { principals: ONLY_ANN, reserver_principals: ONLY_ANN },
    { principals: ONLY_ANN, reserver_principals: NONE },
  ],
  destroy_volumes: [
    { principals: ONLY_ANN, creator_principals: ONLY_ANN },
    { principals: ONLY_ANN, creator_principals: NONE },
  ],
});

const authenticator: Authenticator = {
  required: true,
  authenticate: async (authorization) => {
    const known = ["ops", "ann"].find((name) => credentials(name as "ops" | "ann")["authorization"] === authorization);
    return known === undefined ? undefined : { kind: "principal", principal: known as Principal };
  },
  secretMark: (principal) => principal,
};

export class Node {
  readonly clock = new FakeClock();
  readonly store = createMemoryStore();
  readonly disk: MemoryDisk;
  readonly holders = new MemoryHolders();
  readonly mounter = new MemoryMounter({ holders: this.holders });
  readonly processes = new MemoryProcesses();
  readonly inits = new Map<number, ContainerProcess>();
  engine: NodeEngine;
  #life = new Life();

  constructor(seed: number) {
    this.disk = new MemoryDisk({ random: fakeRandom(seed), enforcement: seed % 2 === 0 ? "nothing" : "project-quota" });
    this.engine = this.#newEngine();
  }

  /** Stops it, or kills it while nothing is under way, and starts it again. */
  async restart(how: "stop" | "kill"): Promise<void> {
    if (how === "stop") await this.engine.stop();
    this.#die();
    await this.#start();
  }

  /** Another boot; where the power failed, what was not synced is gone. */
  async reboot(how: "reboot" | "power cut"): Promise<void> {
    this.#die();
    if (how === "power cut") {
      this.store.powerCut();
      this.disk.powerCut();
    }
    this.clock.reboot();
    this.mounter.reboot();
    this.holders.letGo();
    this.processes.reboot();
    await this.#start();
  }

  async advance(durationMs: number): Promise<void> {
    this.clock.advance(durationMs);
    for (let turn = 0; turn < TURNS; turn += 1) await settle();
  }

  /** Whatever it still has to do, nobody waits for it. */
  close(): void {
    this.#life.dead = true;
  }

  async #start(): Promise<void> {
    this.engine = this.#newEngine();
    await this.engine.start();
    for (let turn = 0; turn < TURNS; turn += 1) await settle();
  }

  #die(): void {
    this.#life.dead = true;
    this.#life = new Life();
    this.disk.crash();
    this.processes.forgetWatches();
  }

  #newEngine(): NodeEngine {
    return new NodeEngine({
      trail: new MemoryTrail(),
      store: this.store,
      declared: [disk(UNRESERVED_MB), disk(STATIC_MB, [staticFor(STATIC_ROLE)])],
      disks: new Map([[sourceKey(this.disk.source), this.disk]]),
      drives: NO_DRIVES,
      mounter: this.mounter,
      holders: this.holders,
      processes: this.processes,
      sandboxes: new MemorySandboxes({ mounter: this.mounter }),
      clock: mortalClock(this.clock, this.#life),
      random: fakeRandom(),
      log: QUIET,
      metrics: SILENT,
      acls: () => ACLS,
      reconcileIntervalMs: NEVER_MS,
      gc: GC,
    });
  }
}

/** The three doors of one node after the other. */
export class House {
  readonly doors: Doors;
  readonly #tenant: { node?: Node };
  readonly #close: () => Promise<void>;

  private constructor(doors: Doors, tenant: { node?: Node }, close: () => Promise<void>) {
    this.doors = doors;
    this.#tenant = tenant;
    this.#close = close;
  }

  static async open(): Promise<House> {
    const directory = mkdtempSync(path.join(tmpdir(), "holdfast-model-"));
    const tenant: { node?: Node } = {};
    const closers: (() => Promise<void>)[] = [];
    const close = async () => {
      for (const one of closers.toReversed()) await one();
      rmSync(directory, { recursive: true });
    };
    try {
      const doors = await openDoors(directory, engineOf(tenant), closers);
      return new House(doors, tenant, close);
    } catch (error) {
      await close();
      throw error;
    }
  }

  async moveIn(node: Node): Promise<void> {
    this.#tenant.node = node;
    await node.engine.start();
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** Whatever engine the node has now. */
function engineOf(tenant: { readonly node?: Node }): Engine {
  return new Proxy({} as Engine, {
    get: (_, name) => {
      if (tenant.node === undefined) throw new Error("Nobody lives here");
      const { engine } = tenant.node;
      const value: unknown = Reflect.get(engine, name);
      return typeof value === "function" ? value.bind(engine) : value;
    },
  });
}

/** `closers` says how to close what is open, also when this throws. */
async function openDoors(directory: string, engine: Engine, closers: (() => Promise<void>)[]): Promise<Doors> {
  const peer = () => ({ uid: 0, name: "root" });
  const [agentPath, pluginPath] = [path.join(directory, "agent.sock"), path.join(directory, "docker.sock")];
  const operator = await startOperatorHttp({
    engine,
    authenticator: () => authenticator,
    metrics: { render: async () => "", contentType: "text/plain" },
    listen: { host: "127.0.0.1", port: 0 },
    allowedHosts: [],
    version: "0",
    log: QUIET,
  });
  closers.push(() => operator.close());
  const agent = await startAgentSocket({
    engine,
    path: agentPath,
    version: "0",
    log: QUIET,
    mode: 0o600,
    peer,
    hookHost: { readBundleConfig: async () => "{}", runtimeOf: () => undefined },
  });
  closers.push(() => agent.close());
  const docker = await startDockerPlugin({
    engine,
    path: pluginPath,
    role: PLUGIN_ROLE as Role,
    defaultSize: (DEFAULT_MB * 1_000) as MilliMb,
    log: QUIET,
    peer,
  });
  closers.push(() => docker.close());
  return {
    operator: { port: operator.address.port },
    agent: { socketPath: agentPath },
    docker: { socketPath: pluginPath },
    agentId: createMemoryStore().contents().header.agentId,
  };
}
