/**
 * Attackers: an unprivileged process exchanges directories and symlinks under every operation that touches what others
 * may write to, and volumes are filled with what stops a deletion. Nothing outside may be touched, mounted on, given
 * away or made. What everybody writes first is raced too, and must be led astray.
 */
import { mayMount } from "../e2e/privileges.ts";
import { tryHostileContent } from "./attackers/content.ts";
import { tryControls } from "./attackers/control.ts";
import { DISK_SCENES } from "./attackers/disks.ts";
import { HANDED_SCENES } from "./attackers/handed.ts";
import { MOUNT_SCENES } from "./attackers/mounts.ts";
import { raceScene, type SceneKind } from "./attackers/scene.ts";
import type { Protocol } from "./protocol.ts";

const SCENES: readonly SceneKind[] = [...MOUNT_SCENES, ...DISK_SCENES, ...HANDED_SCENES];
/** Those that begin a race of another one are counted with it. */
const BESIDES = ["hand over"];
const OPERATIONS = new Set(SCENES.flatMap(({ operations }) => operations)).difference(new Set(BESIDES));
const RACES_EACH = 10_000;
const TARGET = RACES_EACH * OPERATIONS.size;

/** What a run that is not for figures has time for. */
const SMALL = { levels: 1_000, entries: 20_000 };
const WHOLE = { levels: 5_000, entries: 1_000_000 };

export const attackers: Protocol = {
  name: "attackers",
  title: "names exchanged by an unprivileged process under every operation, hostile content",
  unit: "races",
  target: TARGET,
  share: 3,
  unavailable: () => (mayMount ? undefined : "it needs root with CAP_SYS_ADMIN"),
  async run({ budgetMs, count, interruption, progress }) {
    const startedMs = performance.now();
    const isWhole = count >= TARGET && Number.isFinite(count);
    const violations = [...(await tryHostileContent(isWhole ? WHOLE : SMALL)), ...(await tryControls())];
    const each = count / OPERATIONS.size;
    const tried: Record<string, number> = {};
    let exchanges = 0;
    for (const [index, kind] of SCENES.entries()) {
      if (interruption.aborted) break;
      const leftMs = budgetMs - (performance.now() - startedMs);
      const endMs = performance.now() + leftMs / (SCENES.length - index);
      const isOver = () => interruption.aborted || performance.now() >= endMs;
      const sharers = SCENES.filter(({ operations }) => operations.at(-1) === kind.operations.at(-1)).length;
      const raced = await raceScene(kind, { count: Math.ceil(each / sharers), isOver });
      for (const [operation, times] of Object.entries(raced.tried)) tried[operation] = (tried[operation] ?? 0) + times;
      exchanges += raced.exchanges;
      violations.push(...raced.violations, ...uncontested(kind, raced));
      progress(
        `${kind.name}: ${Object.entries(raced.tried)
          .map(([name, times]) => `${times} ${name}`)
          .join(", ")}`,
      );
    }
    // What was tried more often than wanted does not make up for what was not.
    const races = [...OPERATIONS].reduce((sum, operation) => sum + Math.min(tried[operation] ?? 0, each), 0);
    return { count: races, violations, figures: { exchanges, ...tried } };
  },
};

/** A race that the attacker did not run proves nothing. */
function uncontested({ name }: SceneKind, { tried, exchanges }: Awaited<ReturnType<typeof raceScene>>): string[] {
  const most = Math.max(0, ...Object.values(tried));
  return most > 0 && exchanges > most ? [] : [`${name}: ${most} tries and ${exchanges} exchanges are no race`];
}
