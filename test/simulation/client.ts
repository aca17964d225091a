/**
 * A client that asks for one random thing after the other and keeps books. It has a role, two containers in one
 * sandbox, a third that is a process with a mount namespace of its own, an engine that borrows volumes, and shares the
 * volumes of role `common` with the others.
 */
import { type ErrorCode, HoldfastError } from "../../src/domain/error.ts";
import type { Operation } from "../../src/domain/operation.ts";
import type { ContainerId, ContainerPath, Incarnation, MilliMb, Role, VolumeId } from "../../src/domain/units.ts";
import type { LendRequest } from "../../src/engine/engine.ts";
import type { NodeEngine } from "../../src/engine/node-engine.ts";
import type { MountTarget } from "../../src/ports/mounter.ts";
import { disk, reservedFor, volume } from "../domain/world.ts";
import { PEER } from "../engine/rig.ts";
import { type Belief, type BookedVolume, type Books, booksOf, contradictions, EMPTY, NEW, sum } from "./books.ts";
import type { Chance } from "./chance.ts";
import type { World } from "./world.ts";

/** The volumes that all clients attach: one exclusive, one shared. */
export const COMMON = { role: "common", ids: ["x", "s"] } as const;

const IDS = ["a", "b", "c"] as const;
const PATHS = ["data", "logs", "tmp"] as const;

/** What a client is told when something broke: it may have happened or not. */
const UNCERTAIN: readonly ErrorCode[] = ["internal", "unavailable", "disk_full"];

/** Something to ask for, and what the books say when it was done. */
interface Wish {
  /** A refusal may leave some of it done. */
  readonly isPartial?: boolean;
  readonly ask: () => Promise<unknown>;
  readonly after: Books;
}

export class Client {
  readonly role: string;
  readonly #world: World;
  readonly #chance: Chance;
  #mayBreak = false;
  #belief: Belief = { before: EMPTY, after: EMPTY };

  constructor(world: World, chance: Chance, role: string) {
    this.#world = world;
    this.#chance = chance;
    this.role = role;
  }

  get belief(): Belief {
    return this.#belief;
  }

  /** Believes what was found to be compatible with what it knew. */
  learn(books: Books): void {
    this.#belief = { before: books, after: books };
  }

  /** A power cut ended every mount. */
  forgetMounts(): void {
    const { before, after } = this.#belief;
    this.#belief = { before: { ...before, attached: [] }, after: { ...after, attached: [] } };
  }

  /** Wishes one thing after the other, until it is not certain of something any more. */
  async live(engine: NodeEngine, life: { readonly wishes: number; readonly mayBreak: boolean }): Promise<void> {
    const { wishes } = life;
    // Where steps may fail, so may those that take back an attach that failed.
    this.#mayBreak = life.mayBreak;
    for (let count = 0; count < wishes; count += 1) {
      const wish = this.#wish(engine);
      const { before } = this.#belief;
      this.#belief = { before, after: wish.after };
      try {
        await wish.ask();
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        if (UNCERTAIN.includes(error.code)) return;
        this.#noteRefusal(wish, before);
        continue;
      }
      this.#note(wish.after);
    }
  }

  /** What was answered is true from now on, and durable; new volumes get their incarnation from the checkpoint. */
  #note(after: Books): void {
    const stored = booksOf(this.#world.store.contents(), this.role);
    const known = new Set(after.volumes.map(({ uuid }) => uuid));
    const created = stored.volumes.filter(({ uuid }) => !known.has(uuid));
    const volumes = after.volumes.map((booked) =>
      booked.uuid === NEW
        ? (created.find(({ id, live }) => id === booked.id && live === booked.live) ?? booked)
        : booked,
    );
    this.#world.getToKnow();
    this.learn({ ...after, volumes });
  }

