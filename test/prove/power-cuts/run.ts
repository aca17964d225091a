/** One cut after the other, on disks of each file system in turn, and the same without syncs, which has to lose. */
import path from "node:path";
import { makePlace } from "../../e2e/place.ts";
import { Chance } from "../../simulation/chance.ts";
import type { Evidence, Trial } from "../protocol.ts";
import { FILE_SYSTEMS, type FileSystem, makeProgramDisk } from "./images.ts";
import type { Life } from "./lines.ts";
import { type Cut, Node, type Seen } from "./node.ts";

const CLIENTS = 4;
/** A cut comes after so many acknowledged operations of a life, and then so long after one, both at most. */
const OPERATIONS_MAX = 60;
const BEHIND_MS_MAX = 200;
/** So many of a hundred cuts come sooner: somewhere in a boot and a start of the daemon, which take so long. */
const EARLY_PERCENT = 15;
const START_MS = 10_000;
/** Besides the last boot of a disk. */
const EXAMINED_PERCENT = 15;
const CUTS_PER_DISK = 10;
/** Enough to be lost, and too soon for the kernel to have written all of it by itself. */
const CONTROL: Cut = { since: "working", operations: 20, afterMs: 0 };
/** Only what is there. */
const LOOK: Cut = { since: "found", operations: 0, afterMs: 0 };
/** The daemon does not start on what is left of its checkpoint. */
const REFUSES = /holdfast: Cannot open the checkpoint/;

interface Tally {
  /** Those behind which the daemon has come up again. */
  cuts: number;
  early: number;
  lives: number;
  acknowledged: number;
  refused: number;
  controls: number;
  controlsThatLost: number;
  readonly cutsOn: Record<FileSystem, number>;
  readonly violations: string[];
}

export async function cutPower(trial: Trial): Promise<Evidence> {
  const startedMs = performance.now();
  const tally: Tally = {
    ...{ cuts: 0, early: 0, lives: 0, acknowledged: 0, refused: 0, controls: 0, controlsThatLost: 0 },
    cutsOn: { ext4: 0, xfs: 0, btrfs: 0 },
    violations: [],
  };
  const isOver = (cuts: number) => cuts >= trial.count || performance.now() > startedMs + trial.budgetMs;
  const place = await makePlace("power-cuts");
  try {
    const programs = await makeProgramDisk(place.dir);
    await new Cutter({ trial, tally, dir: place.dir, programs, isOver }).run();
  } finally {
    await place.remove();
  }
  return { count: tally.cuts, violations: tally.violations, figures: figuresOf(tally, performance.now() - startedMs) };
}

type Figures = NonNullable<Evidence["figures"]>;

function figuresOf({ cutsOn, controls, controlsThatLost, ...tally }: Tally, tookMs: number): Figures {
  return {
    ...Object.fromEntries(Object.entries(cutsOn).map(([name, count]) => [`on ${name}`, count])),
    "before clients": tally.early,
    acknowledged: tally.acknowledged,
    refused: tally.refused,
    "cuts without syncs that lost": `${controlsThatLost} of ${controls}`,
    "s a boot": Math.round(tookMs / 1_000 / Math.max(1, tally.lives)),
  };
}

interface Course {
  readonly trial: Trial;
  readonly tally: Tally;
  readonly dir: string;
  readonly programs: string;
  /** Whether the time is up, or so many cuts are enough. */
  readonly isOver: (cuts: number) => boolean;
}

class Cutter {
  readonly #course: Course;
  readonly #chance: Chance;

  constructor(course: Course) {
    this.#course = course;
    this.#chance = new Chance(course.trial.seed);
  }

  async run(): Promise<void> {
    const { trial, tally, isOver } = this.#course;
    const first = this.#chance.below(FILE_SYSTEMS.length);
    for (let disk = 0; !trial.interruption.aborted && !isOver(tally.cuts); disk += 1) {
      await this.#wear(FILE_SYSTEMS[(first + disk) % FILE_SYSTEMS.length] ?? "ext4");
    }
    const { controls, controlsThatLost, violations } = tally;
    if (controls > 0 && controlsThatLost === 0) violations.push(`without syncs nothing is lost in ${controls} cuts`);
  }

  /** Cuts one disk's power until it has seen enough of that, and then once without syncs, or until something is wrong. */
  async #wear(fileSystem: FileSystem): Promise<void> {
    const { dir, programs, trial, tally, isOver } = this.#course;
    const node = await Node.make(fileSystem, path.join(dir, "data.img"), programs);
    for (let unjudged = 0, lives = 0; ; lives += 1) {
      const isLast = unjudged > 0 && (lives >= CUTS_PER_DISK || isOver(tally.cuts + unjudged));
      const cut = isLast ? CONTROL : this.#chooseCut();
      const isExamined = isLast || this.#chance.percent(EXAMINED_PERCENT);
      const seen = await this.#live(node, { isExamined, isUnsynced: isLast }, cut);
      if (trial.interruption.aborted) return;
      this.#blame(fileSystem, cut, seen.faults);
      if (seen.isJudged) {
        tally.cuts += unjudged;
        tally.cutsOn[fileSystem] += unjudged;
        unjudged = 0;
      }
      if (seen.faults.length > 0) return;
      if (isLast) return this.#judgeControl(node, seen);
      unjudged += 1;
      if (!seen.isWorking) tally.early += 1;
      tally.refused += seen.refused;
      tally.acknowledged += seen.acknowledged;
      trial.progress(`${tally.cuts} cuts judged, ${tally.acknowledged} operations acknowledged, now on ${fileSystem}`);
    }
  }

  /** Its syncs did nothing in its last life, so that the cut must have taken what was acknowledged then. */
  async #judgeControl(node: Node, before: Seen): Promise<void> {
    const { trial, tally } = this.#course;
    if (before.acknowledged === 0) this.#blame(node.fileSystem, CONTROL, ["without syncs nothing is acknowledged"]);
    const { losses, faults } = await this.#live(node, { isExamined: false, isUnsynced: false }, LOOK);
    if (trial.interruption.aborted) return;
    const lost = losses[0] ?? faults.find((fault) => REFUSES.test(fault));
    tally.controls += 1;
    if (lost !== undefined) tally.controlsThatLost += 1;
    trial.progress(`without syncs, of ${before.acknowledged} acknowledged operations: ${lost ?? "nothing is lost"}`);
  }

  #live(node: Node, how: Pick<Life, "isExamined" | "isUnsynced">, cut: Cut): Promise<Seen> {
    const { tally } = this.#course;
    tally.lives += 1;
    return node.live({ ...how, seed: this.#chance.below(2 ** 31), name: `l${tally.lives}`, clients: CLIENTS }, cut);
  }

  #chooseCut(): Cut {
    if (this.#chance.percent(EARLY_PERCENT)) {
      return { since: "boot", operations: 0, afterMs: this.#chance.below(START_MS) };
    }
    const operations = this.#chance.below(OPERATIONS_MAX);
    return { since: "working", operations, afterMs: this.#chance.below(BEHIND_MS_MAX) };
  }

  #blame(fileSystem: FileSystem, { since, operations, afterMs }: Cut, faults: readonly string[]): void {
    const { trial, tally } = this.#course;
    const moment = `${afterMs} ms after ${since} and ${operations} operations`;
    const story = `seed ${trial.seed}, boot ${tally.lives} on ${fileSystem}, cut ${moment}`;
    tally.violations.push(...faults.map((fault) => `${story}: ${fault}`));
  }
}
