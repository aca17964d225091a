/** Stands for a container: a process in a mount namespace of its own, which ends when it is stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readMountTable } from "../../src/host/mount-table.ts";

export interface TestContainer {
  readonly pid: number;
  /** Whether something is mounted at this path in its namespace. */
  sees(path: string): boolean;
  stop(): Promise<void>;
}

/** `propagation` is what the runtime does to the mounts it starts with. */
export async function startContainer(propagation: "unchanged" | "slave" | "private"): Promise<TestContainer> {
  const child = spawn("unshare", ["-m", "--propagation", propagation, "sh", "-c", "echo ready; exec cat"]);
  await Promise.race([once(child.stdout, "data"), failed(child)]);
  const pid = child.pid ?? 0;
  return {
    pid,
    sees: (path) => readMountTable(pid).some(({ mountPoint }) => mountPoint.equals(Buffer.from(path))),
    stop: async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

async function failed(child: ChildProcess): Promise<never> {
  const [code] = (await once(child, "exit")) as [number | null];
  throw new Error(`Cannot start a container: unshare ended with ${code}`);
}