  /** What was refused did not happen; of a detach that was busy with one volume, others may be through. */
  #noteRefusal(wish: Wish, before: Books): void {
    if (wish.isPartial !== true) {
      this.learn(before);
      return;
    }
    const books = booksOf(this.#world.store.contents(), this.role);
    const found = contradictions(books, this.#belief);
    if (found.length > 0) throw new Error(`A refusal is not true, client ${this.role} ${found.join("; ")}`);
    this.learn({ ...before, attached: books.attached });
  }

  #wish(engine: NodeEngine): Wish {
    const { before: books } = this.#belief;
    const live = books.volumes.filter((one) => one.live);
    const retained = books.volumes.filter((one) => !one.live);
    const wishes = [
      () => this.#reservation(engine, books),
      () => this.#create(engine, books),
      // Where quotas are, files are enlisted behind the answer, by as many recoveries as it takes.
      ...(this.#world.disk.enforcement.by === "nothing" ? [() => this.#adopt(engine, books)] : []),
      () => this.#attach(engine, books),
      () => this.#attach(engine, books),
      () => this.#detach(engine, books),
      () => this.#detach(engine, books),
      () => this.#end(engine, books),
      () => this.#giveBack(engine, books),
      ...this.#common.map((volume) => () => this.#lend(engine, books, volume)),
      () => ({ ask: () => engine.reconcile(), after: books }),
      ...(live.length === 0
        ? []
        : [
            () => this.#destroy(engine, books, this.#chance.pick(live)),
            () => this.#destroy(engine, books, this.#chance.pick(live)),
            () => this.#resize(engine, books, this.#chance.pick(live)),
            () => this.#recreate(engine, books, this.#chance.pick(live)),
            () => this.#mark(engine, books, this.#chance.pick(live)),
            () => this.#copy(engine, books, this.#chance.pick(live)),
          ]),
      ...(retained.length === 0
        ? []
        : [
            () => this.#restore(engine, books, this.#chance.pick(retained)),
            () => this.#restore(engine, books, this.#chance.pick(retained)),
            () => this.#collect(engine, books, this.#chance.pick(retained)),
            () => this.#mark(engine, books, this.#chance.pick(retained)),
          ]),
    ];
    return this.#chance.pick(wishes)();
  }

  #reservation(engine: NodeEngine, books: Books): Wish {
    const sizeMb = 10 * (1 + this.#chance.below(8));
    const grows = this.#chance.percent(50);
    const type = grows ? "RESERVE" : "UNRESERVE";
    return {
      ask: () => this.#perform(engine, [{ type, resources: [disk(sizeMb, this.#stack)] }]),
      after: { ...books, reservedMb: books.reservedMb + (grows ? sizeMb : -sizeMb) },
    };
  }

  #create(engine: NodeEngine, books: Books): Wish {
    const sizeMb = 10 * (1 + this.#chance.below(4));
    const id = this.#chance.pick(IDS);
    return {
      ask: () => this.#perform(engine, [{ type: "CREATE", volumes: [volume(id, sizeMb, this.#stack)] }]),
      after: { ...books, volumes: [...books.volumes, { uuid: NEW, id, sizeMb, live: true, marked: false }] },
    };
  }

  /** Takes what is reserved and free, and reserves what is missing. */
  #adopt(engine: NodeEngine, books: Books): Wish {
    const sizeMb = 10;
    const id = this.#chance.pick(IDS);
    const directory = `/srv/${this.role}-${this.#world.strayInodes.size}`;
    this.#world.layDown(directory);
    const adoption = { directory, role: this.role as Role, id: id as VolumeId, size: (sizeMb * 1_000) as MilliMb };
    const usedMb = sum(books.volumes.filter(({ live }) => live).map((one) => one.sizeMb));
    const missingMb = Math.max(0, sizeMb - (books.reservedMb - usedMb));
    return {
      ask: () => engine.adopt(PEER, { adoptions: [adoption], dryRun: false }),
      after: {
        ...books,
        reservedMb: books.reservedMb + missingMb,
        volumes: [...books.volumes, { uuid: NEW, id, sizeMb, live: true, marked: false }],
      },
    };
  }

  /** Takes what is reserved and free, and reserves what is missing, as an adoption. */
  #copy(engine: NodeEngine, books: Books, target: BookedVolume): Wish {
    const id = this.#chance.pick(IDS);
    const role = this.role as Role;
    const { sizeMb } = target;
    const usedMb = sum(books.volumes.filter(({ live }) => live).map((one) => one.sizeMb));
    const missingMb = Math.max(0, sizeMb - (books.reservedMb - usedMb));
    const source = { role, id: target.id as VolumeId };
    return {
      ask: async () => {
        const request = { source, role, id: id as VolumeId, snapshot: this.#chance.percent(30) };
        const { volume: copy } = await engine.copy(PEER, request);
        // What was copied before is there, and nothing new.
        if (books.volumes.some(({ uuid }) => uuid === copy.uuid)) throw new HoldfastError("duplicate_volume", id);
      },
      after: {
        ...books,
        reservedMb: books.reservedMb + missingMb,
        volumes: [...books.volumes, { uuid: NEW, id, sizeMb, live: true, marked: false }],
      },
    };
  }

