/** Nodes side by side, each broken again and again by a breaker of its own: most of a trial's time is spent waiting. */
import os from "node:os";
import { Chance } from "../../simulation/chance.ts";
import type { Trial } from "../protocol.ts";
import { withProgram } from "../traced-daemon.ts";
import { Node } from "./node.ts";

/** What all breakers of a trial count together. */
interface LaneTally {
  leftMountpoints: number;
  readonly violations: string[];
}

/** Somebody who breaks one node. */
export interface Breaker {
  /** What it is about. */
  readonly story: string;
  /** What was found wrong with its node. */
  readonly violations: number;
  /** How often it has broken this node. */
  readonly tries: number;
  tryOne(node: Node): Promise<void>;
}

interface Course {
  readonly trial: Trial;
  readonly tally: LaneTally;
  /** A node that was broken so often makes room for a fresh one. */
  readonly triesPerNode: number;
  /** What all have tried together. */
  readonly tried: () => number;
  readonly breaker: (chance: Chance) => Breaker;
}

/** As many as keep the processors busy, and no more: a daemon that waits for its turn answers late. */
const LANES = os.availableParallelism();

/** Until the trial's count or time is up. */
export async function breakNodes(course: Course): Promise<void> {
  const { seed, budgetMs, count, interruption } = course.trial;
  const endMs = performance.now() + budgetMs;
  await withProgram(async (program) => {
    const isOver = () => interruption.aborted || course.tried() >= count || performance.now() > endMs;
    const lane = async (chance: Chance) => {
      while (!isOver()) await breakNode(course, { program, chance, isOver });
    };
    const lanes = Array.from({ length: LANES }, (_, index) => lane(new Chance(seed + index)));
    const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
  });
}

interface Means {
  readonly program: string;
  readonly chance: Chance;
  readonly isOver: () => boolean;
}

/** Until the node has lived long enough, or is broken. */
async function breakNode(course: Course, { program, chance, isOver }: Means): Promise<void> {
  const { tally, triesPerNode } = course;
  const breaker = course.breaker(chance);
  const node = await Node.make(program, chance);
  try {
    while (!isOver() && breaker.tries < triesPerNode && breaker.violations === 0) await breaker.tryOne(node);
    tally.leftMountpoints += node.leftMountpoints;
  } catch (error) {
    tally.violations.push(`${breaker.story}: it broke: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    await node.remove();
  }
}
