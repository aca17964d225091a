import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { NodeStatus } from "../src/engine/engine.ts";
import type { Notice } from "../src/host/systemd.ts";
import { reportReady, statusLine } from "../src/service.ts";
import { createMemoryLog } from "./auth/memory-log.ts";
import { startRig } from "./engine/rig.ts";

const STATUS = {
  volumes: { detached: 2, attached: 1, retained: 4 },
  containers: 1,
  problems: [],
  notices: [],
} as unknown as NodeStatus;

let notices: Notice[];
const manager = {
  notify: (notice: Notice) => void notices.push(notice),
  watchdogMs: 30_000,
  listeners: new Map<string, number>(),
};
const signs = () => notices.filter(({ WATCHDOG }) => WATCHDOG === "1").length;

beforeEach(() => {
  notices = [];
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** An engine that lives and has a status. */
const LIVING = { ping: async () => {}, status: async () => STATUS };
const never = () => new Promise<never>(() => {});

test("an engine that does not answer gives no sign of life, and the log says so", async () => {
  const answers = [
    async () => {},
    async () => {
      throw new Error("stuck");
    },
    never,
  ];
  const ping = vi.fn(() => answers.shift()?.() ?? Promise.resolve());
  const log = createMemoryLog();
  reportReady({ manager, engine: { ...LIVING, ping }, log });
  await vi.advanceTimersByTimeAsync(120_000);
  expect(signs()).toBe(1);
  expect(ping).toHaveBeenCalledTimes(3);
  expect(log.lines.map(({ message }) => message)).toEqual([
    "Cannot give a sign of life: stuck",
    "Cannot give a sign of life: no answer yet",
  ]);
});

test("an engine whose store gives no answer gives no sign of life", async () => {
  const rig = await startRig();
  const service = reportReady({ manager, engine: rig.engine, log: createMemoryLog() });
  await vi.advanceTimersByTimeAsync(1);
  expect(signs()).toBe(1);
  rig.store.hold();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(signs()).toBe(1);
  service.stopping();
});

test("a status that does not come costs no sign of life", async () => {
  const status = vi.fn(never);
  const service = reportReady({ manager, engine: { ...LIVING, status }, log: createMemoryLog() });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(signs()).toBe(4);
  expect(status).toHaveBeenCalledTimes(1);
  service.stopping();
});

test("a service manager that cannot be told stops nothing", async () => {
  const deaf = {
    ...manager,
    notify: () => {
      throw new Error("nobody there");
    },
  };
  const log = createMemoryLog();
  const service = reportReady({ manager: deaf, engine: LIVING, log });
  await vi.advanceTimersByTimeAsync(30_000);
  service.stopping();
  expect(log.lines.map(({ message }) => message)).toContain("Cannot tell the service manager: nobody there");
});

test("readiness, then three signs of life in the time in which one is due, then the end", async () => {
  const service = reportReady({ manager, engine: LIVING, log: createMemoryLog() });
  expect(notices[0]).toEqual({ READY: "1" });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(signs()).toBe(4);
  service.stopping();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(signs()).toBe(4);
  expect(notices.at(-1)).toMatchObject({ STOPPING: "1" });
});

test("a reload is told until it is through, and what is served afterwards", async () => {
  const service = reportReady({ manager, engine: LIVING, log: createMemoryLog() });
  await vi.advanceTimersByTimeAsync(1);
  const reload = Promise.withResolvers<void>();
  const told = service.reloading(reload.promise);
  expect(notices.at(-1)).toEqual({ RELOADING: "1" });
  reload.resolve();
  await told;
  expect(notices.slice(-2)).toEqual([{ READY: "1" }, { STATUS: statusLine(STATUS) }]);
  service.stopping();
});

test("the status line says what is served and what is wrong", () => {
  expect(statusLine(STATUS)).toBe("Serving 3 volumes (1 attached to 1 containers), 4 retained");
  const troubled = { ...STATUS, problems: ["volume ads/db is damaged", "disk /d is full"] };
  expect(statusLine(troubled)).toContain("problem: volume ads/db is damaged (and 1 more, see holdfast status)");
  const waiting = { ...STATUS, notices: ["Settings that changed need a restart: listen"] };
  expect(statusLine(waiting)).toMatch(/retained; note: Settings that changed need a restart: listen$/);
});
