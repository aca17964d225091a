/** Frameworks that talk to the scheduler without a network, on a clock that stands still. */
import type { HoldfastError } from "../../../src/domain/error.ts";
import { type Actor, actorName } from "../../../src/domain/operation.ts";
import type { DiskResource } from "../../../src/domain/resource.ts";
import type { Principal } from "../../../src/domain/units.ts";
import { parseCall } from "../../../src/faces/scheduler/call.ts";
import { EventStream } from "../../../src/faces/scheduler/event-stream.ts";
import { Scheduler } from "../../../src/faces/scheduler/scheduler.ts";
import { FakeClock } from "../../fakes/fake-clock.ts";
import { NodeDouble } from "./node.ts";

const FW: Actor = { kind: "principal", principal: "fw" as Principal };

/** Mesos's JSON, of which a test looks at what it wants to. */
// biome-ignore lint/suspicious/noExplicitAny: events have many forms, and a wrong look fails the test
export type Json = any;

export class Scene {
  readonly clock = new FakeClock();
  readonly node: NodeDouble;
  readonly warnings: string[] = [];
  /** Why a principal would not be let in any more. */
  readonly takenAway = new Map<string, HoldfastError>();
  /** Outlives a restart. */
  readonly idKey = Buffer.alloc(32, "key");
  scheduler: Scheduler;

  constructor(...declared: readonly DiskResource[]) {
    this.node = new NodeDouble(...declared);
    this.scheduler = this.#start();
  }

  /** The daemon is another one; what the node remembers it still does. */
  restart(): void {
    this.scheduler.stop();
    this.scheduler = this.#start();
  }

  /** Subscribes, as MULTI_ROLE and RESERVATION_REFINEMENT unless it says otherwise. */
  async subscribe(info: object = {}, { id, actor = FW, more = {}, stalled }: Identity = {}): Promise<Client> {
    const client = new Client(this, actor);
    if (stalled === true) client.stall();
    await client.subscribe(info, id, more);
    return client;
  }

  /** Lets what is under way come to rest, and a moment pass. */
  async settle(durationMs = 300): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      this.clock.advance(durationMs / 3);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #start(): Scheduler {
    const ignore = () => {};
    const warn = (_fields: object, message: string) => void this.warnings.push(message);
    return new Scheduler({
      engine: this.node,
      clock: this.clock,
      log: { debug: ignore, info: ignore, warn, error: ignore },
      hostname: "node-1",
      idKey: this.idKey,
    });
  }
}

interface Identity {
  readonly id?: string;
  readonly actor?: Actor;
  /** More fields of the `subscribe` message. */
  readonly more?: object;
  /** Reads nothing before it is told to. */
  readonly stalled?: boolean;
}

export class Client {
  readonly events: Json[] = [];
  frameworkId = "";
  /** How its stream ended: by us, in order, or cut off. */
  ending: "ended" | "destroyed" | undefined;
  stream: EventStream | undefined;
  /** Pieces that are not read yet, while it reads slowly. */
  #withheld: (() => void)[] | undefined;
  readonly #scene: Scene;
  readonly #actor: Actor;
  #unread = "";

  constructor(scene: Scene, actor: Actor) {
    this.#scene = scene;
    this.#actor = actor;
  }

