/** Rows of garbage collection: how fast it deletes beside `rm -rf`, and what those who attach meanwhile notice. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { statfs } from "node:fs/promises";
import path from "node:path";
import type { Incarnation } from "../../src/domain/units.ts";
import { createPurger } from "../../src/host/purge.ts";
import { run } from "../../test/e2e/run.ts";
import { attachAndDetach, attaches, settle } from "./measuring.ts";
import type { Node } from "./node.ts";
import { percentile, type Row } from "./report.ts";
import type { Bench, Sizes } from "./rows.ts";
import { emptyFiles, TREES, type Tree } from "./trees.ts";

const SLOWEST_PART = 0.9;

/** Deletes a tree that was made before. */
interface Way {
  /** Makes room for a tree and returns the directory for it. */
  prepare(): Promise<string>;
  delete(): Promise<unknown>;
}

/** Each way deletes the same trees, in turn. */
export async function collectRows(bench: Bench): Promise<Row[]> {
  await bench.dockerDone();
  const node = await bench.another("collected");
  const purger = createPurger();
  const ways = { purger: bare(bench, purger), "POST /v1/gc": whole(bench, node) };
  try {
    const rows: Row[] = [];
    for (const [name, tree] of Object.entries(TREES)) rows.push(...(await besideRm(bench, name, tree, ways)));
    return rows;
  } finally {
    await purger.close();
    await node.daemon.stop();
  }
}

async function besideRm(
  { journal, sizes, dir }: Bench,
  name: string,
  tree: Tree,
  ways: Readonly<Record<string, Way>>,
): Promise<Row[]> {
  const all = { "rm -rf": withRm(dir), ...ways };
  const speeds = new Map<string, number[]>(Object.keys(all).map((way) => [way, []]));
  // The first round does not count: code gets compiled.
  for (let round = 0; round <= sizes.deletions; round += 1) {
    const turns = Object.entries(all);
    for (const [title, way] of round % 2 === 0 ? turns : turns.reverse()) {
      const entries = tree(await way.prepare(), sizes.deleted);
      await run("sync");
      const startedAt = performance.now();
      await way.delete();
      if (round > 0) speeds.get(title)?.push(entries / ((performance.now() - startedAt) / 1000));
    }
  }
  const rm = speeds.get("rm -rf") ?? [];
  return Object.keys(ways).map((title) => {
    const ours = speeds.get(title) ?? [];
    return {
      title: `deleting ${name}, ${title}`,
      journal,
      figure: percentile(ours, 0.5),
      unit: "/s",
      beside: { name: "rm -rf", figure: percentile(rm, 0.5) },
      ratios: ours.map((speed, index) => speed / (rm[index] ?? Number.NaN)),
      target: { atLeast: SLOWEST_PART },
    };
  });
}

function withRm(dir: string): Way {
  const place = path.join(dir, "rm", "tree");
  return {
    async prepare() {
      mkdirSync(place, { recursive: true });
      return place;
    },
    delete: () => run("rm", "-rf", place),
  };
}

function bare({ dir }: Bench, purger: ReturnType<typeof createPurger>): Way {
  const uuid = "0b7f2c1e-5d3a-4c55-9a54-1f6f0c7d2e11" as Incarnation;
  const trash = path.join(dir, "bare-trash");
  const content = path.join(trash, uuid, "content");
  return {
    async prepare() {
      mkdirSync(content, { recursive: true });
      return content;
    },
    async delete() {
      const fd = openSync(trash, "r");
      await purger.purge({ fd, path: trash }, uuid);
      closeSync(fd);
    },
  };
}

/** With the look for holders, the commits and the syncs that belong to a collection. */
function whole({ load }: Bench, node: Node): Way {
  let uuid = "";
  return {
    async prepare() {
      await node.fill(load, node.volumes + 1);
      const retired = await node.retire(node.volumes);
      ({ uuid } = retired);
      return retired.content;
    },
    delete: () => node.collect(uuid),
  };
}

/**
 * Attaches by one client, while volumes of a million files together are collected, and in turn while nothing is. What
 * was measured when a collection had ended already does not count.
 */
export async function throttleRows(bench: Bench): Promise<Row[]> {
  const { sizes, load, dir } = bench;
  await bench.dockerDone();
  const node = await bench.another("throttled");
  const first = sizes.deletions + 1;
  await node.fill(load, sizes.deletions + sizes.attaches);
  const guests = await node.guests(first, sizes.attaches);
  const rounds = Math.ceil(sizes.throttledAttaches / sizes.deletions / guests.length);
  const attachAll = async () => attaches(await load.send(node.daemon.socket, guests.flatMap(attachAndDetach)));
  const uuids = await fillTrash(node, sizes);
  await settle(node);

  const idle: number[] = [];
  const during: number[] = [];
  const speeds: number[] = [];
  await attachAll();
  for (const uuid of uuids) {
    for (let round = 0; round < rounds; round += 1) idle.push(...(await attachAll()));
    let isDone = false;
    const before = await statfs(dir);
    const startedAt = performance.now();
    const collection = node.collect(uuid).finally(() => {
      isDone = true;
    });
    for (let round = 0; round < rounds && !isDone; round += 1) {
      const measured = await attachAll();
      if (!isDone) during.push(...measured);
    }
    const deleted = (await statfs(dir)).ffree - before.ffree;
    speeds.push(deleted / ((performance.now() - startedAt) / 1000));
    await collection;
  }
  await node.daemon.stop();
  return throttled(bench, { idle, during, speeds });
}

function throttled(
  { journal }: Bench,
  { idle, during, speeds }: Readonly<Record<"idle" | "during" | "speeds", readonly number[]>>,
): Row[] {
  if (during.length === 0) throw new Error("All was collected before anything was attached: throttle more files");
  const rows = [0.5, 0.99].map((fraction): Row => {
    const beside = { name: "idle", figure: percentile(idle, fraction) };
    const title = `attach while files are deleted, p${fraction * 100}`;
    const target = fraction === 0.99 ? { target: { atMost: 3 } } : {};
    const samples = during.length;
    return { title, journal, figure: percentile(during, fraction), unit: "ms", samples, beside, ...target };
  });
  return [...rows, { title: "files deleted meanwhile", journal, figure: percentile(speeds, 0.5), unit: "/s" }];
}

/** Destroys the first volumes, with the files to delete in them. */
async function fillTrash(node: Node, sizes: Sizes): Promise<string[]> {
  const uuids: string[] = [];
  for (let number = 1; number <= sizes.deletions; number += 1) {
    const { uuid, content } = await node.retire(number);
    emptyFiles(content, Math.ceil(sizes.throttled / sizes.deletions));
    uuids.push(uuid);
  }
  return uuids;
}
