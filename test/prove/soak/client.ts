/** One of many clients: works with volumes of a role of its own, one request at a time, and keeps books of the answers. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { VolumeState } from "../../../src/domain/lifecycle.ts";
import type { GcJson, VolumesJson } from "../../../src/faces/http/wire.ts";
import type { Answer } from "../../e2e/request.ts";
import type { Chance } from "../../simulation/chance.ts";
import { Books, type Change, type Doubt, type Entry } from "./books.ts";
import type { Door } from "./door.ts";
import type { Tally } from "./tally.ts";

export interface ClientOptions {
  readonly number: number;
  readonly door: Door;
  readonly chance: Chance;
  readonly tally: Tally;
  readonly sandboxes: string;
  readonly volumesMax: number;
  readonly mountsMax: number;
  /** Whether a volume that was destroyed at this time may be collected for want of space. */
  readonly mayGo: (retiredAtMs: number) => boolean;
}

/** Directory and one block of content fit. */
const SIZE = 8;
const GROWN = 16;
const CREATED_AT_ONCE = 8;
const COLLECTED_AT_ONCE = 8;
const ATTACHED_AT_ONCE = 2;
/** Twice as long as it takes until the daemon looks at everything again, which is when it ends what a full disk has stopped. */
const SETTLE_ATTEMPTS = 100;
const SETTLE_MS = 200;
/**
 * Why a volume may stay: its end cannot be stored; space was wanted before it was asked for; and a file that another
 * client, this same process, has open behind a mount that is newer than the look at all mounts counts for every volume.
 */
const GOOD_REASONS = [
  /disk is full/,
  /the volume is gone already/,
  new RegExp(`it is used by process ${process.pid},`),
];
const RETIRED: readonly VolumeState[] = ["destroying", "retained", "collecting"];
const PATH = "data";
const MARK = "mark";

/** Something to ask for, and what it makes of the books. */
interface Step {
  readonly what: string;
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  readonly after: Change;
  readonly isPartial?: boolean;
}

type Named = readonly [id: string, entry: Entry];

/** So often of a hundred; create and destroy besides keep the number of volumes where it should be. */
const KINDS = {
  attach: 34,
  detach: 16,
  destroy: 8,
  restore: 6,
  grow: 7,
  shrink: 5,
  collect: 5,
  pin: 3,
  unpin: 2,
  look: 4,
};
type Kind = keyof typeof KINDS | "create";
const WEIGHED: readonly Kind[] = Object.entries(KINDS).flatMap(([kind, weight]) =>
  new Array<Kind>(weight).fill(kind as Kind),
);
/** Of a hundred, while there are fewer volumes than there should be, and else. */
const CREATE_PERCENT = { growing: 60, steady: 12 };

