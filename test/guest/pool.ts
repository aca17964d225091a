/**
 * Runs test files in a guest that has disks with quotas and the program as it is installed, and reports each test as if
 * it had run here: one boot for all of them, when the first is due. Files are transformed here and run there, one after
 * another, in one process.
 */
import { EventEmitter } from "node:events";
import type { PoolOptions, PoolRunnerInitializer, PoolWorker, WorkerRequest } from "vitest/node";
import { makeProgram } from "../e2e/bundled-program.ts";
import { frame, unframe } from "./frames.ts";
import { bootGuest, type Guest } from "./guest.ts";
import { guestCache } from "./kernel.ts";
import { makeQuotaDisks, mountQuotaDisks, QUOTA_MOUNTS } from "./quota-disks.ts";
import { makeScratch } from "./scratch.ts";

/** A run of all files; a test that hangs has its own limit. */
const RUN_MS_MAX = 15 * 60_000;
const MEMORY_MB = 3072;

export const guestPool: PoolRunnerInitializer = {
  name: "guest",
  createPoolWorker: (options) => new GuestWorker(options),
};

class GuestWorker implements PoolWorker {
  readonly name = "guest";
  readonly #events = new EventEmitter();
  readonly #print: (text: string) => void;
  readonly #disks = makeScratch("guest-disks");
  readonly #program = makeScratch("guest-program", guestCache());
  #guest: Guest | undefined;
  #stopped = false;

  constructor({ project }: PoolOptions) {
    this.#print = (text) => project.vitest.logger.outputStream.write(text);
  }

  on = (event: string, callback: (...args: unknown[]) => void): unknown => this.#events.on(event, callback);
  off = (event: string, callback: (...args: unknown[]) => void): unknown => this.#events.off(event, callback);
  deserialize = (message: unknown): unknown => message;
  canReuse = (): boolean => true;

  send = (message: WorkerRequest): void => {
    this.#guest?.stream.write(frame(message));
  };

  start = async (): Promise<void> => {
    try {
      const [disks, program] = await Promise.all([makeQuotaDisks(this.#disks.path), makeProgram(this.#program.path)]);
      const guest = await bootGuest({ disks, memoryMb: MEMORY_MB });
      this.#guest = guest;
      guest.stream.on(
        "data",
        unframe((message) => this.#events.emit("message", message)),
      );
      const ran = this.#run(guest, program);
      await Promise.race([mountQuotaDisks(guest), ran]);
      // Nobody listens before this is done.
      ran.catch((error: unknown) => setImmediate(() => this.#fail(error)));
    } catch (error) {
      await this.stop();
      throw error;
    }
  };

  stop = async (): Promise<void> => {
    this.#stopped = true;
    await this.#guest?.kill();
    this.#disks.remove();
    this.#program.remove();
  };

  #fail(error: unknown): void {
    if (!this.#stopped) this.#events.emit("error", error);
  }

  /** Runs the tests' process; it does not end by itself. */
  async #run(guest: Guest, program: string): Promise<never> {
    // The device can be opened once.
    const line = 'exec 3<>"$HOLDFAST_GUEST_STREAM"; cat <&3 | exec node test/guest/pool-worker.ts';
    const { exitCode } = await guest.run(line, {
      env: { ...QUOTA_MOUNTS, HOLDFAST_GUEST_PROGRAM: program, VITEST: "true", NODE_ENV: "test" },
      timeoutMs: RUN_MS_MAX,
      onLine: (text) => this.#print(`${text}\n`),
    });
    throw new Error(`The tests' process in the guest has ended with status ${exitCode}`);
  }
}
