/** What `npm run prove` does, as a part of the tests: HOLDFAST_PROVE_MINUTES for all protocols together, 0 for none. */
import { describe, expect, test } from "vitest";
import type { Protocol } from "./protocol.ts";
import { budgetOf, PROTOCOLS } from "./protocols.ts";

const MINUTES = Number(process.env["HOLDFAST_PROVE_MINUTES"] ?? 8);
/** What is begun in time may end late: a machine to boot, a daemon to wait for. */
const MORE_MS = 400_000;

/** Its share of the time, with a seed that is new each time. */
export function proveInTests(protocol: Protocol): void {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const obstacle = protocol.unavailable?.();
  const budgetMs = budgetOf(protocol, PROTOCOLS, MINUTES * 60_000);
  const name = `${protocol.title}, without a violation`;
  describe.runIf(MINUTES > 0)(`npm run prove -- --only ${protocol.name} --seed ${seed}`, () => {
    test.skipIf(obstacle !== undefined)(
      obstacle === undefined ? name : `${name} (${obstacle})`,
      async ({ signal }) => {
        const limits = { budgetMs, count: Number.POSITIVE_INFINITY, interruption: signal };
        const { count, violations } = await protocol.run({ ...limits, seed, progress: () => undefined });
        console.log(`${protocol.name}: ${count} ${protocol.unit}`);
        expect(violations).toEqual([]);
        expect(count).toBeGreaterThan(0);
      },
      budgetMs + MORE_MS,
    );
  });
}
