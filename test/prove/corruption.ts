/**
 * Damaged checkpoints and labels: nothing crashes, and nothing is served that was not stored. Each byte is flipped, and
 * blocks and files are zeroed, cut, exchanged and put back as they were earlier; some of it on a real node, where the
 * daemon, `doctor` and `rebuild` have to say what is what.
 */
import { tryLabels } from "./corruption/labels.ts";
import { tryPrograms } from "./corruption/programs.ts";
import { tryStates } from "./corruption/states.ts";
import type { Evidence, Protocol, Trial } from "./protocol.ts";

/** So much of the time belongs to checkpoints without a node. */
const STATES_TIME = 0.6;
/** Real nodes, when only the count matters. */
const NODES = 60;

export const corruption: Protocol = {
  name: "corruption",
  title: "checkpoints and labels with every byte flipped, cut, zeroed, of another time",
  unit: "damaged states",
  target: 220_000,
  share: 2,
  run: corrupt,
};

async function corrupt(trial: Trial): Promise<Evidence> {
  const startMs = performance.now();
  const isAfter = (share: number) =>
    trial.interruption.aborted || performance.now() - startMs >= trial.budgetMs * share;
  const labels = tryLabels(trial.seed);
  const states = await tryStates({ ...trial, count: trial.count - labels.count }, () => isAfter(STATES_TIME));
  const nodes = await tryPrograms({ ...trial, count: NODES, isOver: () => isAfter(1) });
  return {
    count: labels.count + states.count + nodes.count,
    violations: [...labels.violations, ...nodes.violations, ...states.violations],
    figures: { labels: labels.count, nodes: nodes.count, ...states.verdicts },
  };
}
