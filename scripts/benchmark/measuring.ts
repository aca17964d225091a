/** How rows measure: in turn, quiet before, and what is taken of a run. */
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "../../test/e2e/run.ts";
import type { Measured } from "./client-worker.ts";
import type { Guest, Node } from "./node.ts";

export const SETTLE_MS = 1000;

/** Measures block by block, A B, B A, A B, ..., so that neither always runs second. */
export async function inTurn(
  blocks: number,
  first: () => Promise<Measured>,
  second: () => Promise<Measured>,
): Promise<[Measured[], Measured[]]> {
  const measured: [Measured[], Measured[]] = [[], []];
  for (let block = 0; block < blocks; block += 1) {
    if (block % 2 === 0) measured[0].push(await first());
    measured[1].push(await second());
    if (block % 2 === 1) measured[0].push(await first());
  }
  return measured;
}

/** Measures block after block; one goes before that does not count: code gets compiled and caches filled. */
export async function inBlocks(blocks: number, measure: () => Promise<Measured>): Promise<Measured[]> {
  await measure();
  const measured: Measured[] = [];
  while (measured.length < blocks) measured.push(await measure());
  return measured;
}

/** Lets what came before be finished, so that a row pays for itself alone. */
export async function settle(node: Node): Promise<void> {
  await node.quiet();
  await run("sync");
  await sleep(SETTLE_MS);
}

/** The two requests of a guest. */
export function attachAndDetach(guest: Guest): [string, string] {
  return [guest.attach, guest.detach];
}

/** The attaches of a run that attaches and detaches by turns. */
export function attaches(run: Measured): number[] {
  return [...run.latenciesMs].filter((_, index) => index % 2 === 0);
}

/** Each attach together with the detach behind it. */
export function pairs(runs: readonly Measured[]): number[] {
  return runs.flatMap((run) => attaches(run).map((attach, index) => attach + (run.latenciesMs[2 * index + 1] ?? 0)));
}

export async function killToReady(node: Node): Promise<number> {
  const started = performance.now();
  await node.daemon.kill9();
  await node.daemon.start();
  return performance.now() - started;
}

/** The larger of what it holds when ready and a little later, in MB. */
export async function residentAfterStart(node: Node): Promise<number> {
  const atReady = await node.residentMb();
  await sleep(2 * SETTLE_MS);
  return Math.max(atReady, await node.residentMb());
}
