import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { NodeStatus } from "../src/engine/engine.ts";
import type { Notice } from "../src/host/systemd.ts";
import { reportReady, statusLine } from "../src/service.ts";
import { createMemoryLog } from "./auth/memory-log.ts";

const STATUS = {
  volumes: { detached: 2, attached: 1, retained: 4 },
  containers: 1,
  problems: [],
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

test("an engine that does not answer gives no sign of life", async () => {
  const answers = [
    async () => STATUS,
    async () => {
      throw new Error("stuck");
    },
    () => new Promise<never>(() => {}),
  ];
  const asked = vi.fn(() => answers.shift()?.() ?? Promise.resolve(STATUS));
  const engine = { status: asked };
  const log = createMemoryLog();
  await reportReady({ manager, engine, log });
  expect(signs()).toBe(1);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(signs()).toBe(1);
  expect(asked).toHaveBeenCalledTimes(3);
  expect(log.lines.map(({ message }) => message)).toEqual(["Cannot give a sign of life: stuck"]);
});

test("a service manager that cannot be told stops nothing", async () => {
  const deaf = {
    ...manager,
    notify: () => {
      throw new Error("nobody there");
    },
  };
  const log = createMemoryLog();
  (await reportReady({ manager: deaf, engine: { status: async () => STATUS }, log })).stopping();
  expect(log.lines.every(({ level }) => level === "warn")).toBe(true);
});

test("readiness, then three signs of life in the time in which one is due, then the end", async () => {
  const service = await reportReady({ manager, engine: { status: async () => STATUS }, log: createMemoryLog() });
  expect(notices[0]).toEqual({ READY: "1" });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(signs()).toBe(4);
  service.stopping();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(signs()).toBe(4);
  expect(notices.at(-1)).toMatchObject({ STOPPING: "1" });
});

test("a reload is told until it is through", async () => {
  const service = await reportReady({ manager, engine: { status: async () => STATUS }, log: createMemoryLog() });
  const reload = Promise.withResolvers<void>();
  const told = service.reloading(reload.promise);
  expect(notices.at(-1)).toEqual({ RELOADING: "1" });
  reload.resolve();
  await told;
  expect(notices.at(-1)).toEqual({ READY: "1" });
  service.stopping();
});

test("the status line says what is served and what is wrong", () => {
  expect(statusLine(STATUS)).toBe("Serving 3 volumes (1 attached to 1 containers), 4 retained");
  const troubled = { ...STATUS, problems: ["volume ads/db is damaged", "disk /d is full"] };
  expect(statusLine(troubled)).toContain("problem: volume ads/db is damaged (and 1 more, see holdfast status)");
});
