/**
 * Rows of how cost grows with the number of volumes: one node that grows from size to size, and is killed at each.
 *
 * What creates are measured with is taken away again, so that every size is what it says.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Measured } from "./client-worker.ts";
import { attachAndDetach, inBlocks, killToReady, pairs, residentAfterStart, settle } from "./measuring.ts";
import type { Node } from "./node.ts";
import { latencies, percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

/** As many as are left behind the middle of the fewest. */
const PAGE = 50;
const PAGES = 20;
/** So long after a list the memory that it took is counted. */
const LISTED_MS = 2000;

/** How much it is at one size. */
interface Cost {
  readonly measured: string;
  readonly figure: number;
  readonly unit: "ms" | "MB";
  /** For what should not grow, which is held against the smallest size. */
  readonly isFlat?: boolean;
  readonly isDrawn?: false;
}

export async function scaleRows(bench: Bench): Promise<Row[]> {
  const { journal, sizes, load } = bench;
  await bench.dockerDone();
  const node = await bench.another("growing");
  const rows: Row[] = [];
  const first = new Map<string, number>();
  for (const volumes of sizes.growth) {
    const startedAt = performance.now();
    await node.fill(load, volumes);
    console.error(`  ${volumes} volumes, filled in ${Math.round(performance.now() - startedAt)} ms`);
    for (const { measured, figure, unit, isFlat = false, isDrawn = true } of await costs(bench, node)) {
      const least = first.get(measured);
      if (least === undefined) first.set(measured, figure);
      const beside = isFlat && least !== undefined && { name: `with ${sizes.growth[0]}`, figure: least };
      const title = `${measured}, with ${volumes} volumes`;
      const growth = { measured, volumes };
      rows.push({ title, journal, figure, unit, ...(isDrawn && { growth }), ...(beside && { beside }) });
    }
  }
  await node.daemon.stop();
  return rows;
}

/** The starts come last: they end what the process has learnt. */
async function costs(bench: Bench, node: Node): Promise<Cost[]> {
  const { load, sizes } = bench;
  const send = (requests: readonly string[]) => load.send(node.daemon.socket, requests);
  await settle(node);
  const created = await createsAt(bench, node);
  await settle(node);
  const guests = await node.guests(1, sizes.attaches);
  const attached = await inBlocks(sizes.blocks, () => send(guests.flatMap(attachAndDetach)));
  const page = await middlePage(node);
  const paged = await send(Array.from({ length: PAGES }, () => page));
  const listed = await send(Array.from({ length: sizes.lists }, () => node.listRequest()));
  await sleep(LISTED_MS);
  const used = await node.residentMb();
  const p50 = (measured: string, samples: readonly number[] | Float64Array): Cost => {
    return { measured: `${measured}, p50`, figure: percentile(samples, 0.5), unit: "ms" };
  };
  return [
    { ...p50("create", latencies(created)), isFlat: true },
    { ...p50("attach + detach", pairs(attached)), isFlat: true },
    { ...p50(`list of ${PAGE} from the middle`, paged.latenciesMs), isFlat: true },
    p50("list of all", listed.latenciesMs),
    ...(await startCosts(bench, node)),
    { measured: "resident after the lists", figure: used, unit: "MB", isDrawn: false },
  ];
}

async function startCosts({ sizes }: Bench, node: Node): Promise<Cost[]> {
  const started: number[] = [];
  const resident: number[] = [];
  for (let round = 0; round < sizes.restarts; round += 1) {
    await settle(node);
    started.push(await killToReady(node));
    resident.push(await residentAfterStart(node));
  }
  return [
    { measured: "kill -9 to ready, p50", figure: percentile(started, 0.5), unit: "ms" },
    { measured: "resident after the start", figure: Math.max(...resident), unit: "MB" },
  ];
}

/** Creates by one client over the socket. */
function createsAt({ load, sizes }: Bench, node: Node): Promise<Measured[]> {
  const total = node.volumes;
  return inBlocks(Math.ceil(sizes.blocks / 2), async () => {
    const measured = await load.send(node.daemon.socket, node.createOperations(sizes.creates));
    await node.shrink(total);
    return measured;
  });
}

async function middlePage(node: Node): Promise<string> {
  const after = await node.uuid(Math.ceil(node.volumes / 2));
  return node.listRequest({ limit: String(PAGE), after });
}
