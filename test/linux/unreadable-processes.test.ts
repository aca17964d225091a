/** What is said of processes when /proc cannot be read: unknown is never gone. */
import { afterEach, describe, expect, it } from "vitest";
import { otherTables } from "../../src/host/mount-namespaces.ts";
import { mayMount } from "../e2e/privileges.ts";
import { startLeaderless } from "../support/leaderless.ts";
import { from, runOtherNode } from "../support/other-node.ts";
import { type Resident, startResident } from "../support/resident.ts";

const residents: Resident[] = [];
afterEach(async () => {
  for (const resident of residents.splice(0)) await resident.stop();
});

/** Ways to use up every descriptor, and to say what is answered meanwhile. */
const EXHAUST = `
  import { closeSync, openSync } from "node:fs";
  const used = [];
  const exhaust = () => { try { for (;;) used.push(openSync("/dev/null")); } catch {} };
  const relax = () => { for (const fd of used.splice(0)) closeSync(fd); };
  const outcomeOf = (ask) => { try { return ask() ?? null; } catch (error) { return error.code; } };
  const exhausted = (ask) => { exhaust(); try { return outcomeOf(ask); } finally { relax(); } };
  const answer = (value) => console.log(JSON.stringify(value));`;

function whenExhausted(code: string): unknown {
  return runOtherNode({ under: ["prlimit", "--nofile=128:128"], code: `${EXHAUST}\n${code}` });
}

describe("without descriptors", () => {
  it("a process has not ended, and is told to have when it has", async () => {
    const { pid, stop } = await startResident("true");
    residents.push({ pid, stop });
    const outcome = whenExhausted(`
      import { createProcesses } from ${from("src/host/container-processes.ts")};
      const processes = createProcesses();
      const living = processes.identify({ pid: ${pid} });
      const gone = { ...living, startTime: "1" };
      let calls = 0;
      exhaust();
      const asked = [living, gone].map((process) => processes.hasEnded(process));
      processes.watch(living, () => { calls += 1; });
      await new Promise((resolve) => setTimeout(resolve, 250));
      const told = calls;
      process.kill(${pid}, "SIGKILL");
      relax();
      while (!processes.hasEnded(living)) await new Promise((resolve) => setTimeout(resolve, 20));
      await new Promise((resolve) => setTimeout(resolve, 250));
      answer([...asked, told, calls]);`);
    expect(outcome).toEqual([false, false, 0, 1]);
  });

  it("nothing of a process reads as absent, but people are told what there is", () => {
    const outcome = whenExhausted(`
      import * as processes from ${from("src/host/processes.ts")};
      import { runtimeOf } from ${from("src/host/runtime-of.ts")};
      const { pid } = process;
      answer([
        exhausted(() => processes.statOf(pid)),
        exhausted(() => processes.textOf("/proc/self/maps")),
        exhausted(() => processes.namesIn("/proc/self/fd")),
        exhausted(() => processes.otherThreads(pid)),
        exhausted(() => processes.otherProcesses()),
        exhausted(() => processes.isKernelThread(pid)),
        exhausted(() => processes.describeProcess(pid)),
        exhausted(() => runtimeOf(pid)),
      ]);`);
    const refused = Array.from({ length: 6 }, () => "unavailable");
    expect(outcome).toEqual([...refused, { command: "", cgroup: "" }, null]);
  });

  it.runIf(mayMount)("a namespace is not taken for one that has ended meanwhile", async () => {
    for (let count = 0; count < 2; count += 1) residents.push(await startResident("true", { ownNamespace: true }));
    const outcome = whenExhausted(`
      import { otherTables } from ${from("src/host/mount-namespaces.ts")};
      const tables = otherTables({ threads: false });
      tables.next();
      answer(exhausted(() => { for (const { pid } of tables) if (pid) continue; return "all told"; }));`);
    expect(outcome).toBe("unavailable");
  });
});

describe.runIf(mayMount)("without CAP_SYS_PTRACE", () => {
  it("the refusal says what is missing", () => {
    const outcome = runOtherNode({
      under: ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"],
      code: `
        import { openContainer } from ${from("src/host/container-namespace.ts")};
        import { createProcesses } from ${from("src/host/container-processes.ts")};
        const processes = createProcesses();
        const container = processes.identify({ pid: ${process.pid} });
        const refusalOf = (ask) => { try { ask(); } catch ({ code, message }) { return { code, message }; } };
        console.log(JSON.stringify([
          refusalOf(() => openContainer(container, "Cannot try", (fd) => fd)),
          refusalOf(() => processes.identify({ pid: process.pid, rootfs: "/", seenBy: ${process.pid} })),
        ]));`,
    });
    const advised = expect.objectContaining({
      code: "unsupported",
      message: expect.stringMatching(/process \d+.*: the daemon lacks CAP_SYS_PTRACE, or the process is protected/),
    });
    expect(outcome).toEqual([advised, advised]);
  });
});

describe.runIf(mayMount)("a process without its first thread", () => {
  it("lives in a namespace that is looked at", async () => {
    const leaderless = await startLeaderless({ ownNamespace: true });
    residents.push(leaderless);
    for (const threads of [true, false]) {
      expect([...otherTables({ threads })].map(({ pid }) => pid)).toContain(leaderless.pid);
    }
  });
});
