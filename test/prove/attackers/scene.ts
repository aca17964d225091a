/** One way to race operations: what it is made of, and how it is run again and again. */
import { codeOf } from "../../../src/domain/error.ts";
import { type Exchange, startExchanger } from "../../support/exchanger.ts";
import { Grounds, openDescriptors } from "./grounds.ts";

/** Operations that were tried once, while somebody raced them. */
export interface Tried {
  readonly operation: string;
  readonly done: boolean;
}

export interface Scene {
  /** Raced from the beginning on; a scene whose races come and go tells the exchanger itself. */
  readonly exchanges: readonly Exchange[];
  /** Does its operations once. What they may refuse under attack is no error; all else is thrown, and is a violation. */
  readonly round: (race: Race) => Promise<readonly Tried[]>;
  readonly end: () => Promise<void>;
}

/** Has the attacker go for something else, now. */
type Race = (exchanges: readonly Exchange[]) => Promise<void>;

export interface SceneKind {
  /** For people: `attach, the mountpoint exchanged`. */
  readonly name: string;
  /** What it tries; the last one is counted on, because it is tried the least. */
  readonly operations: readonly string[];
  readonly xfs?: boolean;
  /** The attacker has a mount namespace of its own. */
  readonly ownNamespace?: boolean;
  readonly start: (grounds: Grounds) => Promise<Scene>;
}

export interface Raced {
  /** How often each operation was tried, and how often it was done all the same. */
  readonly tried: Readonly<Record<string, number>>;
  readonly done: Readonly<Record<string, number>>;
  /** How often the attacker changed something. */
  readonly exchanges: number;
  readonly violations: readonly string[];
}

const CHECKED_EVERY = 10;
/** By this round everything has been opened that stays open. */
const WARM_ROUND = 5;
/** Pipes and threads come and go. */
const DESCRIPTORS_SLACK = 8;
const VIOLATIONS_ENOUGH = 3;

/** Races until its last operation was tried so often, or the time is up, or it has been led astray a few times. */
export async function raceScene(
  kind: SceneKind,
  { count, isOver }: { readonly count: number; readonly isOver: () => boolean },
): Promise<Raced> {
  const tried: Record<string, number> = {};
  const done: Record<string, number> = {};
  const violations: string[] = [];
  let exchanges = 0;
  const last = kind.operations.at(-1) ?? "";
  const grounds = new Grounds(kind.xfs === true ? { xfs: true } : {});
  try {
    const exchanger = await startExchanger(kind);
    const race: Race = async (wanted) => {
      exchanges += await exchanger.race(wanted);
    };
    let scene: Scene | undefined;
    try {
      scene = await kind.start(grounds);
      await race(scene.exchanges);
      let descriptors = Number.POSITIVE_INFINITY;
      for (let round = 1; (tried[last] ?? 0) < count && !isOver(); round += 1) {
        try {
          for (const { operation, done: isDone } of await scene.round(race)) {
            tried[operation] = (tried[operation] ?? 0) + 1;
            if (isDone) done[operation] = (done[operation] ?? 0) + 1;
          }
        } catch (error) {
          violations.push(`${kind.name}, round ${round}: ${error instanceof Error ? error.message : String(error)}`);
        }
        const harm = round % CHECKED_EVERY === 0 ? grounds.harm() : undefined;
        if (harm !== undefined) violations.push(`${kind.name}, by round ${round}: ${harm}`);
        if (violations.length >= VIOLATIONS_ENOUGH) break;
        if (round === WARM_ROUND) descriptors = openDescriptors();
      }
      const more = openDescriptors() - descriptors;
      if (more > DESCRIPTORS_SLACK) violations.push(`${kind.name}: ${more} descriptors are left open`);
      await race([]);
    } finally {
      await exchanger.stop();
      await scene?.end();
    }
    const harm = grounds.harmAtTheEnd();
    if (harm !== undefined) violations.push(`${kind.name}, at the end: ${harm}`);
    const left = grounds.place.mounts().filter((path) => path !== grounds.base);
    if (left.length > 0) violations.push(`${kind.name}, at the end: mounts are left at ${left.join(", ")}`);
  } finally {
    grounds.dispose();
  }
  return { tried, done, exchanges, violations };
}

/** Does something that may be refused with one of these codes; says whether it was done. */
export async function doneUnless<T>(codes: readonly string[], work: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (codes.includes(codeOf(error))) return undefined;
    throw error;
  }
}

const ATTEMPTS = 2_000;

/** As the engine would: what was disturbed is tried again. Says how often it was tried. */
export async function doPersistently(codes: readonly string[], work: () => Promise<unknown>): Promise<number> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const done = await doneUnless(codes, async () => {
      await work();
      return true;
    });
    if (done === true) return attempt;
  }
  throw new Error(`It could not be done in ${ATTEMPTS} attempts`);
}
