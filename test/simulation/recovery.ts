/** Recovers a world, and looks whether all is as it must be. */
import { TABLES } from "../../src/domain/records.ts";
import { type Belief, booksOf, contradictions } from "./books.ts";
import { violations } from "./oracle.ts";
import type { World } from "./world.ts";

/** What is wrong after the recovery, one sentence each; `beliefs` by role. */
export async function examineRecovery(world: World, beliefs: ReadonlyMap<string, Belief>): Promise<string[]> {
  await world.recover();
  const wrong = await violations(world);
  for (const [role, belief] of beliefs) {
    const found = contradictions(booksOf(world.store.contents(), role), belief);
    wrong.push(...found.map((sentence) => `Client ${role} ${sentence}`));
  }
  world.getToKnow();
  return [...wrong, ...(await changesOfSecondRecovery(world))];
}

/** A recovery that follows another one finds nothing to do. */
async function changesOfSecondRecovery(world: World): Promise<string[]> {
  const before = await snapshot(world);
  await world.recover();
  const after = await snapshot(world);
  const changed = Object.keys(before).filter((key) => before[key] !== after[key]);
  return changed.map((key) => `A second recovery changed the ${key}: ${before[key]} became ${after[key]}`);
}

async function snapshot(world: World): Promise<Record<string, string>> {
  const { records, labelledThrough } = world.store.contents();
  const { attach, detach, clear } = world.mounter.calls;
  return {
    records: JSON.stringify(TABLES.map((table) => [...records[table]])),
    "note of labels": String(labelledThrough),
    "number of commits": String(world.store.commits.length),
    "calls of the mounter": `${attach} attach, ${detach} detach, ${clear} clear`,
    mounts: world.mounter.places().join(),
    directories: JSON.stringify(await world.disk.list(() => false)),
  };
}
