/** What `npm run prove` does, for so many minutes in all as HOLDFAST_PROVE_MINUTES says, with a seed that is new each time. */
import { describe, expect, test } from "vitest";
import { budgetOf, PROTOCOLS } from "./protocols.ts";

const MINUTES = Number(process.env["HOLDFAST_PROVE_MINUTES"] ?? 0);
const SEED = Math.floor(Math.random() * 2 ** 31);
/** What is begun in time may end late: a machine to boot, a daemon to wait for. */
const MORE_MS = 400_000;

describe.runIf(MINUTES > 0)(`npm run prove -- --seed ${SEED}`, () => {
  for (const protocol of PROTOCOLS) {
    const obstacle = protocol.unavailable?.();
    const budgetMs = budgetOf(protocol, PROTOCOLS, MINUTES * 60_000);
    const name = `${protocol.name}: ${protocol.title}, without a violation`;
    test.skipIf(obstacle !== undefined)(
      obstacle === undefined ? name : `${name} (${obstacle})`,
      async ({ signal }) => {
        const progress = () => undefined;
        const { count, violations } = await protocol.run({
          seed: SEED,
          budgetMs,
          count: Number.POSITIVE_INFINITY,
          interruption: signal,
          progress,
        });
        console.log(`${protocol.name}: ${count} ${protocol.unit}`);
        expect(violations).toEqual([]);
        expect(count).toBeGreaterThan(0);
      },
      budgetMs + MORE_MS,
    );
  }
});
