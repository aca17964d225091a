/** All clients at work, until the daemon is taken from them; then they wait for the next one and compare their books. */
import { Chance } from "../../simulation/chance.ts";
import { Client } from "./client.ts";
import { Door } from "./door.ts";
import type { SoakNode } from "./node.ts";
import type { Tally } from "./tally.ts";

export interface CrowdOptions {
  readonly node: SoakNode;
  readonly clients: number;
  readonly volumesMax: number;
  readonly mountsMax: number;
  readonly seed: number;
  readonly tally: Tally;
  readonly mayGo: (retiredAtMs: number) => boolean;
}

const BROKEN = ["ECONNRESET", "ECONNREFUSED", "EPIPE", "ENOENT"];

export class Crowd {
  readonly #clients: readonly Client[];
  readonly #door: Door;
  readonly #node: SoakNode;
  readonly #tally: Tally;
  #isWorking = false;
  #isDown = false;
  #work: Promise<unknown> = Promise.resolve();

  constructor({ node, clients, volumesMax, mountsMax, seed, tally, mayGo }: CrowdOptions) {
    this.#node = node;
    this.#tally = tally;
    this.#door = new Door(node.daemon.socket.socketPath, clients);
    this.#clients = Array.from({ length: clients }, (_, index) => {
      const chance = new Chance(seed + index);
      const shares = { volumesMax: Math.ceil(volumesMax / clients), mountsMax: Math.ceil(mountsMax / clients) };
      return new Client({
        number: index,
        door: this.#door,
        chance,
        tally,
        sandboxes: node.sandboxes,
        ...shares,
        mayGo,
      });
    });
  }

  get volumes(): number {
    return this.#clients.reduce((sum, { volumes }) => sum + volumes, 0);
  }

  get mounts(): number {
    return this.#clients.reduce((sum, { targets }) => sum + targets.length, 0);
  }

  /** Nobody has a connection or a volume then. */
  async prepare(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.reserve()));
    await this.#clients[0]?.warmUp();
    this.#door.rest();
  }

  begin(): void {
    this.#isWorking = true;
    this.#isDown = false;
    this.#work = Promise.all(this.#clients.map((client) => this.#labour(client)));
    // Looked at when they are stopped.
    this.#work.catch(() => undefined);
  }

  /** Each finishes what it does. @throws what went wrong meanwhile */
  async stop(): Promise<void> {
    this.#isWorking = false;
    await this.#work;
  }

  /** Kills the daemon under them; returns how long the next one took, milliseconds. */
  async killUnder(): Promise<number> {
    this.#isDown = true;
    this.#isWorking = false;
    await this.#node.daemon.kill9();
    await this.#work;
    const startedMs = performance.now();
    await this.#node.daemon.mustStart();
    const readyMs = performance.now() - startedMs;
    this.#isDown = false;
    await this.compare();
    return readyMs;
  }

  /** Nobody works now: what the node says and what is mounted is exactly what the books say. */
  async compare(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.settle()));
    const [mounted, booked] = [
      (await this.#node.mounts()).toSorted(),
      this.#clients.flatMap(({ targets }) => targets).toSorted(),
    ];
    if (mounted.join() === booked.join()) return;
    const difference = [
      ...mounted.filter((target, index) => mounted[index - 1] === target).map((target) => `twice ${target}`),
      ...mounted.filter((target) => !booked.includes(target)).map((target) => `nobody's ${target}`),
      ...booked.filter((target) => !mounted.includes(target)).map((target) => `missing ${target}`),
    ];
    this.#tally.violations.push(`the mounts are not what the books say: ${difference.slice(0, 5).join(", ")}`);
  }

  async clear(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.clear()));
  }

  close(): void {
    this.#isWorking = false;
    this.#door.rest();
  }

  async #labour(client: Client): Promise<void> {
    while (this.#isWorking) {
      try {
        await (client.isInDoubt ? client.settle() : client.step());
      } catch (error) {
        const { code = "" } = error as NodeJS.ErrnoException;
        if (!BROKEN.includes(code)) throw error;
        this.#tally.unanswered += 1;
        if (this.#isDown) return;
        const end = this.#node.daemon.end;
        if (end !== undefined)
          throw new Error(`The daemon ended by itself, ${JSON.stringify(end)}: ${await this.#node.daemon.said()}`);
        this.#tally.violations.push(`${client.role}: no answer from a daemon that runs: ${code}`);
      }
    }
  }
}
