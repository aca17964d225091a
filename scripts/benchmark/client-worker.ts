/** The measuring client in a thread of its own, so that nothing else of the benchmark delays it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { parentPort } from "node:worker_threads";
import { Connection, type Door } from "./connection.ts";

/** HTTP requests over a number of keep-alive connections, or programs to spawn one after the other. */
export type Task =
  | { readonly door: Door; readonly requests: readonly string[]; readonly connections: number }
  | { readonly commands: readonly (readonly [string, ...string[]])[] };

export interface Measured {
  /** How long each one took, in the order of the task. */
  readonly latenciesMs: Float64Array;
  readonly elapsedMs: number;
}

export type Reply = { readonly measured: Measured } | { readonly failure: string };

// The plain call that a program would use; a wrapper's own cost would count against it.
const spawnProgram = promisify(execFile);
const pools = new Map<string, Connection[]>();

async function connect(door: Door, count: number): Promise<readonly Connection[]> {
  const key = JSON.stringify(door);
  const pool = (pools.get(key) ?? []).filter((connection) => connection.open);
  pools.set(key, pool);
  while (pool.length < count) pool.push(await Connection.open(door));
  return pool.slice(0, count);
}

async function closeAll(): Promise<void> {
  for (const connection of [...pools.values()].flat()) connection.close();
  pools.clear();
}

/** Calls `work` for every index, as many at a time as there are workers. */
async function measure(count: number, workers: readonly ((index: number) => Promise<unknown>)[]): Promise<Measured> {
  const latenciesMs = new Float64Array(count);
  let next = 0;
  const started = performance.now();
  const drain = async (work: (index: number) => Promise<unknown>): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const before = performance.now();
      await work(index);
      latenciesMs[index] = performance.now() - before;
    }
  };
  await Promise.all(workers.map(drain));
  return { latenciesMs, elapsedMs: performance.now() - started };
}

async function run(task: Task): Promise<Measured> {
  if ("commands" in task) {
    const spawnOne = (index: number): Promise<unknown> => {
      const [program, ...args] = task.commands[index] as readonly [string, ...string[]];
      return spawnProgram(program, args);
    };
    return measure(task.commands.length, [spawnOne]);
  }
  const bytes = task.requests.map((text) => Buffer.from(text));
  const connections = await connect(task.door, task.connections);
  const send = (connection: Connection) => (index: number) => connection.exchange(bytes[index] as Buffer);
  return measure(bytes.length, connections.map(send));
}

async function reply(task: Task): Promise<Reply> {
  try {
    return { measured: await run(task) };
  } catch (cause) {
    await closeAll();
    return { failure: cause instanceof Error ? cause.message : String(cause) };
  }
}

parentPort?.on("message", (task: Task) => {
  void reply(task).then((answer) => parentPort?.postMessage(answer));
});