  async subscribe(info: object, id?: string, more: object = {}): Promise<void> {
    const capabilities = [{ type: "MULTI_ROLE" }, { type: "RESERVATION_REFINEMENT" }];
    const identity = id === undefined ? {} : { id: { value: id } };
    const plain = { user: "root", name: "test", roles: ["ads"], capabilities, failover_timeout: 60 };
    const call = parseCall({
      type: "SUBSCRIBE",
      ...(id === undefined ? {} : { framework_id: { value: id } }),
      subscribe: { framework_info: { ...plain, ...identity, ...info }, ...more },
    });
    if ("call" in call) throw new Error("Expected a SUBSCRIBE");
    const write = (bytes: Buffer, written: () => void) => {
      this.#read(bytes.toString("utf8"));
      if (this.#withheld === undefined) written();
      else this.#withheld.push(written);
    };
    const end = () => {
      this.ending = "ended";
    };
    const destroy = () => {
      this.ending = "destroyed";
    };
    this.stream = new EventStream(`stream-${Math.random()}`, { write, end, destroy }, this.#scene.clock);
    const standing = () => this.#scene.takenAway.get(actorName(this.#actor));
    await this.#scene.scheduler.subscribe({ actor: this.#actor, standing }, call, this.stream);
    this.frameworkId = this.of("SUBSCRIBED").at(-1)?.framework_id.value ?? "";
    await this.#scene.settle();
  }

  /** Says something, and waits until what comes of it is there. */
  async say(type: string, message?: object): Promise<void> {
    const call = parseCall({
      type,
      framework_id: { value: this.frameworkId },
      ...(message === undefined ? {} : { [type.toLowerCase()]: message }),
    });
    const framework = this.#scene.scheduler.find(this.frameworkId, this.#actor);
    if (!("call" in call) || framework === undefined) throw new Error("The framework is not there");
    await this.#scene.scheduler.carryOut(framework, this.#actor, call.call);
    await this.#scene.settle();
  }

  /** Accepts the latest offer. */
  accept(operations: readonly object[], more: object = {}): Promise<void> {
    return this.say("ACCEPT", { offer_ids: [this.offer().id], operations, ...more });
  }

  /** Reads no more than it is told to. */
  stall(): void {
    this.#withheld = [];
  }

  /** Reads what was said so far, and a little of what follows at once. */
  readSome(pieces = 100): void {
    for (let count = 0; count < pieces; count += 1) this.#withheld?.shift()?.();
  }

  /** The connection breaks. */
  async disconnect(): Promise<void> {
    if (this.stream !== undefined) this.#scene.scheduler.disconnected(this.stream);
    await this.#scene.settle();
  }

  /** The bodies of all events of a type, the oldest first. */
  of(type: string): Json[] {
    return this.events.filter((event) => event.type === type).map((event) => event[type.toLowerCase()]);
  }

  offers(): Json[] {
    return this.of("OFFERS").flatMap(({ offers }) => offers);
  }

  /** The latest offer. */
  offer(): Json {
    return this.offers().at(-1);
  }

  rescinded(): string[] {
    return this.of("RESCIND").map(({ offer_id }) => offer_id.value);
  }

  statuses(): Json[] {
    return this.of("UPDATE_OPERATION_STATUS").map(({ status }) => status);
  }

  /** The latest status of an operation. */
  status(operationId: string): Json {
    return this.statuses().findLast(({ operation_id }) => operation_id.value === operationId);
  }

  #read(text: string): void {
    this.#unread += text;
    for (;;) {
      const end = this.#unread.indexOf("\n");
      const length = Number(this.#unread.slice(0, end));
      if (end < 0 || this.#unread.length < end + 1 + length) return;
      this.events.push(JSON.parse(this.#unread.slice(end + 1, end + 1 + length)));
      this.#unread = this.#unread.slice(end + 1 + length);
    }
  }
}

const RESERVATIONS = [{ type: "DYNAMIC", role: "ads", principal: "fw" }];

/** Resources and operations as a framework writes them. */
function diskJson(sizeMb: number, reservations: readonly object[] = RESERVATIONS): object {
  return {
    name: "disk",
    type: "SCALAR",
    scalar: { value: sizeMb },
    ...(reservations.length === 0 ? {} : { reservations }),
  };
}

export function volumeJson(id: string, sizeMb: number): object {
  const disk = { persistence: { id, principal: "fw" }, volume: { mode: "RW", container_path: "data" } };
  return { ...diskJson(sizeMb), disk };
}

export function reserve(sizeMb: number, id?: string): object {
  return { type: "RESERVE", ...idJson(id), reserve: { resources: [diskJson(sizeMb)] } };
}

export function unreserve(sizeMb: number, id?: string): object {
  return { type: "UNRESERVE", ...idJson(id), unreserve: { resources: [diskJson(sizeMb)] } };
}

export function create(volumeId: string, sizeMb: number, id?: string): object {
  return { type: "CREATE", ...idJson(id), create: { volumes: [volumeJson(volumeId, sizeMb)] } };
}

export function destroy(volumeId: string, sizeMb: number, id?: string): object {
  return { type: "DESTROY", ...idJson(id), destroy: { volumes: [volumeJson(volumeId, sizeMb)] } };
}

function idJson(id: string | undefined): object {
  return id === undefined ? {} : { id: { value: id } };
}

/** Sizes in an offer: `{"": 900, "ads": 100, "ads/v1": 50}`. */
export function sizesIn(offer: Json): Record<string, number> {
  return Object.fromEntries(
    offer.resources.map((resource: Json) => {
      const role = resource.reservations?.at(-1)?.role ?? "";
      const id = resource.disk?.persistence?.id;
      return [id === undefined ? role : `${role}/${id}`, resource.scalar.value];
    }),
  );
}
