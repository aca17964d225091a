/**
 * One game: requests and the adversary's moves in any order, then the adversary stops, and everything can be detached,
 * destroyed and collected. The rules:
 *
 *   what was acknowledged and nobody touched       is mounted exactly once, safely
 *   what the daemon calls attached, without a word is mounted exactly once, as soon as it has looked
 *   a volume that is live, or that somebody has    keeps its content
 *   every request                                  is answered, by no failure of the daemon's own
 *   when the adversary stops                       nothing stays that could not be taken away
 */
import { setTimeout as sleep } from "node:timers/promises";
import { UMOUNT, umount2 } from "../../../src/host/syscalls.ts";
import { Chance } from "../../simulation/chance.ts";
import { Adversary } from "./adversary.ts";
import { CONTAINERS, type Node, VOLUMES } from "./node.ts";

const STEPS = 24;
/** The daemon looks every second, behind everybody else. */
const LOOKED_MS_MAX = 10_000;
const CONVERGED_MS_MAX = 20_000;
const SAFE = ["nosuid", "nodev"];

export interface Played {
  readonly steps: number;
  readonly kills: number;
  readonly attaches: number;
  readonly collected: number;
}

export async function play(node: Node, seed: number): Promise<Played> {
  const game = new Game(node, seed);
  await game.begin();
  for (let step = 0; step < STEPS; step += 1) await game.step();
  await game.settle();
  await game.end();
  return game.played;
}

class Game {
  readonly played = { steps: 0, kills: 0, attaches: 0, collected: 0 };
  readonly #node: Node;
  readonly #seed: number;
  readonly #chance: Chance;
  readonly #adversary: Adversary;
  /** What was acknowledged: the volumes of each container, by id. */
  readonly #attached = new Map<string, readonly string[]>();
  readonly #story: string[] = [];

  constructor(node: Node, seed: number) {
    this.#node = node;
    this.#seed = seed;
    this.#chance = new Chance(seed);
    this.#adversary = new Adversary(node, this.#chance);
  }

  /** Most moves want mounts. */
  async begin(): Promise<void> {
    for (const id of VOLUMES) this.#tell(`create ${id}: ${(await this.#node.create(id)).status}`);
    this.#tell(await this.#attach(this.#chance.pick(CONTAINERS), this.#chance.some(VOLUMES, 80)));
  }

  async step(): Promise<void> {
    const failed = this.#node.violations.length;
    this.played.steps += 1;
    this.#tell(this.#chance.percent(45) ? await this.#adversary.act() : await this.#request());
    await this.#check();
    for (let at = failed; at < this.#node.violations.length; at += 1) {
      this.#node.violations[at] = this.#sentence(this.#node.violations[at] ?? "");
    }
  }

  /** Has the daemon look, by its own clock or by a restart: soon, what it says is what is there. */
  async settle(): Promise<void> {
    const isRestarted = this.#chance.percent(50);
    if (isRestarted) await this.#kill();
    const endMs = performance.now() + (isRestarted ? 0 : LOOKED_MS_MAX);
    for (;;) {
      const wrong = await this.#unsaid();
      if (wrong.length === 0) return;
      if (performance.now() > endMs) {
        for (const violation of wrong) this.#violate(violation);
        return;
      }
      await sleep(50);
    }
  }