export class Client {
  readonly role: string;
  readonly #options: ClientOptions;
  readonly #books = new Books();
  #doubt: Doubt | undefined;
  #created = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.role = `soak-${options.number}`;
  }

  get volumes(): number {
    return this.#books.entries.size;
  }

  get isInDoubt(): boolean {
    return this.#doubt !== undefined;
  }

  /** Where its volumes are mounted, as it believes. */
  get targets(): string[] {
    return this.#live(isAttached).map(([id, { container = "" }]) => path.join(this.#sandbox(container), id));
  }

  /** Takes disk for all that it will ever have. */
  async reserve(): Promise<void> {
    const list = [{ type: "RESERVE", reserve: { resources: [this.#disk(this.#options.volumesMax * GROWN)] } }];
    const { status, text } = await this.#options.door.call("POST", "/v1/operations", { operations: list });
    if (status !== 200) throw new Error(`Cannot reserve: ${status}: ${text}`);
  }

  /** Does everything once, and leaves nothing: what the daemon starts for the first of a kind is there then. */
  async warmUp(): Promise<void> {
    await this.#must(this.#create(2));
    await this.#must(this.#attach(this.#live(() => true)));
    await this.clear();
  }

  /** Does one thing. @throws when the connection breaks; then it is in doubt. */
  async step(): Promise<void> {
    const step = this.#choose();
    if (step === "look") await this.settle();
    else if (step !== undefined) await this.#take(step);
  }

  /** Asks the node what there is, and compares. @throws when the connection breaks */
  async settle(): Promise<void> {
    let contradictions: readonly string[] = [];
    for (let attempt = 1; attempt <= SETTLE_ATTEMPTS; attempt += 1) {
      const actual = await this.#volumes();
      contradictions = this.#books.contradictions(actual, this.#doubt, this.#mayGo);
      if (contradictions.length === 0 || attempt === SETTLE_ATTEMPTS) {
        this.#books.believe(actual);
        this.#doubt = undefined;
        break;
      }
      // What was begun may still have to be brought to its end.
      await sleep(SETTLE_MS);
    }
    for (const one of contradictions) this.#blame(one);
  }

  /** Detaches, destroys and collects everything. */
  async clear(): Promise<void> {
    const containers = new Set(this.#live(isAttached).flatMap(([, { container }]) => container ?? []));
    for (const container of containers) await this.#must(this.#detach(container));
    const live = this.#live(() => true);
    for (let first = 0; first < live.length; first += CREATED_AT_ONCE * CREATED_AT_ONCE) {
      await this.#must(this.#destroy(live.slice(first, first + CREATED_AT_ONCE * CREATED_AT_ONCE)));
    }
    for (const one of this.#retained().filter(([, { pinned }]) => pinned)) await this.#must(this.#mark("unpin", one));
    await this.settle();
    const retained = this.#retained();
    for (let first = 0; first < retained.length; first += CREATED_AT_ONCE * CREATED_AT_ONCE) {
      await this.#must(this.#collect(retained.slice(first, first + CREATED_AT_ONCE * CREATED_AT_ONCE)));
    }
    await this.settle();
    for (const id of this.#books.entries.keys()) this.#blame(`${id} cannot be got rid of`);
  }

  #choose(): Step | "look" | undefined {
    const { chance, volumesMax, mountsMax } = this.#options;
    const isGrowing = this.volumes < volumesMax * 0.9;
    const wanted = isGrowing ? CREATE_PERCENT.growing : CREATE_PERCENT.steady;
    const kind = this.volumes < volumesMax && chance.percent(wanted) ? "create" : chance.pick(WEIGHED);
    const detached = this.#live((entry) => !isAttached(entry));
    const retained = this.#retained();
    const one = (from: readonly Named[]): Named[] => (from.length === 0 ? [] : [chance.pick(from)]);
    switch (kind) {
      case "create":
        return this.#create(1 + chance.below(Math.min(CREATED_AT_ONCE, volumesMax - this.volumes)));
      case "attach": {
        const room = Math.min(ATTACHED_AT_ONCE, mountsMax - this.#live(isAttached).length);
        if (room <= 0 || detached.length === 0) return undefined;
        const some = new Map(Array.from({ length: 1 + chance.below(room) }, () => chance.pick(detached)));
        return this.#attach([...some]);
      }
      case "detach": {
        const container = one(this.#live(isAttached))[0]?.[1].container;
        return container === undefined ? undefined : this.#detach(container);
      }
      case "destroy":
        return detached.length === 0 ? undefined : this.#destroy(one(detached));
      case "collect": {
        const some = retained
          .filter(({ 1: { pinned } }) => pinned !== true)
          .slice(0, 1 + chance.below(COLLECTED_AT_ONCE));
        return some.length === 0 ? undefined : this.#collect(some);
      }
      case "restore":
        return one(retained).map((named) => this.#restore(named))[0];
      case "pin":
      case "unpin":
        return one(retained.filter(([, { pinned }]) => (kind === "unpin") === (pinned === true))).map((named) =>
          this.#mark(kind, named),
        )[0];
      case "grow":
      case "shrink": {
        const [from, to] = kind === "grow" ? [SIZE, GROWN] : [GROWN, SIZE];
        return one(this.#live(({ size }) => size === from)).map((named) => this.#resize(kind, named, to))[0];
      }
      case "look":
        return "look";
    }
  }

  /** Whether it was done. */
  async #take(step: Step): Promise<boolean> {
    const { tally, door } = this.#options;
    this.#doubt = { what: step.what, after: step.after, isPartial: step.isPartial === true };
    if (step.what === "attach")
      for (const { container = "" } of defined(step.after)) await mkdir(this.#sandbox(container), { recursive: true });
    const startedMs = performance.now();
    const answer = await door.call(step.method, step.path, step.body);
    tally.operations += 1;
    if (answer.status < 200 || answer.status >= 300) {
      await this.#refused(step, answer);
      return false;
    }
    this.#doubt = undefined;
    await this.#hear(step, answer);
    if (step.what === "attach") {
      tally.attachMs.push(performance.now() - startedMs);
      for (const id of step.after.keys()) await this.#look(id);
    }
    return true;
  }

  /** A refusal of what is all or nothing is nothing. */
  async #refused(step: Step, { status, text }: Answer): Promise<void> {
    const { tally } = this.#options;
    const code = /"code":"(\w+)"/.exec(text)?.[1] ?? String(status);
    const key = `${step.what} ${code}`;
    tally.refusals.set(key, (tally.refusals.get(key) ?? 0) + 1);
    if (status === 500) this.#blame(`${step.what} is answered ${text}`);
    // Of a detach of several something may be done; and what is gone for want of space is to be found out.
    if (step.what !== "detach" && step.what !== "collect") this.#doubt = undefined;
    await this.settle();
  }

  async #hear({ what, after }: Step, { text }: Answer): Promise<void> {
    const kept = what === "collect" ? (JSON.parse(text) as Required<GcJson>).kept : [];
    const stays = new Set(kept.map(({ id }) => id));
    this.#books.apply(new Map([...after].filter(([id]) => !stays.has(id))));
    const blamed = kept.filter(({ reason = "" }) => !GOOD_REASONS.some((good) => good.test(reason)));
    if (blamed.length > 0) this.#blame(`what nobody has is not collected: ${JSON.stringify(blamed)}`);
    if (kept.length === 0) return;
    this.#doubt = { what, after, isPartial: true };
    await this.settle();
  }

  /** Its content is what was written last, or nothing. A new one is written to. */
  async #look(id: string): Promise<void> {
    const entry = this.#books.entries.get(id);
    if (entry?.container === undefined) return;
    const file = path.join(this.#sandbox(entry.container), id, MARK);
    const found = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) =>
      error.code === "ENOENT" ? undefined : String(error),
    );
    if (found !== entry.mark) this.#blame(`${id} contains ${found}, not ${entry.mark}`);
    if (entry.mark !== undefined) return;
    const mark = `${this.role}/${id}`;
    try {
      await writeFile(file, mark);
      this.#books.entries.set(id, { ...entry, mark });
    } catch (error) {
      // Made, and then there was no room for what it should contain.
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      const left = await readFile(file, "utf8").catch(() => undefined);
      if (left !== undefined) this.#books.entries.set(id, { ...entry, mark: left });
    }
  }

  async #volumes(): Promise<ReadonlyMap<string, Entry>> {
    const { status, text } = await this.#options.door.call("GET", `/v1/volumes?role=${this.role}`);
    this.#options.tally.operations += 1;
    if (status !== 200) throw new Error(`The volumes are not listed: ${status}: ${text}`);
    return new Map((JSON.parse(text) as VolumesJson).volumes.map((volume) => [volume.id, entryOf(volume)]));
  }

  async #must(step: Step): Promise<void> {
    if (!(await this.#take(step))) this.#blame(`${step.what} is refused at the end`);
  }

  #create(count: number): Step {
    const made = Array.from({ length: count }, (): Named => {
      this.#created += 1;
      return [`v${this.#created}`, { size: SIZE }];
    });
    const operations = [{ type: "CREATE", create: { volumes: made.map((named) => this.#described(named)) } }];
    return { what: "create", method: "POST", path: "/v1/operations", body: { operations }, after: new Map(made) };
  }

  #destroy(doomed: readonly Named[]): Step {
    const operations = [{ type: "DESTROY", destroy: { volumes: doomed.map((named) => this.#described(named)) } }];
    const after = new Map(doomed.map(([id, entry]) => [id, { ...entry, retiredAtMs: performance.now() }]));
    return { what: "destroy", method: "POST", path: "/v1/operations", body: { operations }, after };
  }

  #resize(what: "grow" | "shrink", [id, entry]: Named, size: number): Step {
    const volume = this.#described([id, entry]);
    const operation =
      what === "grow"
        ? { type: "GROW_VOLUME", grow_volume: { volume, addition: this.#disk(size - entry.size) } }
        : { type: "SHRINK_VOLUME", shrink_volume: { volume, subtract: { value: (entry.size - size) / 1_000 } } };
    const after = new Map([[id, { ...entry, size }]]);
    return { what, method: "POST", path: "/v1/operations", body: { operations: [operation] }, after };
  }

  #attach(volumes: readonly Named[]): Step {
    const { chance, mountsMax, number } = this.#options;
    const used = new Set(this.#live(isAttached).map(([, { container }]) => container));
    const names = Array.from({ length: mountsMax + 1 }, (_, slot) => `c${number}-${slot}`).filter(
      (name) => !used.has(name),
    );
    const container = chance.pick(names);
    const body = {
      sandbox: this.#sandbox(container),
      volumes: volumes.map(([id]) => ({ role: this.role, id, containerPath: id })),
    };
    const after = new Map(volumes.map(([id, entry]) => [id, { ...entry, container }]));
    return { what: "attach", method: "PUT", path: `/v1/containers/${container}`, body, after, isPartial: true };
  }

  #detach(container: string): Step {
    const given = this.#live((entry) => entry.container === container);
    const after = new Map(given.map(([id, { container: _, ...entry }]) => [id, entry]));
    return { what: "detach", method: "DELETE", path: `/v1/containers/${container}`, after, isPartial: true };
  }

  #restore([id, { retiredAtMs: _, pinned: _pinned, ...entry }]: Named): Step {
    const body = { role: this.role, id };
    return { what: "restore", method: "POST", path: "/v1/volumes/restore", body, after: new Map([[id, entry]]) };
  }

  #mark(what: "pin" | "unpin", [id, { pinned: _, ...entry }]: Named): Step {
    const after = new Map([[id, what === "pin" ? { ...entry, pinned: true as const } : entry]]);
    return { what, method: "POST", path: `/v1/volumes/${what}`, body: { role: this.role, id }, after };
  }

  #collect(retained: readonly Named[]): Step {
    const body = { uuids: retained.flatMap(([, { uuid }]) => uuid ?? []) };
    const after = new Map(retained.map(([id]) => [id, undefined]));
    return { what: "collect", method: "POST", path: "/v1/gc", body, after, isPartial: true };
  }

  readonly #mayGo = ({ retiredAtMs = 0, pinned }: Entry): boolean =>
    pinned !== true && this.#options.mayGo(retiredAtMs);

  #disk(size: number, extra: object = {}): object {
    const reservations = [{ type: "DYNAMIC", role: this.role }];
    return { name: "disk", type: "SCALAR", scalar: { value: size / 1_000 }, reservations, ...extra };
  }

  #described([id, { size }]: Named): object {
    return this.#disk(size, { disk: { persistence: { id }, volume: { mode: "RW", container_path: PATH } } });
  }

  #live(wanted: (entry: Entry) => boolean): Named[] {
    return [...this.#books.entries].filter(([, entry]) => entry.retiredAtMs === undefined && wanted(entry));
  }

  /** Those whose incarnation is known. */
  #retained(): Named[] {
    return [...this.#books.entries].filter(
      ([, { retiredAtMs, uuid }]) => retiredAtMs !== undefined && uuid !== undefined,
    );
  }

  #sandbox(container: string): string {
    return path.join(this.#options.sandboxes, container);
  }

  #blame(finding: string): void {
    this.#options.tally.violations.push(`${this.role}: ${finding}`);
  }
}

function isAttached({ container }: Entry): boolean {
  return container !== undefined;
}

function defined(change: Change): Entry[] {
  return [...change.values()].filter((entry) => entry !== undefined);
}

function entryOf({ uuid, sizeMb, state, containers, pinned }: VolumesJson["volumes"][number]): Entry {
  const [container] = containers;
  const isSettled = state === "detached" || state === "attached";
  return {
    uuid,
    size: Math.round(sizeMb * 1_000),
    ...(container === undefined ? {} : { container }),
    ...(RETIRED.includes(state) ? { retiredAtMs: performance.now() } : isSettled ? {} : { between: state }),
    ...(pinned === true ? { pinned } : {}),
  };
}
