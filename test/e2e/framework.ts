/** A framework of Mesos's v1 scheduler API over HTTP, as small as it can be: it says calls, and keeps what it is told. */
import http from "node:http";
import { type Answer, request } from "./request.ts";

const PATIENCE_MS = 10_000;

/** Mesos's JSON, of which a test looks at what it wants to. */
// biome-ignore lint/suspicious/noExplicitAny: events have many forms, and a wrong look fails the test
export type Json = any;

export interface FrameworkOptions {
  readonly door: { readonly host: string; readonly port: number };
  /** `principal:secret`. */
  readonly login?: string;
  readonly info?: object;
  /** The id that it has already. */
  readonly id?: string;
}

export class Framework {
  readonly id: string;
  readonly streamId: string;
  /** Everything that it was told, in order. */
  readonly events: readonly Json[];
  /** Resolves when the stream ends, however it does. */
  readonly ended: Promise<void>;
  readonly #options: FrameworkOptions;
  readonly #stream: Stream;

  private constructor(options: FrameworkOptions, stream: Stream) {
    this.#options = options;
    this.#stream = stream;
    this.id = stream.events[0]?.subscribed?.framework_id.value ?? "";
    this.streamId = stream.id;
    this.events = stream.events;
    this.ended = stream.ended;
  }

  /** Subscribes, and waits for the first event; `events` has an ERROR where that is refused. */
  static async subscribe(options: FrameworkOptions): Promise<Framework> {
    const { id, info = {} } = options;
    const capabilities = [{ type: "MULTI_ROLE" }, { type: "RESERVATION_REFINEMENT" }];
    const identity = id === undefined ? {} : { id: { value: id } };
    const framework_info = { user: "root", name: "test", roles: ["ads"], capabilities, failover_timeout: 60 };
    const stream = await openStream(options, {
      type: "SUBSCRIBE",
      ...(id === undefined ? {} : { framework_id: { value: id } }),
      subscribe: { framework_info: { ...framework_info, ...identity, ...info } },
    });
    await stream.until(({ length }) => length > 0);
    return new Framework(options, stream);
  }

  /** Says something; the answer is 202 where it was understood. */
  call(type: string, message?: object, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    const body = {
      type,
      framework_id: { value: this.id },
      ...(message === undefined ? {} : { [type.toLowerCase()]: message }),
    };
    return request(this.#options.door, {
      method: "POST",
      path: "/api/v1/scheduler",
      headers: { "Mesos-Stream-Id": this.streamId, ...authorization(this.#options), ...headers },
      body,
    });
  }

  /** Says a part of it, and breaks the connection off before there is an answer. */
  async breakOff(type: string, message: object, part: number): Promise<void> {
    const body = JSON.stringify({ type, framework_id: { value: this.id }, [type.toLowerCase()]: message });
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "Mesos-Stream-Id": this.streamId,
      ...authorization(this.#options),
    };
    const place = { ...this.#options.door, agent: false, method: "POST", path: "/api/v1/scheduler", headers };
    const outgoing = http.request(place).on("error", () => {});
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    outgoing.on("close", () => resolve());
    outgoing.write(body.slice(0, Math.floor(body.length * part)), () => outgoing.destroy());
    await closed;
  }

  /** The bodies of all events of a type. */
  of(type: string): Json[] {
    return this.events.filter((event) => event.type === type).map((event) => event[type.toLowerCase()]);
  }

  offers(): Json[] {
    return this.of("OFFERS").flatMap(({ offers }) => offers);
  }

  /** The first offer behind so many that fits. */
  async offer(fits: (offer: Json) => boolean = () => true, after = 0): Promise<Json> {
    const find = () => this.offers().slice(after).find(fits);
    await this.until(() => find() !== undefined);
    return find();
  }

  /** The latest status of an operation, when it has come to a certain state. */
  async status(operationId: string, state = "OPERATION_FINISHED"): Promise<Json> {
    const find = () =>
      this.of("UPDATE_OPERATION_STATUS").findLast(
        ({ status }) => status.operation_id.value === operationId && status.state === state,
      );
    await this.until(() => find() !== undefined);
    return find().status;
  }

  acknowledge({ operation_id, uuid }: Json): Promise<Answer> {
    return this.call("ACKNOWLEDGE_OPERATION_STATUS", { operation_id, uuid: uuid.value });
  }

  /** Waits for events. */
  until(fits: () => boolean): Promise<void> {
    return this.#stream.until(fits);
  }

  /** The connection breaks. */
  cut(): void {
    this.#stream.cut();
  }

  /** Reads no more, and keeps the connection. */
  stall(): void {
    this.#stream.stall();
  }
}

interface Stream {
  readonly id: string;
  readonly events: Json[];
  readonly ended: Promise<void>;
  until(fits: (events: readonly Json[]) => boolean): Promise<void>;
  cut(): void;
  stall(): void;
}

function openStream(options: FrameworkOptions, call: object): Promise<Stream> {
  const { promise, resolve, reject } = Promise.withResolvers<Stream>();
  const headers = { "content-type": "application/json", accept: "application/json", ...authorization(options) };
  const place = { ...options.door, agent: false, method: "POST", path: "/api/v1/scheduler", headers };
  const outgoing = http.request(place, (incoming) => {
    if (incoming.statusCode === 200) resolve(readStream(incoming));
    else incoming.resume().on("end", () => reject(new Error(`SUBSCRIBE was answered ${incoming.statusCode}`)));
  });
  outgoing.on("error", reject);
  outgoing.end(JSON.stringify(call));
  return promise;
}

function readStream(incoming: http.IncomingMessage): Stream {
  const events: Json[] = [];
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const waiting = new Set<() => void>();
  let unread = Buffer.alloc(0);
  incoming.on("data", (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk]);
    for (;;) {
      const newline = unread.indexOf("\n");
      const length = Number(unread.subarray(0, Math.max(newline, 0)));
      if (newline < 0 || unread.length < newline + 1 + length) break;
      events.push(JSON.parse(unread.toString("utf8", newline + 1, newline + 1 + length)));
      unread = unread.subarray(newline + 1 + length);
    }
    for (const look of waiting) look();
  });
  incoming.on("error", () => {});
  incoming.on("close", () => end());
  const until = (fits: (events: readonly Json[]) => boolean) =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(look);
        reject(new Error(`Waited in vain; the last events were ${JSON.stringify(events.slice(-3)).slice(0, 2_000)}`));
      }, PATIENCE_MS);
      const look = (): void => {
        if (!fits(events)) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return {
    id: String(incoming.headers["mesos-stream-id"]),
    events,
    ended,
    until,
    cut: () => void incoming.destroy(),
    stall: () => void incoming.pause(),
  };
}

function authorization({ login }: FrameworkOptions): http.OutgoingHttpHeaders {
  return login === undefined ? {} : { authorization: `Basic ${Buffer.from(login).toString("base64")}` };
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
