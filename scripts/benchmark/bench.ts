/** The place where rows are measured: a fresh file system, what runs on it, and how all of it goes away again. */
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeProgram } from "../../test/e2e/bundled-program.ts";
import { makePlace, type Place } from "../../test/e2e/place.ts";
import { Docker } from "./docker.ts";
import { mountFreshExt4 } from "./file-system.ts";
import { Load } from "./load.ts";
import { Node } from "./node.ts";
import type { Bench, Sizes } from "./rows.ts";

const REMOVE_TRIES = 5;
const RETRY_MS = 200;

export interface BenchOptions {
  readonly journal: boolean;
  readonly sizes: Sizes;
  /** Ends what runs, so that what waits for it fails; the rest is done when `work` has settled. */
  readonly interruption: AbortSignal;
}

/** Nothing is left of it when `work` has settled. */
export async function withBench<T>(options: BenchOptions, work: (bench: Bench) => Promise<T>): Promise<T> {
  const place = await makePlace("benchmark");
  const running = new Running();
  const stop = (): void => void running.stop().catch(() => undefined);
  options.interruption.addEventListener("abort", stop);
  try {
    return await work(await makeBench(place.dir, options, running));
  } finally {
    options.interruption.removeEventListener("abort", stop);
    try {
      await running.stop();
    } finally {
      await removeForSure(place);
    }
  }
}

/** A signal to everybody on a terminal hits the programs that clean up, too. */
async function removeForSure(place: Place): Promise<void> {
  for (let left = REMOVE_TRIES; left > 1; left -= 1) {
    const isRemoved = await place.remove().then(
      () => true,
      () => false,
    );
    if (isRemoved) return;
    await sleep(RETRY_MS);
  }
  await place.remove();
}

async function makeBench(dir: string, options: BenchOptions, running: Running): Promise<Bench> {
  const { journal, sizes, interruption } = options;
  const mount = await mountFreshExt4(dir, journal);
  interruption.throwIfAborted();
  const load = new Load();
  await running.add({ stop: () => load.close() });
  const program = await makeProgram(path.join(dir, "program"));
  const another = async (name: string): Promise<Node> => {
    const node = await Node.start(path.join(mount, name), program);
    await running.add({ stop: () => node.daemon.kill9() });
    return node;
  };
  // Leaves the compile cache that every start but the first on a machine finds.
  await (await another("first")).daemon.stop();
  const docker = dockerOnDemand(dir, path.join(mount, "docker"));
  await running.add({ stop: docker.dockerDone });
  const node = await another("node");
  return { journal, sizes, load, node, dir: mount, another, ending: (started) => running.add(started), ...docker };
}

function dockerOnDemand(dir: string, dataRoot: string): Pick<Bench, "docker" | "dockerDone"> {
  let running: Promise<Docker> | undefined;
  const docker = (): Promise<Docker> => {
    running ??= Docker.start(dir, dataRoot);
    return running;
  };
  const dockerDone = async (): Promise<void> => {
    const started = await running?.catch(() => undefined);
    running = undefined;
    await started?.stop();
  };
  return { docker, dockerDone };
}

interface Stoppable {
  stop(): Promise<void>;
}

/** What has to be stopped in the end, the newest first. What starts behind that is stopped at once. */
class Running {
  readonly #parts: Stoppable[] = [];
  #isOver = false;

  async add<T extends Stoppable>(part: T): Promise<T> {
    this.#parts.push(part);
    if (!this.#isOver) return part;
    await part.stop();
    throw new Error("The benchmark was interrupted");
  }

  /** Can be repeated, and must be: what is stopped in the middle of a row may have been started again by it. */
  async stop(): Promise<void> {
    this.#isOver = true;
    const failures: unknown[] = [];
    for (const part of this.#parts.toReversed()) await part.stop().catch((cause: unknown) => failures.push(cause));
    if (failures.length > 0) throw new AggregateError(failures, "Cannot stop what was measured");
  }
}
