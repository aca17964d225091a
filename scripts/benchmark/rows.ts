/**
 * What is measured. Two things that are compared are measured in turn, in blocks, by one client, on one file system, so
 * that what else happens on the machine hits both.
 */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { callsRows, podmanRows } from "./beside-rows.ts";
import type { Measured } from "./client-worker.ts";
import { collectRows, throttleRows } from "./collect-rows.ts";
import { hookRows, pluginRows, runningRows } from "./container-rows.ts";
import { csiRows } from "./csi-rows.ts";
import type { Docker } from "./docker.ts";
import type { Load } from "./load.ts";
import {
  attachAndDetach,
  attaches,
  inTurn,
  killToReady,
  pairs,
  residentAfterStart,
  SETTLE_MS,
  settle,
} from "./measuring.ts";
import type { Node } from "./node.ts";
import { latencies, percentile, type Row } from "./report.ts";
import { scaleRows } from "./scale-rows.ts";

const CLIENTS = 16;
const BATCH = 1000;
const FEW = 100;

/** How much is measured. */
export interface Sizes {
  readonly warmUp: number;
  readonly blocks: number;
  readonly creates: number;
  readonly parallelBlocks: number;
  readonly parallelCreates: number;
  readonly batches: number;
  readonly attaches: number;
  readonly containers: number;
  readonly small: number;
  readonly large: number;
  readonly mounts: number;
  readonly restarts: number;
  /** Files of a tree that is deleted, and how often. */
  readonly deleted: number;
  readonly deletions: number;
  /** Files that are deleted while others attach. */
  readonly throttled: number;
  readonly throttledAttaches: number;
  /** Numbers of volumes at which cost is measured as a node grows, and how often all of them are listed. */
  readonly growth: readonly number[];
  readonly lists: number;
}

export const FULL: Sizes = {
  warmUp: 300,
  blocks: 10,
  creates: 100,
  parallelBlocks: 4,
  parallelCreates: 1000,
  batches: 5,
  attaches: 30,
  containers: 20,
  small: 1000,
  large: 50_000,
  mounts: 500,
  restarts: 3,
  deleted: 100_000,
  deletions: 5,
  throttled: 1_000_000,
  throttledAttaches: 2000,
  growth: [100, 1000, 10_000, 100_000],
  lists: 5,
};

export const QUICK: Sizes = {
  warmUp: 100,
  blocks: 4,
  creates: 50,
  parallelBlocks: 2,
  parallelCreates: 400,
  batches: 2,
  attaches: 10,
  containers: 5,
  small: 200,
  large: 3000,
  mounts: 50,
  restarts: 1,
  deleted: 10_000,
  deletions: 2,
  throttled: 60_000,
  throttledAttaches: 200,
  growth: [100, 1000, 3000],
  lists: 2,
};

/** What a row has to work with. */
export interface Bench {
  readonly journal: boolean;
  readonly sizes: Sizes;
  readonly load: Load;
  /** Grows from row to row. */
  readonly node: Node;
  /** A directory on the measured file system, for what a row needs besides. */
  readonly dir: string;
  /** Starts a further daemon that ends with the benchmark. */
  another(name: string): Promise<Node>;
  /** Has something stopped when the benchmark ends, however that is. */
  ending<T extends { stop(): Promise<void> }>(running: T): Promise<T>;
  /** The Docker beside, started at the first call. */
  docker(): Promise<Docker>;
  /** Stops it, so that it is not in the way of what follows. */
  dockerDone(): Promise<void>;
}

export type RowName =
  | "create"
  | "clients"
  | "podman"
  | "calls"
  | "batch"
  | "attach"
  | "hook"
  | "running"
  | "plugin"
  | "csi"
  | "collect"
  | "throttle"
  | "flat"
  | "recovery"
  | "memory"
  | "scale";

/** In the order in which they are measured; rows that need a large node come behind those that fill it. */
export const ROWS: Readonly<Record<RowName, (bench: Bench) => Promise<Row[]>>> = {
  create: createRows,
  clients: clientsRows,
  podman: podmanRows,
  calls: callsRows,
  batch: batchRows,
  attach: attachRows,
  hook: hookRows,
  running: runningRows,
  plugin: pluginRows,
  csi: csiRows,
  collect: collectRows,
  throttle: throttleRows,
  flat: flatRows,
  recovery: recoveryRows,
  memory: memoryRows,
  scale: scaleRows,
};

async function createRows(bench: Bench): Promise<Row[]> {
  const { journal, sizes } = bench;
  await warmUp(bench);
  const [ours, dockers] = await besideDocker(bench, { blocks: sizes.blocks, creates: sizes.creates, clients: 1 });
  return [0.5, 0.99].map((fraction) => ({
    title: `create one volume, p${fraction * 100}`,
    journal,
    figure: percentile(latencies(ours), fraction),
    unit: "ms",
    beside: { name: "Docker", figure: percentile(latencies(dockers), fraction) },
    ...(fraction === 0.5 && { target: { atMost: 1 } }),
  }));
}

async function clientsRows(bench: Bench): Promise<Row[]> {
  const { journal, sizes } = bench;
  await warmUp(bench);
  const amount = { blocks: sizes.parallelBlocks, creates: sizes.parallelCreates, clients: CLIENTS };
  const [ours, dockers] = await besideDocker(bench, amount);
  const beside = { name: "Docker", figure: perSecond(dockers) };
  const title = `creates, ${CLIENTS} clients`;
  return [{ title, journal, figure: perSecond(ours), unit: "/s", beside, target: { atLeast: 3 } }];
}

