/**
 * Strange inputs for everything that reads what others wrote: the parsers one by one, and the doors of a real daemon. A
 * refusal is fine; a crash, a failure of our own, a hang or a leak is not.
 */
import { isRoot } from "../e2e/privileges.ts";
import { tryDoors } from "./fuzz/doors.ts";
import { tryParsers } from "./fuzz/parsers.ts";
import type { Evidence, Protocol, Trial } from "./protocol.ts";

/** So much of the time, and of the count, belongs to the doors. */
const DOORS_TIME = 0.6;
const DOORS_COUNT = 0.4;

export const fuzz: Protocol = {
  name: "fuzz",
  title: "strange HTTP, gRPC, forms, JSON, names, hook states, plugin calls, mount tables, configuration, labels",
  unit: "inputs",
  target: 1_000_000,
  share: 2,
  unavailable: () => (isRoot ? undefined : "needs root, to run the daemon as nobody"),
  run: tryAll,
};

async function tryAll(trial: Trial): Promise<Evidence> {
  const startMs = performance.now();
  const isAfter = (share: number) =>
    trial.interruption.aborted || performance.now() - startMs >= trial.budgetMs * share;
  const doors = await tryDoors({ ...trial, count: trial.count * DOORS_COUNT }, () => isAfter(DOORS_TIME));
  const parsers = await tryParsers({ ...trial, count: trial.count - doors.count }, () => isAfter(1));
  return {
    count: doors.count + parsers.count,
    violations: [...doors.violations, ...parsers.violations],
    figures: { requests: doors.count, "requests a second": doors.perSecond, "MB grown": doors.grownMb },
  };
}
