/** A process whose first thread has exited while others run on: /proc calls it a zombie. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { statOf } from "../../src/host/processes.ts";
import type { Resident } from "./resident.ts";

const EXIT_THREAD = process.arch === "arm64" ? 93 : 60;

/** Node has threads of its own, which wait for work from the first. */
const SCRIPT = `import koffi from ${JSON.stringify(import.meta.resolve("koffi"))};
  koffi.load(null).func("syscall", "long", ["long", "int"])(${EXIT_THREAD}, 0);`;

export async function startLeaderless(
  options: { readonly ownNamespace?: boolean; readonly cwd?: string } = {},
): Promise<Resident> {
  const node = [process.execPath, "--input-type=module", "-e", SCRIPT];
  const [file = "", ...args] =
    options.ownNamespace === true ? ["unshare", "-m", "--propagation", "private", ...node] : node;
  const child = spawn(file, args, { cwd: options.cwd, stdio: ["ignore", "ignore", "inherit"] });
  const exit = once(child, "exit");
  const { pid } = child;
  if (pid === undefined) throw new Error("Cannot start a process without its first thread: it has no pid");
  while (statOf(pid)?.state !== "Z") await sleep(10);
  return {
    pid,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exit;
    },
  };
}
