/** Rounds of small processes: they live on, so that all of them go for the work root in the same moment. */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Place } from "../../e2e/place.ts";
import type { Chance } from "../../simulation/chance.ts";
import { type Attempt, Contender } from "./contender.ts";
import { type Ground, leaveBehind, makeGround, NAMELESS } from "./ground.ts";
import { blame, noteEnd, type Tally } from "./tally.ts";

export interface Rounds {
  readonly place: Place;
  readonly chance: Chance;
  readonly tally: Tally;
  readonly isOver: () => boolean;
  readonly rounds: number;
}

/** All contend; those that do not get it are seven. */
export const CONTENDERS = 8;
export const TAKE_OVER_MS_MAX = 1_000;
const PAUSE_MS_MAX = 100;
const ENDS = ["released", "SIGTERM", "SIGKILL", "SIGKILL while paused"] as const;

export async function playContenders({ place, chance, tally, isOver, rounds }: Rounds): Promise<void> {
  const ground = await makeGround(path.join(place.dir, "contenders"));
  const contenders: Contender[] = [];
  try {
    await replenish(contenders);
    for (let round = 0; round < rounds && !isOver(); round += 1) {
      await playRound({ ground, contenders, chance, tally });
      tally.rounds += 1;
    }
  } finally {
    await Promise.all(contenders.map((contender) => contender.end("SIGKILL")));
    await ground.remove();
  }
}

interface Game {
  readonly ground: Ground;
  readonly contenders: Contender[];
  readonly chance: Chance;
  readonly tally: Tally;
}

async function playRound(game: Game): Promise<void> {
  const { ground, contenders, chance, tally } = game;
  const leftover = await leaveBehind(ground.names[0] ?? "", chance);
  const owner = await race(game, contenders, `over ${leftover}`);
  if (owner === undefined) return;
  const others = contenders.filter((contender) => contender !== owner);
  const named = NAMELESS.includes(leftover) ? undefined : owner.pid;
  await expectRefusals(game, others, named, "behind the owner");
  const isPaused = chance.percent(50);
  if (isPaused) {
    owner.signal("SIGSTOP");
    await expectRefusals(game, others, named, "while the owner is paused");
    await sleep(chance.below(PAUSE_MS_MAX));
    await expectRefusals(game, others, named, "while the owner is still paused");
    noteEnd(tally, "paused");
  }
  const end = chance.pick(isPaused ? ENDS : ENDS.slice(0, -1));
  if (isPaused && end !== "SIGKILL while paused") {
    owner.signal("SIGCONT");
    await expectRefusals(game, others, named, "when the owner goes on");
  }
  noteEnd(tally, end);
  const endedMs = performance.now();
  if (end === "released") await owner.release();
  else {
    contenders.splice(contenders.indexOf(owner), 1);
    await owner.end(end === "SIGTERM" ? end : "SIGKILL");
  }
  const next = await race(game, contenders, `after ${end}`);
  const takenMs = performance.now() - endedMs;
  tally.takeOversMs.push(takenMs);
  if (takenMs > TAKE_OVER_MS_MAX) blame(tally, `${Math.round(takenMs)} ms pass after ${end} until there is an owner`);
  await next?.release();
  await replenish(contenders);
}

/** All go for it at once, each by a name of its own choice; the one that has it then. */
async function race(
  { ground, chance, tally }: Game,
  contenders: readonly Contender[],
  when: string,
): Promise<Contender | undefined> {
  const attempts = await Promise.all(contenders.map((contender) => contender.take(chance.pick(ground.names))));
  const owners = contenders.filter((_, index) => attempts[index]?.owner === true);
  if (owners.length !== 1) blame(tally, `there are ${owners.length} owners at once ${when}`);
  for (const attempt of attempts) if (attempt.owner !== true) judgeRefusal(tally, attempt, when);
  for (const surplus of owners.slice(1)) await surplus.release();
  return owners[0];
}

/** @param pid whom the refusals must name; `undefined` when nobody can know */
async function expectRefusals(
  { ground, chance, tally }: Game,
  others: readonly Contender[],
  pid: number | undefined,
  when: string,
): Promise<void> {
  const attempts = await Promise.all(others.map((other) => other.take(chance.pick(ground.names))));
  for (const [index, attempt] of attempts.entries()) {
    if (attempt.owner === true) {
      blame(tally, `there is a second owner ${when}`);
      await others[index]?.release();
    } else judgeRefusal(tally, attempt, when, pid);
  }
}

/** The message as it is promised. In a race the owner may not have said who it is. */
export function judgeRefusal(tally: Tally, { code, message = "" }: Attempt, when: string, pid?: number): void {
  const owner = pid === undefined ? "(another process|process \\d+)" : `process ${pid}`;
  const promised = new RegExp(`Cannot take work root \\S+: ${owner} has it, stop that one first`);
  if (code === "conflict" && promised.test(message)) return;
  blame(tally, `a refusal ${when} is ${code}: ${message}${pid === undefined ? "" : ` (the owner is ${pid})`}`);
}

async function replenish(contenders: Contender[]): Promise<void> {
  while (contenders.length < CONTENDERS) contenders.push(await Contender.start());
}
