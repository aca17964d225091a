/**
 * How much of a daemon's heap lives: one that was started with these `NODE_OPTIONS` collects its garbage when it is asked,
 * and says what is left. What it has at any other moment is mostly garbage, for as long as V8 sees no need.
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 5;
const PATIENCE_MS = 20_000;

/** @param file where it says it, with a number that is new each time; the daemon's user must be able to make it */
export function tellingHeap(file: string): string {
  const tell = `import{renameSync,writeFileSync}from"node:fs";import{isMainThread}from"node:worker_threads";
    const file=${JSON.stringify(file)};let n=Date.now();
    if(isMainThread)process.on("SIGUSR2",()=>{gc();writeFileSync(file+".new",++n+" "+process.memoryUsage().heapUsed);
    renameSync(file+".new",file)})`;
  return `--expose-gc --import=data:text/javascript,${encodeURIComponent(tell)}`;
}

/** Bytes of the main thread's heap. */
export async function liveHeap(pid: number, file: string): Promise<number> {
  const before = said(file);
  process.kill(pid, "SIGUSR2");
  for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs; await sleep(POLL_MS)) {
    const now = said(file);
    if (now !== before) return Number(now.split(" ")[1]);
  }
  throw new Error(`The daemon ${pid} did not say how much of its heap lives`);
}

function said(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}
