/** One of the clients in the guest: asks for one thing at a time, and says before what it wants and then what it was told. */
import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import { type Call, type Door, request, requestJson } from "../../e2e/request.ts";
import type { Chance } from "../../simulation/chance.ts";
import { changeBetween, describeContent, factsOf, type Holding, withVolume } from "./holding.ts";
import type { Line } from "./lines.ts";
import { isAttached, type Means, pick, STEPS } from "./steps.ts";

export interface ClientOptions {
  /** Its name, and the role of all that it has. */
  readonly role: string;
  /** Begins every name that it gives. */
  readonly life: string;
  readonly holding: Holding;
  readonly socket: Door;
  readonly sandboxes: string;
  readonly chance: Chance;
  readonly say: (line: Line) => void;
}

/** So often of all. */
const WEIGHTS = {
  reserve: 3,
  unreserve: 2,
  create: 8,
  list: 3,
  grow: 4,
  destroy: 6,
  restore: 5,
  collect: 4,
  mark: 4,
  attach: 9,
  detach: 6,
  write: 12,
};
const KINDS = Object.entries(WEIGHTS).flatMap(([kind, weight]) => new Array<string>(weight).fill(kind));
/** A client with so many gets no more. */
const VOLUMES_MAX = 10;
const LESS = ["destroy", "collect", "collect", "detach", "mark"];
const FILE_BYTES_MAX = 32_768;

export class Client {
  readonly #options: ClientOptions;
  #holding: Holding;
  #names = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#holding = options.holding;
  }

  /** Until the power goes. */
  async work(): Promise<never> {
    for (;;) {
      const isFull = this.#holding.volumes.size >= VOLUMES_MAX;
      const kind = this.#options.chance.pick(isFull ? [...LESS, ...KINDS.slice(-WEIGHTS.write)] : KINDS);
      await (kind === "write" ? this.#write() : this.#ask(kind));
    }
  }

  async #ask(what: string): Promise<void> {
    const { say, role, socket } = this.#options;
    const wanted = await STEPS[what]?.(this.#means);
    if (wanted === undefined) return;
    this.#wish(what, wanted.after);
    const { status, text } = await request(socket, wanted.call);
    if (status === 200 && wanted.isDone?.(text) !== false) return this.#acknowledge(wanted.after);
    say({ is: "refused", client: role, why: `${what}: ${status}: ${text}` });
    if (!isHeld(status, text)) say({ is: "fault", fault: `${what} is refused to ${role}: ${status}: ${text}` });
  }

  /** A file in a volume, synced as a careful program does it: first the file, then its name. */
  async #write(): Promise<void> {
    const { chance, sandboxes } = this.#options;
    const volume = pick(this.#means, isAttached);
    if (volume?.container === undefined) return;
    const directory = path.join(sandboxes, volume.container, volume.id);
    const name = this.#name();
    const content = Buffer.alloc(1 + chance.below(FILE_BYTES_MAX), name);
    const files = new Map([...volume.files, [name, describeContent(content)]]);
    const after = withVolume(this.#holding, { ...volume, files });
    this.#wish("write", after, true);
    await synced(path.join(directory, name), "wx", content);
    await synced(directory, "r");
    this.#acknowledge(after);
  }

  #wish(what: string, after: Holding, isLoose = false): void {
    const { role, say } = this.#options;
    const change = changeBetween(factsOf(role, this.#holding), factsOf(role, after));
    say({ is: "wish", wish: { client: role, what, change, isLoose } });
  }

  #acknowledge(after: Holding): void {
    this.#options.say({ is: "acknowledged", client: this.#options.role });
    this.#holding = after;
  }

  #name(): string {
    this.#names += 1;
    return `${this.#options.life}${this.#options.role}n${this.#names}`;
  }

  get #means(): Means {
    const { role, chance, socket, sandboxes } = this.#options;
    return {
      role,
      chance,
      holding: this.#holding,
      name: () => this.#name(),
      makeSandbox: async (container) => {
        const sandbox = path.join(sandboxes, container);
        await mkdir(sandbox);
        return sandbox;
      },
      ask: <T>(call: Call) => requestJson<T>(socket, call),
    };
  }
}

/** Another client's open file is this same process's, which may count for any volume: a sound refusal. */
function isHeld(status: number, text: string): boolean {
  return (status === 409 && /"code":"(?:busy|in_use)"/.test(text)) || (status === 200 && /is used by/.test(text));
}

async function synced(file: string, flags: string, content?: Buffer): Promise<void> {
  const handle = await open(file, flags);
  try {
    if (content !== undefined) await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
