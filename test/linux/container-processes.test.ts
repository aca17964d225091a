import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readlinkSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ContainerProcess } from "../../src/domain/records.ts";
import { createProcesses } from "../../src/host/container-processes.ts";
import { otherThreads, statOf } from "../../src/host/processes.ts";
import { runtimeOf } from "../../src/host/runtime-of.ts";
import type { Processes } from "../../src/ports/processes.ts";
import { mayMount } from "../e2e/privileges.ts";
import { startLeaderless } from "../support/leaderless.ts";
import { MountPlace } from "../support/mount-place.ts";
import { makeRootfs, startPivoted } from "../support/pivoted-container.ts";

let processes: Processes;
const children: ChildProcess[] = [];

beforeEach(() => {
  processes = createProcesses();
});
afterEach(async () => {
  processes.close();
  for (const child of children.splice(0)) await end(child);
});

async function start(script = "echo ready; exec cat"): Promise<{ child: ChildProcess; pid: number; said: string }> {
  const child = spawn("sh", ["-c", script], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  return { child, pid: child.pid ?? 0, said: said.toString().trim() };
}

async function end(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, "exit");
}

/** A process that has exited, and whose parent never asks. */
async function startZombie(): Promise<ContainerProcess> {
  const { said } = await start("sleep 0.05 & echo $!; exec cat");
  const running = processes.identify({ pid: Number(said) });
  await expect.poll(() => processes.hasEnded(running)).toBe(true);
  return running;
}

/** What is said of one of our own threads, as if it were a process. */
function aThread(): ContainerProcess {
  const [thread = 0] = otherThreads(process.pid);
  const startTime = statOf(thread)?.startTime ?? "";
  return { ...processes.identify({ pid: process.pid }), pid: thread, startTime };
}

/** Counts the calls of `onEnd`, and says when the first came. */
function counting(process: ContainerProcess) {
  const counted = { calls: 0, at: 0, cancel: () => {} };
  counted.cancel = processes.watch(process, () => {
    counted.calls += 1;
    counted.at ||= performance.now();
  });
  return counted;
}

describe("identify", () => {
  it("refuses a pid that nobody has, that cannot be one, and that of a zombie", async () => {
    const { child, pid } = await start();
    await end(child);
    const zombie = await startZombie();
    for (const gone of [pid, 0, -1, 2 ** 31, zombie.pid]) {
      expect(() => processes.identify({ pid: gone })).toThrow(expect.objectContaining({ code: "no_such_process" }));
    }
  });

  it("refuses the number of a thread, and names the process to use", () => {
    const { pid } = aThread();
    expect(() => processes.identify({ pid })).toThrow(
      expect.objectContaining({
        code: "invalid",
        message: `Cannot use process ${pid}: it is a thread of process ${process.pid}, use that one`,
      }),
    );
  });

  it("refuses a rootfs whose .. means one directory to the kernel and another in its text", () => {
    const place = new MountPlace();
    try {
      for (const name of ["bundle/rootfs", "else/where", "else/rootfs"]) {
        mkdirSync(join(place.root, name), { recursive: true });
      }
      const bundle = join(place.root, "bundle");
      symlinkSync("../else/where", join(bundle, "away"));
      symlinkSync("rootfs", join(bundle, "near"));
      for (const seenBy of [undefined, process.pid]) {
        const identify = (rootfs: string) =>
          processes.identify({ pid: process.pid, rootfs, ...(seenBy === undefined ? {} : { seenBy }) });
        expect(() => identify(`${bundle}/away/../rootfs`)).toThrow(
          expect.objectContaining({
            code: "invalid",
            message: expect.stringContaining("root.path means different directories to different runtimes"),
          }),
        );
        expect(identify(`${bundle}//near/../rootfs/.`).rootfs?.path).toBe(`${bundle}/rootfs`);
      }
    } finally {
      place.dispose();
    }
  });

  it("refuses a rootfs that is no directory", async () => {
    const { pid } = await start();
    for (const rootfs of ["relative", "/nothing/here", "/proc/version"]) {
      expect(() => processes.identify({ pid, rootfs })).toThrow(expect.objectContaining({ code: "invalid" }));
    }
    expect(() => processes.identify({ pid, rootfs: "/", seenBy: 2 ** 31 })).toThrow(
      expect.objectContaining({ code: "no_such_process" }),
    );
  });

  it("tells start time, namespace and rootfs", async () => {
    const { pid } = await start();
    const { ino } = statSync("/tmp", { bigint: true });
    expect(processes.identify({ pid, rootfs: "/tmp", seenBy: process.pid })).toEqual({
      pid,
      startTime: expect.stringMatching(/^\d+$/),
      mountNamespace: /\d+/.exec(readlinkSync(`/proc/${pid}/ns/mnt`))?.[0],
      rootfs: { path: "/tmp", ino: String(ino), device: expect.stringMatching(/^\d+:\d+$/) },
    });
  });

  it.runIf(mayMount)("finds the rootfs as another process sees it, symlinks included", async () => {
    const place = new MountPlace();
    const rootfs = makeRootfs(join(place.root, "rootfs"));
    mkdirSync(join(rootfs, "bundle/rootfs"), { recursive: true });
    symlinkSync("/bundle", join(rootfs, "link"));
    const container = await startPivoted(rootfs);
    try {
      const { pid } = container.process;
      const seen = processes.identify({ pid, rootfs: "/link/rootfs", seenBy: pid });
      expect(seen.rootfs?.ino).toBe(String(statSync(join(rootfs, "bundle/rootfs"), { bigint: true }).ino));
    } finally {
      await container.stop();
      place.dispose();
    }
  });
});

