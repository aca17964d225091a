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
