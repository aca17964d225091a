/** A value from a file that can be read again while the daemon runs; a broken file leaves the old value in force. */
import { messageOf } from "../domain/error.ts";
import type { Log } from "../ports/log.ts";

export interface Reloader<T> {
  readonly current: T;
  /** Why the last reading failed, for people; `undefined` when it did not. */
  readonly failure: string | undefined;
  /** Reads again, once more if it is asked while reading. Never rejects: a failure is logged, once a call. */
  reload(): Promise<void>;
}

export interface ReloaderOptions<T> {
  /** Names it in the log: "credentials". */
  readonly what: string;
  readonly initial: T;
  readonly load: () => Promise<T>;
  readonly log: Log;
  /** Told when another value is in force. */
  readonly onChange?: () => void;
}

export function createReloader<T>({ what, initial, load, log, onChange }: ReloaderOptions<T>): Reloader<T> {
  let current = initial;
  let failure: string | undefined;
  let running: Promise<void> | undefined;
  let askedAgain = false;

  async function attempt(): Promise<void> {
    try {
      current = await load();
      failure = undefined;
      log.info({}, `Loaded the changed ${what}`);
      onChange?.();
    } catch (error) {
      failure = `Cannot load the changed ${what}, the old ones stay in force: ${messageOf(error)}`;
      log.error({ error }, failure);
    }
  }

  async function run(): Promise<void> {
    do {
      askedAgain = false;
      await attempt();
    } while (askedAgain);
    running = undefined;
  }

  return {
    get current() {
      return current;
    },
    get failure() {
      return failure;
    },
    reload() {
      askedAgain = running !== undefined;
      running ??= run();
      return running;
    },
  };
}
