import { once } from "node:events";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AT, type Journey, O, openat2, openat2Abroad, SystemCallError } from "../../src/host/syscalls.ts";
import { withDescriptors } from "../../src/host/walk.ts";
import { mayMount } from "../e2e/privileges.ts";
import { type Resident, startResident } from "../support/resident.ts";

describe.runIf(mayMount)("a call in another mount namespace", () => {
  let resident: Resident;
  beforeEach(async () => {
    resident = await startResident("mount -t tmpfs none /mnt; echo inside > /mnt/holdfast-visit", {
      ownNamespace: true,
    });
  });
  afterEach(() => resident.stop());

  const visiting = <Result>(work: (journey: Journey) => Result): Result =>
    withDescriptors((keep) =>
      work({
        namespace: keep(openSync(`/proc/${resident.pid}/ns/mnt`, "r")),
        home: {
          namespace: keep(openSync("/proc/thread-self/ns/mnt", "r")),
          root: keep(openat2(AT.FDCWD, "/", { flags: O.PATH })),
          directory: keep(openat2(AT.FDCWD, ".", { flags: O.PATH })),
        },
      }),
    );
  const whereabouts = () => [
    readlinkSync("/proc/thread-self/ns/mnt"),
    readFileSync("/proc/thread-self/mountinfo", "utf8"),
    readlinkSync("/proc/thread-self/root"),
    process.cwd(),
    readlinkSync("/proc/thread-self/cwd"),
  ];

  it("sees what is there, and comes home to namespace, root and working directory", () => {
    const home = whereabouts();
    const file = visiting((journey) => openat2Abroad(journey, "/mnt/holdfast-visit", { flags: O.RDONLY }));
    expect(readFileSync(file, "utf8")).toBe("inside\n");
    closeSync(file);
    expect(whereabouts()).toEqual(home);
  });

  it("comes home with the error of the call that failed there", () => {
    const home = whereabouts();
    const failing = () => visiting((journey) => openat2Abroad(journey, "/nothing", { flags: O.PATH }));
    expect(failing).toThrow(SystemCallError);
    expect(failing).toThrow(expect.objectContaining({ call: "openat2", errno: "ENOENT" }));
    expect(whereabouts()).toEqual(home);
  });

  it("does not set out for what is no mount namespace", () => {
    const home = whereabouts();
    const user = openSync("/proc/self/ns/user", "r");
    const astray = () => visiting((journey) => openat2Abroad({ ...journey, namespace: user }, "/", { flags: O.PATH }));
    expect(astray).toThrow(expect.objectContaining({ call: "setns", errno: "EINVAL" }));
    closeSync(user);
    expect(whereabouts()).toEqual(home);
  });

  it("ends the thread that cannot come home, and does nothing more there", async () => {
    const worker = new Worker(new URL("./lost-visitor-worker.ts", import.meta.url), {
      workerData: resident.pid,
      trackUnmanagedFds: false,
    });
    const said: unknown[] = [];
    worker.on("message", (message) => said.push(message));
    expect(await once(worker, "exit")).toEqual([1]);
    expect(said).toEqual([]);
  });
});