async function batchRows({ journal, sizes, load, node }: Bench): Promise<Row[]> {
  await settle(node);
  const measured = await load.send(node.daemon.http, node.createRequests(sizes.batches, BATCH));
  const figure = BATCH / (percentile(measured.latenciesMs, 0.5) / 1000);
  return [{ title: `volumes, ${BATCH} in one request`, journal, figure, unit: "/s", target: { atLeast: 5000 } }];
}

async function attachRows({ journal, sizes, load, node, dir }: Bench): Promise<Row[]> {
  await node.fill(load, Math.max(node.volumes, sizes.attaches));
  const guests = await node.guests(1, sizes.attaches);
  const commands = await mountCommands(node, dir, sizes.attaches);
  await settle(node);
  const ours = () => load.send(node.daemon.socket, guests.flatMap(attachAndDetach));
  const [attached, mounted] = await inTurn(sizes.blocks, ours, () => load.run({ commands }));
  const beside = { name: "mount(8) + umount(8)", figure: percentile(pairs(mounted), 0.5) };
  const figure = percentile(pairs(attached), 0.5);
  return [{ title: "attach + detach, p50", journal, figure, unit: "ms", beside, target: { atMost: 0.25 } }];
}

async function flatRows(bench: Bench): Promise<Row[]> {
  await bench.dockerDone();
  return [await flatCreate(bench), await flatAttach(bench)];
}

async function flatCreate({ journal, sizes, load, node, another }: Bench): Promise<Row> {
  const small = await another("small");
  await load.send(small.daemon.http, small.createRequests(sizes.warmUp));
  await small.fill(load, sizes.small);
  await node.fill(load, sizes.large);
  await settle(node);
  const create = (target: Node) => () => load.send(target.daemon.http, target.createRequests(sizes.creates));
  const [many, few] = await inTurn(sizes.blocks, create(node), create(small));
  await small.daemon.stop();
  const beside = { name: `with ${sizes.small} volumes`, figure: percentile(latencies(few), 0.5) };
  const figure = percentile(latencies(many), 0.5);
  const title = `create with ${sizes.large} volumes, p50`;
  return { title, journal, figure, unit: "ms", beside, target: { atMost: 1.3 } };
}

async function flatAttach({ journal, sizes, load, node }: Bench): Promise<Row> {
  const crowd = await node.guests(1, sizes.mounts);
  const guests = await node.guests(sizes.mounts + 1, sizes.attaches);
  const send = (requests: readonly string[]) => load.send(node.daemon.socket, requests);
  const measure = async () => attaches(await send(guests.flatMap(attachAndDetach)));
  await settle(node);
  const alone: number[] = [];
  const crowded: number[] = [];
  for (let round = 0; round < Math.ceil(sizes.blocks / 2); round += 1) {
    alone.push(...(await measure()));
    await send(crowd.map((guest) => guest.attach));
    crowded.push(...(await measure()));
    await send(crowd.map((guest) => guest.detach));
  }
  const beside = { name: "with no mounts", figure: percentile(alone, 0.5) };
  const title = `attach with ${sizes.mounts} mounts, p50`;
  return { title, journal, figure: percentile(crowded, 0.5), unit: "ms", beside, target: { atMost: 1.5 } };
}

async function recoveryRows({ journal, sizes, load, node, dockerDone }: Bench): Promise<Row[]> {
  await dockerDone();
  await node.fill(load, sizes.large);
  const crowd = await node.guests(1, sizes.mounts);
  await load.send(
    node.daemon.socket,
    crowd.map((guest) => guest.attach),
  );
  const durations: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < sizes.restarts; round += 1) {
    await settle(node);
    durations.push(await killToReady(node));
    resident.push(await residentAfterStart(node));
  }
  const state = `${sizes.large} volumes, ${sizes.mounts} mounts`;
  const [figure, memory] = [percentile(durations, 0.5), Math.max(...resident)];
  return [
    { title: `kill -9 to ready, ${state}`, journal, figure, unit: "ms", target: { atMost: 1000 } },
    { title: `resident, ${state}`, journal, figure: memory, unit: "MB", target: { atMost: 250 } },
  ];
}

async function memoryRows({ journal, load, another }: Bench): Promise<Row[]> {
  const few = await another("few");
  await load.send(few.daemon.http, few.createRequests(FEW));
  await sleep(SETTLE_MS);
  const figure = await few.residentMb();
  await few.daemon.stop();
  return [{ title: `resident, ${FEW} volumes`, journal, figure, unit: "MB", target: { atMost: 150 } }];
}

/** Both sides answer some requests that do not count: code gets compiled and caches filled. */
async function warmUp(bench: Bench): Promise<void> {
  await besideDocker(bench, { blocks: 1, creates: bench.sizes.warmUp, clients: CLIENTS });
  await settle(bench.node);
}

async function besideDocker(
  { load, node, docker }: Bench,
  amount: { readonly blocks: number; readonly creates: number; readonly clients: number },
): Promise<[Measured[], Measured[]]> {
  const dockerd = await docker();
  const ours = () => load.send(node.daemon.http, node.createRequests(amount.creates), amount.clients);
  const dockers = () => load.send(dockerd.door, dockerd.createRequests(amount.creates), amount.clients);
  return inTurn(amount.blocks, ours, dockers);
}

function perSecond(runs: readonly Measured[]): number {
  const elapsedMs = runs.reduce((sum, run) => sum + run.elapsedMs, 0);
  return latencies(runs).length / (elapsedMs / 1000);
}

/** The same content directories, mounted and unmounted by the programs. */
async function mountCommands(node: Node, dir: string, count: number): Promise<[string, ...string[]][]> {
  const commands: [string, ...string[]][] = [];
  for (let number = 1; number <= count; number += 1) {
    const target = path.join(dir, "mount-targets", String(number));
    await mkdir(target, { recursive: true });
    commands.push(["mount", "--bind", await node.contentPath(number), target], ["umount", target]);
  }
  return commands;
}
