/**
 * One protection after the other is taken away: a sync, a rule by which the kernel resolves a path, a question who may,
 * or who has it. A test has to fail each time; one that does not would not notice when somebody did the same by mistake.
 */

import { mayMount } from "../e2e/privileges.ts";
import { Chance } from "../simulation/chance.ts";
import { Copy } from "./mutants/copy.ts";
import type { Mutant } from "./mutants/mutant.ts";
import { permissions } from "./mutants/permissions.ts";
import { scopes } from "./mutants/scopes.ts";
import { syncs } from "./mutants/syncs.ts";
import { uses } from "./mutants/uses.ts";
import type { Evidence, Protocol, Trial } from "./protocol.ts";

export const ALL: readonly Mutant[] = [...syncs, ...scopes, ...permissions, ...uses];

export const mutants: Protocol = {
  name: "mutants",
  title: "one protection taken away at a time: a test has to fail",
  unit: "mutants",
  target: ALL.length,
  share: 2,
  unavailable: () => (mayMount ? undefined : "it needs root with CAP_SYS_ADMIN"),
  run: tryMutants,
};

async function tryMutants({ seed, budgetMs, count, interruption, progress }: Trial): Promise<Evidence> {
  const endMs = performance.now() + budgetMs;
  const violations: string[] = [];
  let tried = 0;
  const copy = Copy.make();
  try {
    for (const mutant of shuffled(seed)) {
      if (tried >= count || performance.now() >= endMs || interruption.aborted) break;
      const reason = await copy.whyNotCaught(mutant);
      if (reason !== undefined) violations.push(`src/${mutant.file} with ${mutant.name}: ${reason}`);
      tried += 1;
      if (tried % 10 === 0) progress(`${tried} of ${ALL.length} mutants`);
    }
  } finally {
    copy.remove();
  }
  return { count: tried, violations, figures: { "in all": ALL.length } };
}

/** A short run tries others each time. */
function shuffled(seed: number): readonly Mutant[] {
  const chance = new Chance(seed);
  const left = [...ALL];
  return ALL.map(() => left.splice(chance.below(left.length), 1)[0]).filter((one) => one !== undefined);
}
