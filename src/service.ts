/**
 * The daemon under a service manager: says when it is ready and what it is doing, and gives signs of life only while
 * the engine really answers, so that a daemon that hangs is replaced.
 */
import { messageOf } from "./domain/error.ts";
import type { Actor } from "./domain/operation.ts";
import type { Engine, NodeStatus } from "./engine/engine.ts";
import type { Notice, ServiceManager } from "./host/systemd.ts";
import type { Log } from "./ports/log.ts";

/** Signs of life in the time in which one is due: one may be late, and one lost. */
const SIGNS_IN_PERIOD = 3;
/** How often the status is told where nobody waits for signs of life. */
const STATUS_INTERVAL_MS = 30_000;

const SELF: Actor = Object.freeze({ kind: "peer", uid: 0 });

export interface ServiceOptions {
  readonly manager: ServiceManager;
  readonly engine: Pick<Engine, "ping" | "status">;
  readonly log: Log;
}

export interface Service {
  /** Tells that files are read again, until they are. */
  reloading(reload: Promise<void>): Promise<void>;
  /** Tells that the end has begun. */
  stopping(): void;
}

/** Tells that the daemon is ready, and from then on how it is. */
export function reportReady({ manager, engine, log }: ServiceOptions): Service {
  let stopping = false;
  const tell = (notice: Notice): void => {
    try {
      manager.notify(notice);
    } catch (error) {
      log.warn({ error }, `Cannot tell the service manager: ${messageOf(error)}`);
    }
  };
  const periodMs = manager.watchdogMs === undefined ? STATUS_INTERVAL_MS : manager.watchdogMs / SIGNS_IN_PERIOD;
  // The sign of life must not wait for what the status waits for: a disk of volumes that hangs is no reason to restart.
  const giveSign = oneAtATime(async () => {
    const late = setTimeout(() => log.error({ periodMs }, "Cannot give a sign of life: no answer yet"), periodMs);
    try {
      await engine.ping();
      tell({ WATCHDOG: "1" });
    } catch (error) {
      if (!stopping) log.error({ error }, `Cannot give a sign of life: ${messageOf(error)}`);
    } finally {
      clearTimeout(late);
    }
  });
  const tellStatus = oneAtATime(async () => {
    try {
      const status = statusLine(await engine.status(SELF));
      if (!stopping) tell({ STATUS: status });
    } catch (error) {
      if (!stopping) log.warn({ error }, `Cannot tell the status: ${messageOf(error)}`);
    }
  });
  const report = () => Promise.all([giveSign(), tellStatus()]);
  tell({ READY: "1" });
  const timer = setInterval(() => void report(), periodMs);
  void report();
  return {
    reloading: async (reload) => {
      tell({ RELOADING: "1" });
      await reload;
      tell({ READY: "1" });
      await tellStatus();
    },
    stopping: () => {
      stopping = true;
      clearInterval(timer);
      tell({ STOPPING: "1", STATUS: "Stopping; what is mounted stays mounted" });
    },
  };
}

/** While an answer is out, nothing is asked again: it is no sign of life. */
function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let running = false;
  return async () => {
    if (running) return;
    running = true;
    await work();
    running = false;
  };
}

/** What `systemctl status` shows. */
export function statusLine({ volumes, containers, problems, notices }: NodeStatus): string {
  const live = Object.entries(volumes).reduce((sum, [state, count]) => (state === "retained" ? sum : sum + count), 0);
  const serving = `${live} volumes (${volumes.attached} attached to ${containers} containers), ${volumes.retained} retained`;
  return [`Serving ${serving}`, ...firstOf("problem", problems), ...firstOf("note", notices)].join("; ");
}

function firstOf(what: string, [first, ...rest]: readonly string[]): string[] {
  if (first === undefined) return [];
  return [`${what}: ${first}${rest.length === 0 ? "" : ` (and ${rest.length} more, see holdfast status)`}`];
}