describe("hasEnded", () => {
  it("is said of another process that has the pid now", async () => {
    const { pid } = await start();
    const running = processes.identify({ pid });
    expect(processes.hasEnded(running)).toBe(false);
    expect(processes.hasEnded({ ...running, startTime: "1" })).toBe(true);
  });

  it("is not said of a process whose first thread alone has exited, until the others have", async () => {
    const leaderless = await startLeaderless();
    const process = processes.identify({ pid: leaderless.pid });
    const watched = counting(process);
    expect(statOf(process.pid)?.state).toBe("Z");
    await sleep(250);
    expect([processes.hasEnded(process), watched.calls]).toEqual([false, 0]);
    await leaderless.stop();
    expect(processes.hasEnded(process)).toBe(true);
    await expect.poll(() => watched.calls, { timeout: 250, interval: 5 }).toBe(1);
  });
});

describe("watch", () => {
  it.each(["SIGKILL", "SIGTERM"] as const)("calls once, within 200 ms of an end by %s", async (signal) => {
    const { child, pid } = await start();
    const watched = counting(processes.identify({ pid }));
    await sleep(150);
    expect(watched.calls).toBe(0);
    const ended = performance.now();
    await end(child, signal);
    await expect.poll(() => watched.calls, { interval: 5 }).toBe(1);
    expect(watched.at - ended).toBeLessThan(200);
    await sleep(250);
    expect(watched.calls).toBe(1);
  });

  it("calls for a zombie, for one that has ended already, and for one whose pid is another's now; never at once", async () => {
    const { child, pid } = await start();
    const gone = processes.identify({ pid });
    await end(child);
    const { pid: other } = await start();
    const zombie = await startZombie();
    const watches = [gone, { ...processes.identify({ pid: other }), startTime: "1" }, zombie].map(counting);
    const calls = () => watches.map((watched) => watched.calls);
    expect(calls()).toEqual([0, 0, 0]);
    await expect.poll(calls, { timeout: 250, interval: 5 }).toEqual([1, 1, 1]);
  });

  it("takes the number of a thread, which no pidfd can be had of", async () => {
    const watched = counting(aThread());
    await sleep(150);
    expect(watched.calls).toBe(0);
    watched.cancel();
    const gone = counting({ ...aThread(), startTime: "1" });
    await expect.poll(() => gone.calls, { timeout: 250, interval: 5 }).toBe(1);
  });

  it("is silent once it was cancelled, also from within another one's call", async () => {
    const { child, pid } = await start();
    const running = processes.identify({ pid });
    const cancelled = counting(running);
    cancelled.cancel();
    const pair = [0, 0];
    const cancels = pair.map((_, index) =>
      processes.watch(running, () => {
        pair[index] = (pair[index] ?? 0) + 1;
        for (const cancel of cancels) cancel();
      }),
    );
    await end(child);
    await sleep(250);
    expect([cancelled.calls, pair.reduce((sum, calls) => sum + calls)]).toEqual([0, 1]);
  });

  it("tells 300 ends at once, and keeps no descriptor", async () => {
    const before = readdirSync("/proc/self/fd").length;
    const { child, pid } = await start();
    const running = processes.identify({ pid });
    const watches = Array.from({ length: 300 }, () => counting(running));
    const cancelled = Array.from({ length: 300 }, () => counting(running));
    for (const { cancel } of cancelled) cancel();
    await end(child);
    await expect.poll(() => watches.filter(({ calls }) => calls === 1).length, { timeout: 400 }).toBe(300);
    processes.close();
    children.splice(0);
    await expect.poll(() => readdirSync("/proc/self/fd").length).toBe(before);
  });

  it("does not keep the daemon alive", async () => {
    const url = new URL("../../src/host/container-processes.ts", import.meta.url).href;
    const code = `import { createProcesses } from ${JSON.stringify(url)};
      const processes = createProcesses();
      processes.watch(processes.identify({ pid: process.pid }), () => {});`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: "inherit" });
    children.push(child);
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});

describe("runtimeOf", () => {
  it("names the first ancestor that is no helper", async () => {
    const { said } = await start("sh -c 'echo $$; exec busybox sleep 60' & exec cat");
    const pid = Number(said);
    // It may speak before its parent has become another program.
    await expect.poll(() => runtimeOf(pid)).toBe("cat");
    process.kill(pid, "SIGKILL");
  });

  it("knows none of a process that is not there", () => {
    expect(runtimeOf(2 ** 31)).toBeUndefined();
  });
});
