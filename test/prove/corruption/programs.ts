/** The real programs on a damaged node: the daemon serves what is sound or refuses, `doctor` and `rebuild` say what is what. */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeVolumeLabel } from "../../../src/store/label.ts";
import { holdfast } from "../../e2e/command.ts";
import { Chance } from "../../simulation/chance.ts";
import { damageOf } from "./damage.ts";
import { makeNode, type Node, statusOf, volumesOf } from "./node.ts";
import { placeCheckpoint } from "./place.ts";

/** Random damages come behind those of every byte. */
const RANDOM = 2 ** 30;
const FINDING = /^(?:ok|doubt|bad) /;
const SAID_CHARACTERS = 600;
const TELLING_TRIES = 20;
const TELLING_PAUSE_MS = 100;
const TRACE = /^ {4}at /m;

/** Tries nodes until the time is up, one at least. */
export async function tryPrograms(options: {
  readonly seed: number;
  readonly isOver: () => boolean;
  readonly count: number;
  readonly progress: (line: string) => void;
}): Promise<{ readonly count: number; readonly violations: readonly string[] }> {
  const violations: string[] = [];
  let count = 0;
  let node = await makeNode();
  try {
    do {
      const story = `seed ${options.seed}, node ${count}`;
      const faults = await tryNode(node, new Chance(options.seed + count));
      violations.push(...faults.map((fault) => `${story}: ${fault}`));
      count += 1;
      if (count % 10 === 0) options.progress(`${count} damaged nodes`);
      if (!node.restore()) {
        await node.remove();
        node = await makeNode();
      }
    } while (count < options.count && !options.isOver());
  } finally {
    await node.remove();
  }
  return { count, violations };
}

async function tryNode(node: Node, chance: Chance): Promise<readonly string[]> {
  const damage = damageOf(chance.percent(50) ? chance.below(RANDOM) : RANDOM, node.generations, chance);
  placeCheckpoint(node.meta, damage);
  const label = chance.percent(40) ? damageLabel(node, chance) : undefined;
  const doctor = await tryDoctor(node, label?.file);
  const faults = [
    ...doctor.faults,
    ...(await tryDaemon(node, doctor.findings, label?.file)),
    ...(await tryRebuild(node, label?.file)),
    ...node.lostContents().map((name) => `the content of ${name} is gone`),
  ];
  const what = [damage.what, ...(label === undefined ? [] : [label.what])].join(" and ");
  return faults.map((fault) => `${what}: ${fault}`);
}

function damageLabel({ labels, olderLabels }: Node, chance: Chance): { readonly what: string; readonly file: string } {
  const file = chance.pick([...labels.keys()].filter((name) => name.includes("/volumes/") || name.includes("/trash/")));
  const sound = labels.get(file) ?? Buffer.alloc(0);
  const older = olderLabels.get(file);
  if (older !== undefined && !older.equals(sound) && chance.percent(50)) {
    writeFileSync(file, older);
    return { what: `${file} of an earlier time`, file };
  }
  const at = chance.below(sound.length);
  const cut = chance.percent(30);
  const bytes = cut ? sound.subarray(0, at) : Buffer.from(sound);
  if (!cut) bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << chance.below(8)), at);
  writeFileSync(file, bytes);
  return { what: `${file} ${cut ? `cut to ${at} bytes` : `with byte ${at} flipped`}`, file };
}

interface Diagnosis {
  readonly faults: readonly string[];
  /** What it does not call good. */
  readonly findings: readonly string[];
}

async function tryDoctor({ daemon, options }: Node, label: string | undefined): Promise<Diagnosis> {
  const where = ["--work-root", daemon.workRoot, "--socket", daemon.socket.socketPath];
  const { status, stdout, stderr } = await holdfast("doctor", ...where, ...options);
  const lines = stdout.split("\n").filter((line) => line !== "");
  const findings = lines.filter((line) => !line.startsWith("ok "));
  const faults: string[] = [];
  if (status !== 0 && status !== 1) faults.push(`doctor ends with ${status}: ${stderr.slice(-SAID_CHARACTERS)}`);
  if (TRACE.test(stderr)) faults.push(`doctor crashes: ${stderr.slice(0, SAID_CHARACTERS)}`);
  const strange = lines.find((line) => !FINDING.test(line));
  if (strange !== undefined) faults.push(`doctor says "${strange.slice(0, SAID_CHARACTERS)}"`);
  const isTold = findings.some((line) => line.includes(uuidOf(label) ?? "") || line.includes("run holdfast rebuild"));
  if (!isSound(label) && !isTold) faults.push("doctor does not name the damaged label");
  return { faults, findings };
}

