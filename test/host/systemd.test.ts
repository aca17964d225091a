import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  handedListeners,
  isPortOfServiceManager,
  noticeText,
  takeServiceManager,
  unixPathOf,
  watchdogMs,
} from "../../src/host/systemd.ts";
import { bindReceiver, type Receiver } from "../support/datagrams.ts";

describe("handedListeners", () => {
  const three = { LISTEN_PID: "7", LISTEN_FDS: "3", LISTEN_FDNAMES: "agent:http:docker" };

  test("takes nothing that is meant for another process", () => {
    expect(handedListeners(three, 8).size).toBe(0);
    expect(handedListeners({ ...three, LISTEN_PID: undefined }, 7).size).toBe(0);
  });

  test.each(["0", "-1", "x", "", "1e3", "99999"])("takes nothing for %j descriptors", (count) => {
    expect(handedListeners({ ...three, LISTEN_FDS: count }, 7).size).toBe(0);
  });

  test("takes no more names than there are descriptors, and the first of two", () => {
    expect([...handedListeners({ ...three, LISTEN_FDS: "2" }, 7)]).toEqual([
      ["agent", 3],
      ["http", 4],
    ]);
    expect([...handedListeners({ ...three, LISTEN_FDNAMES: "a::a" }, 7)]).toEqual([["a", 3]]);
  });

  test("counts from descriptor 3", () => {
    expect([...handedListeners(three, 7)]).toEqual([
      ["agent", 3],
      ["http", 4],
      ["docker", 5],
    ]);
  });
});

describe("watchdogMs", () => {
  test("is for this process only", () => {
    expect(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, 7)).toBeUndefined();
    expect(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 7)).toBe(30_000);
    expect(watchdogMs({ WATCHDOG_USEC: "30000000" }, 7)).toBe(30_000);
  });

  test.each(["", "0", "-5", "soon", "1.5"])("%j is no period", (period) => {
    expect(watchdogMs({ WATCHDOG_USEC: period }, 7)).toBeUndefined();
  });
});

test("noticeText has one line a field, whatever a status contains", () => {
  expect(noticeText({ READY: "1", STATUS: "3 volumes\nMAINPID=1" })).toBe("READY=1\nSTATUS=3 volumes MAINPID=1");
});

describe("takeServiceManager", () => {
  let directory: string;
  let receiver: Receiver | undefined;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "holdfast-notify-"));
  });

  afterEach(() => {
    receiver?.close();
    receiver = undefined;
    rmSync(directory, { recursive: true });
  });

  test.each(["path", "name without a file"])("tells a socket by %s", (kind) => {
    const path = kind === "path" ? join(directory, "notify") : `@holdfast-test-${process.pid}`;
    receiver = bindReceiver(path);
    takeServiceManager({ NOTIFY_SOCKET: path }, 7).notify({ READY: "1", STATUS: "Serving" });
    expect(receiver.next()).toBe("READY=1\nSTATUS=Serving");
  });

  test("leaves nothing in the environment", () => {
    const environment = { NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "1", LISTEN_PID: "7", LISTEN_FDS: "1", PATH: "/bin" };
    takeServiceManager(environment, 7);
    expect(environment).toEqual({ PATH: "/bin" });
  });

  test("says why when nobody listens", () => {
    const manager = takeServiceManager({ NOTIFY_SOCKET: join(directory, "nobody") }, 7);
    expect(() => manager.notify({ READY: "1" })).toThrow("ENOENT");
    expect(() => takeServiceManager({}, 7).notify({ READY: "1" })).not.toThrow();
  });
});

test("a TCP port of ours is none of the service manager's", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    expect(isPortOfServiceManager((server.address() as AddressInfo).port)).toBe(false);
    expect(isPortOfServiceManager(0)).toBe(false);
  } finally {
    server.close();
  }
});

test("a Unix socket that listens is known by its descriptor", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast listener-"));
  const path = join(directory, "agent.sock");
  const server = createServer().listen(path);
  try {
    await once(server, "listening");
    // What Node itself does not tell.
    const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
    expect(unixPathOf(fd)).toBe(path);
  } finally {
    server.close();
    await once(server, "close");
    rmSync(directory, { recursive: true });
  }
});