  #destroy(engine: NodeEngine, books: Books, target: BookedVolume): Wish {
    return {
      ask: () => this.#perform(engine, [this.#destroying(target)]),
      after: { ...books, volumes: books.volumes.map((one) => (one === target ? { ...one, live: false } : one)) },
    };
  }

  /** Destroys a volume and creates another one of the same name, in one list. */
  #recreate(engine: NodeEngine, books: Books, target: BookedVolume): Wish {
    const { id, sizeMb } = target;
    const { after } = this.#destroy(engine, books, target);
    return {
      ask: () =>
        this.#perform(engine, [
          this.#destroying(target),
          { type: "CREATE", volumes: [volume(id, sizeMb, this.#stack)] },
        ]),
      after: { ...after, volumes: [...after.volumes, { uuid: NEW, id, sizeMb, live: true, marked: false }] },
    };
  }

  #resize(engine: NodeEngine, books: Books, target: BookedVolume): Wish {
    const named = volume(target.id, target.sizeMb, this.#stack);
    const grows = this.#chance.percent(50);
    const operation: Operation = grows
      ? { type: "GROW_VOLUME", volume: named, addition: disk(10, this.#stack) }
      : { type: "SHRINK_VOLUME", volume: named, subtract: 10_000 as MilliMb };
    const sizeMb = target.sizeMb + (grows ? 10 : -10);
    return {
      ask: () => this.#perform(engine, [operation]),
      after: { ...books, volumes: books.volumes.map((one) => (one === target ? { ...one, sizeMb } : one)) },
    };
  }

  /** Restores by incarnation, perhaps under another id; what the reservation lacks is reserved. */
  #restore(engine: NodeEngine, books: Books, target: BookedVolume): Wish {
    const id = this.#chance.percent(50) ? target.id : this.#chance.pick(IDS);
    const used = sum(books.volumes.filter((one) => one.live).map(({ sizeMb }) => sizeMb));
    return {
      ask: () => engine.restore(PEER, { uuid: target.uuid as Incarnation, as: id as VolumeId }),
      after: {
        ...books,
        reservedMb: Math.max(books.reservedMb, used + target.sizeMb),
        volumes: books.volumes.map((one) => (one === target ? { ...one, id, live: true, marked: false } : one)),
      },
    };
  }

  /** Protects a live volume or pins a destroyed one, or takes that away. */
  #mark(engine: NodeEngine, books: Books, target: BookedVolume): Wish {
    const mark = target.live ? "protect" : "pin";
    const marked = !target.marked;
    const uuid = target.uuid as Incarnation;
    return {
      ask: () => engine.mark(PEER, { uuid, mark: marked ? mark : `un${mark}` }),
      after: { ...books, volumes: books.volumes.map((one) => (one === target ? { ...one, marked } : one)) },
    };
  }

  /** Deletes what was destroyed, for good. What stays, somebody holds or something broke. */
  #collect(engine: NodeEngine, books: Books, target: BookedVolume): Wish {
    const uuid = target.uuid as Incarnation;
    return {
      ask: async () => {
        this.#world.mayGo.add(uuid);
        const { kept } = await engine.collect(PEER, { dryRun: false, uuids: [uuid] });
        if (kept.length > 0) throw new HoldfastError("internal", kept[0]?.reason ?? "");
      },
      after: { ...books, volumes: books.volumes.filter((one) => one !== target) },
    };
  }

  #attach(engine: NodeEngine, books: Books): Wish {
    const container = this.#chance.pick(this.#containers);
    const paths = [...PATHS];
    const own = this.#chance.some(books.volumes.filter((one) => one.live)).map((one) => ({ ...one, role: this.role }));
    const wanted = [...own, ...this.#chance.some(this.#common, 25)].slice(0, paths.length).map((one) => {
      const path = this.#chance.pick(paths);
      paths.splice(paths.indexOf(path), 1);
      return { ...one, path };
    });
    const volumes = wanted.map(({ role, id, path }) => ({
      role: role as Role,
      id: id as VolumeId,
      containerPath: path as ContainerPath,
      mode: "RW" as const,
    }));
    const uuids = wanted.map(({ uuid }) => uuid as Incarnation);
    return {
      isPartial: this.#mayBreak,
      ask: async () => {
        const init = container === this.#started ? this.#world.initOf(container) : undefined;
        await engine.attach(PEER, {
          container: container as ContainerId,
          sandbox: this.#sandbox,
          ...(init === undefined ? {} : { process: { pid: init.pid } }),
          volumes,
        });
        this.#requireMounted(wanted, init === undefined ? {} : { process: init });
        for (const uuid of uuids) this.#world.write(uuid);
      },
      after: {
        ...books,
        attached: [
          ...books.attached.filter((one) => !one.startsWith(`${container} `)),
          ...wanted.map(({ path, uuid }) => `${container} ${path} ${uuid}`),
        ],
      },
    };
  }

  #detach(engine: NodeEngine, books: Books): Wish {
    const container = this.#chance.pick(this.#containers);
    const force = this.#chance.percent(30);
    return {
      isPartial: true,
      ask: () => engine.detach(PEER, container as ContainerId, { force }),
      after: { ...books, attached: books.attached.filter((one) => !one.startsWith(`${container} `)) },
    };
  }

  /** The process of a container ends; whoever looks then, it is off the books. */
  #end(engine: NodeEngine, books: Books): Wish {
    const container = this.#started;
    return {
      ask: async () => {
        this.#world.end(container);
        await engine.reconcile();
      },
      after: { ...books, attached: books.attached.filter((one) => !one.startsWith(`${container} `)) },
    };
  }

  #lend(engine: NodeEngine, books: Books, { id, uuid }: { readonly id: string; readonly uuid: Incarnation }): Wish {
    const entry = `${this.#engine} data ${uuid}`;
    return {
      ask: () => engine.lend(PEER, this.#loan(id)),
      after: { ...books, attached: [...books.attached.filter((one) => one !== entry), entry] },
    };
  }

  #giveBack(engine: NodeEngine, books: Books): Wish {
    const { id, uuid } = this.#chance.pick(this.#common);
    return {
      ask: () => engine.giveBack(PEER, this.#loan(id)),
      after: { ...books, attached: books.attached.filter((one) => one !== `${this.#engine} data ${uuid}`) },
    };
  }

  #loan(id: string): LendRequest {
    return {
      borrower: this.#engine as ContainerId,
      role: COMMON.role as Role,
      id: id as VolumeId,
      runtime: "docker",
    };
  }

  /** What was answered can be seen at once, and an exclusive volume nowhere else. */
  #requireMounted(
    wanted: readonly { readonly uuid: string; readonly id: string; readonly path: string }[],
    started: Pick<MountTarget, "process">,
  ): void {
    for (const { uuid, id, path } of wanted) {
      const target = { sandbox: this.#sandbox, containerPath: path as ContainerPath, ...started };
      const shown = this.#world.mounter.shown(target);
      if (shown !== uuid) throw new Error(`An attach was answered, but ${path} shows ${shown}, not ${uuid}`);
      const places = this.#world.placesOf(uuid as Incarnation);
      if (id !== "s" && places.length > 1) throw new Error(`Exclusive volume ${uuid} is mounted at ${places}`);
    }
  }

  #perform(engine: NodeEngine, operations: readonly Operation[]): Promise<unknown> {
    return engine.perform(PEER, operations);
  }

  #destroying({ id, sizeMb }: BookedVolume): Operation {
    return { type: "DESTROY", volumes: [volume(id, sizeMb, this.#stack)] };
  }

  get #stack() {
    return [reservedFor(this.role)];
  }

  get #sandbox(): string {
    return `/sandboxes/${this.role}`;
  }

  get #containers(): readonly string[] {
    return [`${this.role}-0`, `${this.role}-1`, this.#started];
  }

  /** The container that is a process. */
  get #started(): string {
    return `${this.role}-2`;
  }

  /** The container engine, which mounts by itself what it is lent. */
  get #engine(): string {
    return `${this.role}-engine`;
  }

  get #common() {
    return this.#world.common.map((one) => ({ ...one, role: COMMON.role }));
  }
}
