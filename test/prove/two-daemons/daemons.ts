/** Rounds of whole daemons: all that end do so before they touch anything, and the one that is left serves. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requestJson } from "../../e2e/request.ts";
import { TracedDaemon } from "../traced-daemon.ts";
import { CONTENDERS, judgeRefusal, type Rounds, TAKE_OVER_MS_MAX } from "./contenders.ts";
import { type Ground, leaveBehind, makeGround, NAMELESS } from "./ground.ts";
import { blame, noteEnd, type Tally } from "./tally.ts";

export interface DaemonRounds extends Rounds {
  /** As it is installed. */
  readonly program: string;
}

const PAUSE_MS_MAX = 300;
const STOP_MS_MAX = 15_000;
const REFUSED = 1;
const ENDS = ["SIGTERM", "SIGKILL"] as const;
const ARGS = ["--resources", "disk(*):64", "--mount-backend", "symlink"];

/** A daemon that was started on one of the names. */
interface Started {
  readonly daemon: TracedDaemon;
  readonly outcome: Awaited<ReturnType<TracedDaemon["start"]>>;
  readonly elapsedMs: number;
}

export async function playDaemons(rounds: DaemonRounds): Promise<void> {
  for (let round = 0; round < rounds.rounds && !rounds.isOver(); round += 1) {
    // A new work root each time: the very first start is raced, too.
    const dir = path.join(rounds.place.dir, `daemons-${rounds.tally.rounds}`);
    const ground = await makeGround(dir);
    const game = new Game(rounds, ground, dir);
    try {
      await game.play();
    } finally {
      await game.end();
      await ground.remove();
    }
    rounds.tally.rounds += 1;
  }
}

class Game {
  readonly #rounds: DaemonRounds;
  readonly #ground: Ground;
  readonly #dir: string;
  readonly #tally: Tally;
  readonly #started: TracedDaemon[] = [];

  constructor(rounds: DaemonRounds, ground: Ground, dir: string) {
    this.#rounds = rounds;
    this.#ground = ground;
    this.#dir = dir;
    this.#tally = rounds.tally;
  }

  async play(): Promise<void> {
    const { chance } = this.#rounds;
    const leftover = await leaveBehind(this.#ground.names[0] ?? "", chance);
    const owner = await this.#race(`over ${leftover}`);
    if (owner === undefined) return;
    const agentId = await agentIdOf(owner.daemon);
    const named = NAMELESS.includes(leftover) ? undefined : owner.daemon.pid;
    if (chance.percent(50)) {
      process.kill(owner.daemon.pid, "SIGSTOP");
      await this.#expectRefusal(named, "while the owner is paused");
      await sleep(chance.below(PAUSE_MS_MAX));
      process.kill(owner.daemon.pid, "SIGCONT");
      noteEnd(this.#tally, "paused");
    }
    await this.#expectRefusal(named, "behind the owner");
    if ((await agentIdOf(owner.daemon)) !== agentId) blame(this.#tally, "the owner is not who it was");
    const end = chance.pick(ENDS);
    noteEnd(this.#tally, end);
    process.kill(owner.daemon.pid, end);
    await endOf(owner.daemon);
    const next = await this.#start();
    if (next.outcome !== "ready") {
      blame(this.#tally, `the next daemon ${next.outcome} after ${end}: ${await next.daemon.said()}`);
      return;
    }
    this.#tally.daemonTakeOversMs.push(next.elapsedMs);
    // Nobody waits longer than when nobody had it: the first one raced seven others besides.
    if (next.elapsedMs > owner.elapsedMs + TAKE_OVER_MS_MAX) {
      const times = `${Math.round(next.elapsedMs)} ms, the first took ${Math.round(owner.elapsedMs)} ms`;
      blame(this.#tally, `after ${end} the next daemon is ready in ${times}`);
    }
    if ((await agentIdOf(next.daemon)) !== agentId) blame(this.#tally, `after ${end} the node is another one`);
  }

  async end(): Promise<void> {
    for (const daemon of this.#started) await daemon.kill9();
  }

  async #race(when: string): Promise<Started | undefined> {
    const started = await Promise.all(Array.from({ length: CONTENDERS }, () => this.#start()));
    const owners = started.filter(({ outcome }) => outcome === "ready");
    if (owners.length !== 1) {
      const said = await Promise.all(started.map(({ daemon }) => daemon.said()));
      blame(this.#tally, `there are ${owners.length} daemons ready at once ${when}: ${said.join(" | ")}`);
    }
    for (const { daemon, outcome } of started) if (outcome !== "ready") await this.#judge(daemon, when);
    return owners[0];
  }

  async #expectRefusal(pid: number | undefined, when: string): Promise<void> {
    const { daemon, outcome } = await this.#start();
    if (outcome === "ready") blame(this.#tally, `there is a second daemon ${when}`);
    else await this.#judge(daemon, when, pid);
  }

  async #judge(daemon: TracedDaemon, when: string, pid?: number): Promise<void> {
    const { status, signal } = daemon.end ?? {};
    const said = await daemon.said();
    if (status !== REFUSED) blame(this.#tally, `a daemon ${when} ends with ${status ?? signal}: ${said}`);
    const message = said.split("\n").find((line) => line.startsWith("holdfast: "));
    judgeRefusal(this.#tally, { code: "conflict", message: message ?? said }, when, pid);
  }

  /** On a name of its own choice. Started until it is ready or has ended. */
  async #start(): Promise<Started> {
    const dir = path.join(this.#dir, `daemon-${this.#started.length}`);
    const { chance, program } = this.#rounds;
    const args = [...ARGS, "--work-root", chance.pick(this.#ground.names)];
    const daemon = new TracedDaemon({ dir, program, pool: 4, args });
    this.#started.push(daemon);
    await mkdir(path.join(dir, "tmp"), { recursive: true });
    const startedMs = performance.now();
    const outcome = await daemon.start();
    return { daemon, outcome, elapsedMs: performance.now() - startedMs };
  }
}

async function agentIdOf({ socket }: TracedDaemon): Promise<string> {
  return (await requestJson<{ agentId: string }>(socket, { path: "/v1/status" })).agentId;
}

async function endOf(daemon: TracedDaemon): Promise<void> {
  const isOver = await Promise.race([daemon.ended.then(() => true), sleep(STOP_MS_MAX, false, { ref: false })]);
  if (!isOver) throw new Error(`The daemon did not stop within ${STOP_MS_MAX} ms: ${await daemon.said()}`);
}