/** The volume that a label lies beside. */
function uuidOf(label: string | undefined): string | undefined {
  return label === undefined ? undefined : path.basename(path.dirname(label));
}

async function tryDaemon(
  node: Node,
  findings: readonly string[],
  label: string | undefined,
): Promise<readonly string[]> {
  const { daemon } = node;
  try {
    await daemon.start();
  } catch (error) {
    const said = String(error);
    return /holdfast: Cannot .*run holdfast rebuild/.test(said)
      ? []
      : [`the daemon does not start: ${said.slice(-SAID_CHARACTERS)}`];
  }
  try {
    const { problems } = await statusOf(daemon);
    // Where the label was damaged too, nothing is left that could tell of another time.
    const volumes = node.volumes.filter(({ uuid }) => uuid !== uuidOf(label));
    return await compareVolumes(await volumesOf(daemon), { ...node, volumes }, [...findings, ...problems]);
  } finally {
    await daemon.stop();
  }
}

/** What is served is true, what is not is told. */
async function compareVolumes(
  served: Awaited<ReturnType<typeof volumesOf>>,
  { volumes, daemon }: Node,
  told: readonly string[],
): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const volume of volumes) {
    const name = `${volume.role}/${volume.id}`;
    const found = served.find(({ uuid }) => uuid === volume.uuid);
    const isTold = (problems: readonly string[]) =>
      problems.some((problem) => problem.includes(volume.uuid) || problem.includes(name));
    if (found !== undefined && found.sizeMb === volume.sizeMb && kindOf(found.state) === kindOf(volume.state)) continue;
    if (isTold(told) || found?.problem !== undefined) continue;
    // Orphans are looked for behind readiness.
    if (await toldSoon(daemon, isTold)) continue;
    faults.push(
      `${name} is served as ${found === undefined ? "nothing" : `${found.state} with ${found.sizeMb} MB`}, and nothing is said of it`,
    );
  }
  return faults;
}

async function toldSoon(daemon: Node["daemon"], isTold: (problems: readonly string[]) => boolean): Promise<boolean> {
  for (let tries = 0; tries < TELLING_TRIES; tries += 1) {
    if (isTold((await statusOf(daemon)).problems)) return true;
    await sleep(TELLING_PAUSE_MS);
  }
  return false;
}

function kindOf(state: string): string {
  return state === "retained" || state === "collecting" ? "retained" : "live";
}

/** Afterwards every volume with a sound label is there. */
async function tryRebuild(node: Node, label: string | undefined): Promise<readonly string[]> {
  const { daemon, options, volumes } = node;
  const isLost = label !== undefined && !isSound(label);
  const { status, stdout, stderr } = await holdfast("rebuild", "--work-root", daemon.workRoot, ...options);
  if (status !== 0) return [`rebuild ends with ${status}: ${stderr.slice(-SAID_CHARACTERS)}`];
  if (isLost && !stdout.includes(label)) return ["rebuild does not name the damaged label"];
  const lost = isLost ? uuidOf(label) : undefined;
  await daemon.start();
  try {
    const served = await volumesOf(daemon);
    return volumes
      .filter(({ uuid }) => uuid !== lost && !served.some((other) => other.uuid === uuid))
      .map(({ role, id }) => `rebuild does not bring back ${role}/${id}`);
  } finally {
    await daemon.stop();
  }
}

function isSound(label: string | undefined): boolean {
  if (label === undefined) return true;
  try {
    decodeVolumeLabel(readFileSync(label));
    return true;
  } catch {
    return false;
  }
}