  /** What the daemon takes for attached and all right, and is not. */
  async #unsaid(): Promise<readonly string[]> {
    const containers = await this.#node.containers();
    const mounts = this.#node.mounts();
    return containers.flatMap(({ id, sandbox = "", volumes }) =>
      volumes.flatMap(({ uuid, containerPath, state, problem }) => {
        const path = `${sandbox}/${containerPath}`;
        const there = mounts.filter((mounted) => mounted.path === path);
        const isRight = there.length === 1 && there[0]?.uuid === uuid;
        if (state !== "attached" || problem !== undefined || isRight) return [];
        const found = JSON.stringify(there.map((mounted) => mounted.uuid ?? "foreign"));
        return [`container ${id} is said to have ${uuid} at ${path}, without a problem, and there is ${found}`];
      }),
    );
  }

  async end(): Promise<void> {
    await this.#adversary.stop();
    this.#tell("the adversary stops");
    for (const container of CONTAINERS) {
      await this.#until(`detach ${container}`, async () => {
        const { status, text } = await this.#node.detach(container, { force: false });
        return status === 200 || status === 404 ? undefined : `${status} ${text}`;
      });
    }
    const left = this.#node.mounts();
    const inSandboxes = left.filter(({ path }) =>
      CONTAINERS.some((name) => path.startsWith(`${this.#node.sandbox(name)}`)),
    );
    if (inSandboxes.length > 0) this.#violate(`${inSandboxes.map(({ path }) => path).join(", ")} stays mounted`);
    this.#clear();
    await this.#until("destroy and collect everything", async () => {
      for (const { id, state } of await this.#node.volumes()) if (state !== "retained") await this.#node.destroy(id);
      const rest = await this.#node.volumes();
      if (rest.length > 0) await this.#node.collect(rest.map(({ uuid }) => uuid));
      const still = await this.#node.volumes();
      return still.length === 0
        ? undefined
        : JSON.stringify(still.map(({ id, state, problem }) => [id, state, problem]));
    });
    const trash = this.#node.trash();
    if (trash.length > 0) this.#violate(`${trash.join(", ")} is left in trash`);
  }

  /** Copies of the adversary's are its own to take away. */
  #clear(): void {
    for (const { path } of this.#node.mounts().toReversed()) umount2(path, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
  }

  async #request(): Promise<string> {
    const container = this.#chance.pick(CONTAINERS);
    const id = this.#chance.pick(VOLUMES);
    const kind = this.#chance.below(100);
    if (kind < 34) return this.#attach(container, this.#chance.some(VOLUMES, 60));
    if (kind < 50) return this.#detach(container, this.#chance.percent(25));
    if (kind < 60) return `create ${id}: ${(await this.#node.create(id)).status}`;
    if (kind < 66) return `destroy ${id}: ${(await this.#node.destroy(id)).status}`;
    if (kind < 72) return `restore ${id}: ${(await this.#node.restore(id)).status}`;
    if (kind < 94) return this.#collect();
    if (kind < 98) return this.#killInside(container);
    await this.#kill();
    return "kill -9";
  }

  async #attach(container: string, wanted: readonly string[]): Promise<string> {
    const live = new Set((await this.#node.volumes()).filter(({ state }) => state !== "retained").map(({ id }) => id));
    const ids = wanted.filter((id) => live.has(id));
    const { status } = await this.#node.attach(container, ids);
    if (status === 200) {
      this.played.attaches += 1;
      // What was there before and stays is as the adversary left it.
      if ((this.#attached.get(container) ?? []).length === 0) this.#adversary.touched.delete(container);
      this.#attached.set(container, ids);
    }
    return `attach ${ids.join("")} to ${container}: ${status}`;
  }

  async #detach(container: string, force: boolean): Promise<string> {
    const { status } = await this.#node.detach(container, { force });
    if (status === 200) {
      const mounts = this.#node
        .mounts()
        .filter(({ path, uuid }) => uuid && path.startsWith(`${this.#node.sandbox(container)}/`));
      if (mounts.length > 0 && !force && !this.#adversary.touched.has(container)) {
        this.#violate(`${mounts[0]?.path} is mounted behind its detach`);
      }
      this.#attached.set(container, []);
    } else await this.#learn();
    return `detach ${container}${force ? " by force" : ""}: ${status}`;
  }

  /** What nobody has attached goes, unless somebody has it all the same. */
  async #collect(): Promise<string> {
    for (const { id, state } of await this.#node.volumes()) {
      if (["detached", "lingering"].includes(state) && this.#chance.percent(50)) await this.#node.destroy(id);
    }
    const retained = (await this.#node.volumes()).filter(({ state }) => state === "retained");
    const held = this.#adversary.held();
    const collected = await this.#node.collect(retained.map(({ uuid }) => uuid));
    this.played.collected += collected.length;
    for (const uuid of collected) if (held.has(uuid)) this.#violate(`${uuid} was deleted while somebody has it`);
    return `collect ${retained.length}: ${collected.length} are gone`;
  }

  /** In the middle of a request, whose answer nobody gets. */
  async #killInside(container: string): Promise<string> {
    const request = this.#chance.percent(50)
      ? this.#node.attach(container, this.#chance.some(VOLUMES, 60))
      : this.#node.detach(container, { force: false });
    const lost = request.catch(() => undefined);
    await sleep(this.#chance.below(6));
    await this.#kill();
    await lost;
    return `kill -9 in a request to ${container}`;
  }

  async #kill(): Promise<void> {
    this.played.kills += 1;
    await this.#node.restart();
    await this.#learn();
  }

  /** What the daemon says it has, where nobody was told. */
  async #learn(): Promise<void> {
    const containers = await this.#node.containers();
    for (const name of CONTAINERS) {
      const volumes = containers.find(({ id }) => id === name)?.volumes ?? [];
      this.#attached.set(
        name,
        volumes.filter(({ state, problem }) => state === "attached" && !problem).map(({ id }) => id),
      );
    }
  }

  async #check(): Promise<void> {
    const mounts = this.#node.mounts();
    const volumes = await this.#node.volumes();
    const live = volumes.filter(({ state }) => state !== "retained");
    for (const uuid of [...live.map((volume) => volume.uuid), ...this.#adversary.held()]) {
      if (!this.#node.hasCanary(uuid)) this.#violate(`the content of ${uuid} is gone`);
    }
    for (const [container, ids] of this.#attached) {
      if (this.#adversary.touched.has(container)) continue;
      for (const id of ids) {
        const path = `${this.#node.sandbox(container)}/${id}`;
        const there = mounts.filter((mounted) => mounted.path === path);
        const uuid = live.find((volume) => volume.id === id)?.uuid;
        const [only] = there;
        const isSafe = SAFE.every((option) => only?.options.includes(option));
        if (there.length !== 1 || only?.uuid !== uuid || !isSafe) {
          this.#violate(`${id} was attached at ${path}, nobody touched it, and there is ${JSON.stringify(there)}`);
        }
      }
    }
  }

  async #until(what: string, attempt: () => Promise<string | undefined>): Promise<void> {
    const endMs = performance.now() + CONVERGED_MS_MAX;
    for (;;) {
      const refusal = await attempt();
      if (refusal === undefined) return;
      if (performance.now() > endMs) return this.#violate(`cannot ${what} once the adversary has stopped: ${refusal}`);
      await sleep(100);
    }
  }

  #tell(event: string): void {
    this.#story.push(event);
  }

  #violate(violation: string): void {
    this.#node.violations.push(this.#sentence(violation));
  }

  #sentence(violation: string): string {
    if (violation.startsWith("game ")) return violation;
    return `game ${this.#seed}: ${violation} (${this.#story.slice(-12).join("; ")})`;
  }
}
