/**
 * Calls into a thread of its own, for work that blocks: synchronous, one after another. A thread that does not come
 * back is given up with all that waits for it, and the next call starts a new one.
 */
import { parentPort, type Worker } from "node:worker_threads";
import { HoldfastError } from "../domain/error.ts";

/** What a thread offers. */
export type Methods = Readonly<Record<string, (...args: never[]) => unknown>>;

interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** An error is taken apart, because a class does not survive the way between threads. */
type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: Pick<HoldfastError, "code" | "message" | "details" | "cause"> };

interface Pending extends PromiseWithResolvers<unknown> {
  readonly timer: NodeJS.Timeout;
}

export interface CallThreadOptions {
  /** For messages: "Cannot scan for holders: ...". */
  readonly action: string;
  /** How long a call may take, its wait for earlier ones included. */
  readonly timeoutMs: number;
  readonly start: () => Worker;
}

/** The caller's end. The thread starts with the first call, and does not keep the process alive. */
export class CallThread<Offered extends Methods> {
  readonly #options: CallThreadOptions;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #lastId = 0;
  #closed = false;

  constructor(options: CallThreadOptions) {
    this.#options = options;
  }

  /** @throws `unavailable` when the thread does not answer in time, ended, or is closed */
  call<Method extends keyof Offered & string>(
    method: Method,
    ...args: Parameters<Offered[Method]>
  ): Promise<Awaited<ReturnType<Offered[Method]>>>;
  call(method: string, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#unavailable("it was closed"));
    this.#worker ??= this.#start();
    this.#lastId += 1;
    const call: Call = { id: this.#lastId, method, args };
    const timer = setTimeout(() => this.#expire(call), this.#options.timeoutMs);
    const pending = { ...Promise.withResolvers<unknown>(), timer };
    this.#pending.set(call.id, pending);
    this.#worker.postMessage(call);
    return pending.promise;
  }

  /** Lets the calls that are under way end. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(Array.from(this.#pending.values(), ({ promise }) => promise));
    if (this.#worker !== undefined) this.#giveUp(this.#worker, "it was closed");
  }

  #start(): Worker {
    const worker = this.#options.start();
    worker.on("message", (answer: Answer) => this.#settle(answer));
    worker.on("error", (error) => this.#giveUp(worker, `its thread failed with ${String(error)}`));
    worker.on("exit", () => this.#giveUp(worker, "its thread ended"));
    worker.unref();
    return worker;
  }

  #settle(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    if (pending === undefined) return;
    this.#pending.delete(answer.id);
    clearTimeout(pending.timer);
    if ("value" in answer) {
      pending.resolve(answer.value);
    } else {
      const { code, message, details, cause } = answer.error;
      pending.reject(new HoldfastError(code, message, { cause, ...(details === undefined ? {} : { details }) }));
    }
  }

  #expire(call: Call): void {
    const worker = this.#worker;
    // If it was this process that stood still, the answer waits behind this timer.
    setImmediate(() => {
      if (worker === undefined || !this.#pending.has(call.id)) return;
      this.#giveUp(worker, `no answer within ${this.#options.timeoutMs} ms`);
    });
  }

  #giveUp(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    void worker.terminate();
    for (const { timer, reject } of this.#pending.values()) {
      clearTimeout(timer);
      reject(this.#unavailable(reason));
    }
    this.#pending.clear();
  }

  #unavailable(reason: string): HoldfastError {
    return new HoldfastError("unavailable", `Cannot ${this.#options.action}: ${reason}`);
  }
}

/** The thread's end: answers calls with these methods. */
export function answerCalls(methods: Methods): void {
  const byName = new Map<string, (...args: never[]) => unknown>(Object.entries(methods));
  parentPort?.on("message", (call: Call) => {
    parentPort?.postMessage(answer(byName.get(call.method), call));
  });
}

function answer(method: ((...args: never[]) => unknown) | undefined, call: Call): Answer {
  try {
    return { id: call.id, value: method?.(...(call.args as never[])) };
  } catch (error) {
    return { id: call.id, error: describe(error) };
  }
}

function describe(error: unknown): Pick<HoldfastError, "code" | "message" | "details" | "cause"> {
  if (!(error instanceof HoldfastError)) return describe(new HoldfastError("internal", String(error)));
  return { code: error.code, message: error.message, details: error.details, cause: describeCause(error.cause) };
}

/** Only text is sure to be cloned. */
function describeCause(cause: unknown): string | undefined {
  return cause === undefined ? undefined : String(cause);
}
