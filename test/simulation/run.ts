/** One world after the other: lives that end at any step, recovery, and the question whether all is as it must be. */
import { HoldfastError } from "../../src/domain/error.ts";
import type { Operation } from "../../src/domain/operation.ts";
import { disk, reservedFor, volume } from "../domain/world.ts";
import { PEER } from "../engine/rig.ts";
import { booksOf } from "./books.ts";
import { Chance } from "./chance.ts";
import { Client, COMMON } from "./client.ts";
import { drive, Life } from "./life.ts";
import { examineRecovery } from "./recovery.ts";
import { type Death, World } from "./world.ts";

export const LIVES = 5;
const CLIENTS = ["ads", "eng", "ops"] as const;

/** Lives `LIVES` lives in the world of a seed. @throws what is wrong after one of them */
export async function simulate(seed: number): Promise<void> {
  const chance = new Chance(seed);
  const world = new World(seed);
  await furnish(world);
  const clients = CLIENTS.map((role) => new Client(world, chance, role));
  for (const client of clients) client.learn(booksOf(world.store.contents(), client.role));
  for (let life = 1; life <= LIVES; life += 1) {
    const story = `Seed ${seed}, life ${life} (repeat it with HOLDFAST_SEED=${seed})`;
    try {
      const death = await liveOnce(world, clients, chance);
      await learnWhatIsLeft(world, clients, death);
    } catch (error) {
      throw new Error(`${story}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }
}

/** Volumes of 10 MB on a reservation; `s` is shared. */
function makeVolumes(role: string, ids: readonly string[], reservedMb: number): readonly Operation[] {
  const stack = [reservedFor(role)];
  return [
    { type: "RESERVE", resources: [disk(reservedMb, stack)] },
    { type: "CREATE", volumes: ids.map((id) => volume(id, 10, stack, { shared: id === "s" })) },
  ];
}

/** What the clients have at the start, and what they share. */
async function furnish(world: World): Promise<void> {
  const life = new Life();
  const engine = world.engine(life);
  const create = async () => {
    await engine.start();
    await engine.perform(PEER, makeVolumes(COMMON.role, COMMON.ids, 20));
    for (const role of CLIENTS) await engine.perform(PEER, makeVolumes(role, ["a", "b"], 150));
    await engine.stop();
  };
  await drive(life, create());
  world.getToKnow();
}

/** Ends with the death of the daemon, at a step that chance chooses or when everybody has what he wished. */
async function liveOnce(world: World, clients: readonly Client[], chance: Chance): Promise<Death> {
  const faults = chance.percent(40) ? chance.pick([2, 10]) : 0;
  const life = new Life({ chance, faults, steps: chance.below(chance.pick([30, 100, 300])) });
  const engine = world.engine(life);
  const wishes = 1 + chance.below(8);
  const living = async () => {
    await engine.start();
    await Promise.all(clients.map((client) => client.live(engine, { wishes, mayBreak: faults > 0 })));
  };
  await drive(life, living().catch(rethrowUnlessFault), () => somethingHappens(world, chance));
  const death: Death = chance.percent(35) ? "power cut" : "kill";
  await world.die(life, death, chance);
  return death;
}

/** @throws what is wrong after the recovery */
async function learnWhatIsLeft(world: World, clients: readonly Client[], death: Death): Promise<void> {
  if (death === "power cut") for (const client of clients) client.forgetMounts();
  const wrong = await examineRecovery(world, new Map(clients.map(({ role, belief }) => [role, belief])));
  if (wrong.length > 0) throw new Error(`after a ${death}: ${wrong.join("; ")}`);
  for (const client of clients) client.learn(booksOf(world.store.contents(), client.role));
}

/** A start may fail over a fault: the service manager tries again. */
function rethrowUnlessFault(error: unknown): void {
  if (!(error instanceof HoldfastError) || !/simulation|told to fail/.test(error.message)) throw error;
}

function somethingHappens(world: World, chance: Chance): void {
  const event = chance.below(100);
  if (event < 3) world.enter(chance);
  else if (event < 6) world.leave();
  else if (event < 12) world.clock.advance(chance.pick([10, 60, 1_000]));
}
