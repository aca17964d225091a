/**
 * Strange requests through every door of a real daemon, which runs as nobody: whatever a request may name, it can harm
 * nothing. Most are HTTP or gRPC in order, many on one connection; some are not.
 */
import { readdirSync, readFileSync } from "node:fs";
import { chown, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { StatusJson } from "../../../src/faces/http/wire.ts";
import { holdfast } from "../../e2e/command.ts";
import { Daemon } from "../../e2e/daemon.ts";
import { makePlace, type Place } from "../../e2e/place.ts";
import { NOBODY } from "../../e2e/privileges.ts";
import { type Door, request, requestJson } from "../../e2e/request.ts";
import { Chance } from "../../simulation/chance.ts";
import type { Trial } from "../protocol.ts";
import { type Canary, startCanary } from "./canary.ts";
import { type Answer, exchange } from "./connection.ts";
import { probeCsi, tryCsi } from "./csi-door.ts";
import type { Tried } from "./parsers.ts";
import { type DoorName, makeJunk, makeRequest, type Scene } from "./requests.ts";
import { BUNDLES } from "./samples.ts";

/** Requests on one connection, sent at once. */
const PIPELINED = 24;
const CLIENTS = 6;
const JUNK_PERCENT = 25;
const ANSWER_MS_MAX = 2_000;
/** Where the machine itself is so slow that a plain question or sync takes longer than this, the patience is larger. */
const PLAIN_MS_MAX = 200;
const PATIENCE_MS_MAX = 20_000;
const SERVER_ERROR = 500;
/** What an answer says when the engine or a door broke. */
const OUR_FAILURE = "Cannot answer: see the log";
/** Inputs before memory is measured: until then there are caches to fill. */
const WARM_UP = 4_000;
const HEAP_GROWTH_MB_MAX = 12;
const OTHER_GROWTH_MB_MAX = 160;
const MB = 1024 * 1024;
const PAGE_BYTES = 4096;
const SAMPLE_INPUTS = 500;
/** Of the samples the first and the last quarter count. */
const PARTS = 4;
const DESCRIPTORS_GROWTH_MAX = 32;
const VIOLATIONS_MAX = 50;
const CSI_PLUGIN = "CSI plugin" as const;
const PROGRESS = 50_000;

interface Target {
  readonly daemon: Daemon;
  readonly place: Place;
  readonly doors: Readonly<Record<DoorName, Door>>;
  /** Where it serves CSI. */
  readonly csi: string;
  readonly scene: Scene;
  readonly canary: Canary;
}

export interface DoorsTried extends Tried {
  readonly perSecond: number;
  /** How much the daemon grew after its warm-up. */
  readonly grownMb: number;
  readonly statuses: Readonly<Record<string, number>>;
}

interface Use {
  readonly heapBytes: number;
  /** Resident, and not the heap's. */
  readonly otherBytes: number;
  readonly descriptors: number;
}

export async function tryDoors(trial: Trial, isOver: () => boolean): Promise<DoorsTried> {
  const target = await startTarget();
  try {
    return await tryTarget(target, trial, isOver);
  } finally {
    await target.canary.stop();
    await target.daemon.kill9();
    await target.place.remove();
  }
}

async function startTarget(): Promise<Target> {
  const place = await makePlace("fuzz", NOBODY);
  try {
    const plugin = path.join(place.dir, "plugin.sock");
    const csi = path.join(place.dir, "csi.sock");
    const sandboxes = ["one", "two"].map((name) => path.join(place.dir, "sandboxes", name));
    const bundle = path.join(place.dir, "bundle");
    for (const directory of [...sandboxes, bundle]) await mkdir(directory, { recursive: true });
    for (const directory of sandboxes) await chown(directory, NOBODY.uid, NOBODY.gid);
    await writeFile(path.join(bundle, "config.json"), JSON.stringify(BUNDLES[0]));
    const args = [
      "--resources",
      "disk:200;disk(ads):50",
      "--mount-backend",
      "symlink",
      ...["--docker-plugin", plugin, "--csi", csi],
      // What is destroyed goes at once: books that grow would look like a leak.
      ...["--gc-delay", "0s", "--gc-min-age", "0s", "--gc-interval", "1s"],
      "--log-level",
      "error",
    ];
    const daemon = await Daemon.start({ dir: place.dir, args, user: NOBODY, tellsHeap: true });
    const { agentId } = await requestJson<StatusJson>(daemon.socket, { path: "/v1/status" });
    const doors = {
      "operator HTTP": daemon.http,
      "agent socket": daemon.socket,
      "Docker plugin": { socketPath: plugin },
    };
    return {
      daemon,
      place,
      doors,
      csi,
      scene: { agentId, sandboxes, bundle },
      canary: startCanary(place.dir, daemon.http),
    };
  } catch (error) {
    await place.remove();
    throw error;
  }
}

async function tryTarget(target: Target, { seed, count, progress }: Trial, isOver: () => boolean): Promise<DoorsTried> {
  const startMs = performance.now();
  const violations: string[] = [];
  const statuses: Record<string, number> = {};
  let tried = 0;
  let burst = 0;
  const uses: Use[] = [];
  const client = async (): Promise<void> => {
    while (tried < count && !isOver() && violations.length < VIOLATIONS_MAX) {
      const number = burst;
      burst += 1;
      const outcome = await tryBurst(target, new Chance(seed + number));
      for (const status of outcome.statuses) statuses[status] = (statuses[status] ?? 0) + 1;
      violations.push(...outcome.faults.map((fault) => `seed ${seed}, burst ${number}: ${fault}`));
      const before = tried;
      tried += outcome.inputs;
      if (tried > WARM_UP && isPassed(SAMPLE_INPUTS, before, tried)) uses.push(await useOf(target));
      if (isPassed(PROGRESS, before, tried)) progress(`${tried} requests`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  const seconds = (performance.now() - startMs) / 1_000;
  const { grownMb, faults } = judgeUse(uses);
  violations.push(...faults, ...(await judgeEnd(target)));
  return { count: tried, violations, statuses, grownMb, perSecond: Math.round(tried / seconds) };
}

function isPassed(step: number, before: number, after: number): boolean {
  return Math.floor(before / step) !== Math.floor(after / step);
}

interface Outcome {
  readonly inputs: number;
  readonly statuses: readonly (number | string)[];
  readonly faults: readonly string[];
}

function tryBurst(target: Target, chance: Chance): Promise<Outcome> {
  const name = chance.pick([...(Object.keys(target.doors) as DoorName[]), CSI_PLUGIN]);
  return name === CSI_PLUGIN ? tryGrpc(target, chance) : tryHttp(target, chance, name);
}

async function tryGrpc({ csi, scene, canary }: Target, chance: Chance): Promise<Outcome> {
  const startMs = performance.now();
  const {
    ended,
    silenceMs,
    shown: sent,
    ...outcome
  } = await tryCsi({ socketPath: csi, scene, msMax: PATIENCE_MS_MAX }, chance);
  if (ended && !isTooLong(silenceMs, canary, startMs)) return outcome;
  const fault = `the ${CSI_PLUGIN} is silent for ${Math.round(silenceMs)} ms after ${sent}`;
  return { ...outcome, faults: [...outcome.faults, fault] };
}

async function tryHttp({ doors, scene, canary }: Target, chance: Chance, name: DoorName): Promise<Outcome> {
  const isJunk = chance.percent(JUNK_PERCENT);
  const parts = isJunk
    ? [makeJunk(name, chance, scene)]
    : Array.from({ length: PIPELINED }, () => makeRequest(name, chance, scene));
  const bytes = Buffer.concat(parts);
  const options = { ...(!isJunk && { answers: PIPELINED }), msMax: PATIENCE_MS_MAX };
  const startMs = performance.now();
  const { answers, ended, silenceMs } = await exchange(doors[name], bytes, options);
  const statuses = answers.map(({ status }) => status);
  const faults = answers
    .filter((answer) => isFailure(name, answer))
    .map(({ status, body }) => `the ${name} answers ${status} (${body}) to one of ${shown(bytes)}`);
  if (!ended || isTooLong(silenceMs, canary, startMs)) {
    faults.push(
      `the ${name} is silent for ${Math.round(silenceMs)} ms, with ${answers.length} answers to ${shown(bytes)}`,
    );
  }
  return { inputs: isJunk ? 1 : Math.max(1, answers.length), statuses, faults };
}

function isTooLong(silenceMs: number, canary: Canary, startMs: number): boolean {
  return silenceMs > ANSWER_MS_MAX && canary.slowestSince(startMs) < PLAIN_MS_MAX;
}

/** Docker's protocol has this status for every refusal, so there the words tell. */
function isFailure(door: DoorName, { status, body }: Answer): boolean {
  return body.includes(OUR_FAILURE) || status === 0 || (status === SERVER_ERROR && door !== "Docker plugin");
}

/** What the daemon takes when garbage is gone; its own figures, and the kernel's. */
async function useOf({ daemon }: Target): Promise<Use> {
  const heapBytes = await daemon.liveHeap();
  const metrics = (await request(daemon.http, { path: "/metrics" })).text;
  const figure = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(metrics)?.[1]);
  const [, residentPages = 0] = readFileSync(`/proc/${daemon.pid}/statm`, "utf8").split(" ").map(Number);
  return {
    heapBytes,
    otherBytes: residentPages * PAGE_BYTES - figure("nodejs_heap_size_total_bytes"),
    descriptors: readdirSync(`/proc/${daemon.pid}/fd`).length,
  };
}

/** The least of the first and of the last part of the samples are compared: some show a large request under way. */
function judgeUse(samples: readonly Use[]): { readonly grownMb: number; readonly faults: readonly string[] } {
  const part = Math.floor(samples.length / PARTS);
  if (part === 0) return { grownMb: 0, faults: [] };
  const growth = (of: (use: Use) => number): number =>
    Math.min(...samples.slice(-part).map(of)) - Math.min(...samples.slice(0, part).map(of));
  const faults: string[] = [];
  const grownMb = Math.round(growth(({ heapBytes }) => heapBytes) / MB);
  const otherMb = Math.round(growth(({ otherBytes }) => otherBytes) / MB);
  const descriptors = growth((use) => use.descriptors);
  if (grownMb > HEAP_GROWTH_MB_MAX) faults.push(`the daemon's heap grew by ${grownMb} MB after its warm-up`);
  if (otherMb > OTHER_GROWTH_MB_MAX) faults.push(`the daemon's memory beside its heap grew by ${otherMb} MB`);
  if (descriptors > DESCRIPTORS_GROWTH_MAX) faults.push(`the daemon has ${descriptors} more descriptors than before`);
  return { grownMb, faults };
}

/** It is there, says that all is well, stops in time, and its books are in order. */
async function judgeEnd({ daemon, csi }: Target): Promise<readonly string[]> {
  const faults: string[] = [];
  try {
    const { problems, ready } = await requestJson<StatusJson>(daemon.socket, { path: "/v1/status" });
    if (!ready) faults.push("the daemon is not ready at the end");
    faults.push(...problems.map((problem) => `at the end: ${problem}`));
    faults.push(...(await probeCsi(csi)).map((fault) => `at the end: ${fault}`));
    await daemon.stop();
  } catch (error) {
    return [`the daemon is not there at the end: ${String(error)}`];
  }
  const args = ["--work-root", daemon.workRoot, "--socket", daemon.socket.socketPath, "--mount-backend", "symlink"];
  const { stdout, status } = await holdfast("doctor", ...args);
  const bad = stdout.split("\n").filter((line) => line.startsWith("bad"));
  if (status !== 0) faults.push(`doctor ends with ${status}: ${bad.join("; ")}`);
  return faults;
}

function shown(bytes: Buffer): string {
  const text = JSON.stringify(bytes.toString("latin1"));
  return text.length > 1_500 ? `${text.slice(0, 1_500)}... (${bytes.length} bytes)` : text;
}
