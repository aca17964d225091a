/**
 * What runs in the guest from the power's coming to its going: starts the daemon on what the disk holds, says what is
 * there, and lets clients work. Its argument is a `Life`; what it says are `Line`s, each written before it goes on.
 */
import { writeSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { runToEnd } from "../../e2e/command.ts";
import { Program } from "../../e2e/program.ts";
import { request } from "../../e2e/request.ts";
import { Chance } from "../../simulation/chance.ts";
import { Client } from "./client.ts";
import { factsOf, NOTHING } from "./holding.ts";
import type { Life, Line } from "./lines.ts";
import { type Look, look, strayFilesIn } from "./look.ts";

const DISK = "/data";
const WORK_ROOT = `${DISK}/root`;
const SANDBOXES = `${DISK}/sandboxes`;
const SOCKET = { socketPath: "/run/agent.sock" };
const LOG = "/run/daemon.log";
/** With the same options as this program. */
const HOLDFAST = [...process.execArgv, path.join(import.meta.dirname, "main.js")];
const OPTIONS = ["--work-root", WORK_ROOT, "--resources", "disk(*):1024", "--mount-backend", "bind"];
const SPARES = "8";
/** What could not be done is soon tried again. */
const INTERVAL = "2s";
/** Everything takes ten times as long here. */
const READY = { msMax: 60_000, pollMs: 50 };
const DOCTOR_MS_MAX = 60_000;
/** Whatever makes something durable does nothing and succeeds. Not through libc, as not everything goes through it. */
const UNSYNCED = "fsync,fdatasync,sync,syncfs,sync_file_range,msync";

await live(JSON.parse(process.argv[2] ?? "") as Life);

async function live({ seed, name, clients, isExamined, isUnsynced }: Life): Promise<void> {
  let daemon = await start(isUnsynced);
  let found = await tellLook();
  if (isExamined) {
    await daemon.end("SIGKILL");
    daemon = await start(isUnsynced);
    found = await tellLook();
    say({ is: "doctor", faults: await doctor() });
  }
  // What the last life has left there are empty directories: its mounts are gone.
  for (const fault of strayFilesIn(SANDBOXES)) say({ is: "fault", fault });
  await rm(SANDBOXES, { recursive: true, force: true });
  await mkdir(SANDBOXES);
  const work = Array.from({ length: clients }, (_, number) => {
    const role = `r${number}`;
    const chance = new Chance(seed + number);
    const holding = found.holdings.get(role) ?? NOTHING;
    return new Client({ role, life: name, holding, chance, say, socket: SOCKET, sandboxes: SANDBOXES }).work();
  });
  say({ is: "working" });
  try {
    await Promise.all(work);
  } catch (error) {
    throw new Error(`The daemon ${daemon.running ? "runs" : "is gone"}: ${await daemon.said()}`, { cause: error });
  }
}

async function start(isUnsynced: boolean): Promise<Program> {
  await rm(SOCKET.socketPath, { force: true });
  const calls = ["-e", `trace=${UNSYNCED}`, "-e", `inject=${UNSYNCED}:retval=0`];
  const tracer = ["/usr/bin/strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", ...calls];
  const options = ["--socket", SOCKET.socketPath, "--listen", "127.0.0.1:0", "--spares", SPARES, ...OPTIONS];
  const intervals = ["--reconcile-interval", INTERVAL, "--gc-interval", INTERVAL];
  const command = [process.execPath, ...HOLDFAST, "daemon", ...options, ...intervals];
  const [file = "", ...args] = isUnsynced ? [...tracer, ...command] : command;
  const daemon = await Program.start([file, ...args], LOG);
  await daemon.until(async () => (await request(SOCKET, { path: "/readyz" })).status === 200, READY);
  return daemon;
}

async function tellLook(): Promise<Look> {
  const found = await look(SOCKET, WORK_ROOT);
  const facts = [...found.holdings].flatMap(([role, holding]) => [...factsOf(role, holding)]);
  say({ is: "found", facts, faults: found.faults });
  return found;
}

/** Findings of `doctor` beside the running daemon. */
async function doctor(): Promise<readonly string[]> {
  const args = [...HOLDFAST, "doctor", "--socket", SOCKET.socketPath, ...OPTIONS];
  const { status, stdout, stderr } = await runToEnd(process.execPath, args, { timeout: DOCTOR_MS_MAX });
  const bad = stdout.split("\n").filter((line) => line.startsWith("bad "));
  return status === 0 ? [] : [`doctor ends with ${status}: ${bad.join("; ")} ${stderr.slice(-300)}`];
}

/** It has left the guest when this returns. */
function say(line: Line): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}
