/**
 * Holds Holdfast's speed beside Docker Engine's and `mount(8)`'s: `npm run benchmark`, as root.
 *
 * Everything runs in one temporary directory on a fresh loop ext4, with a journal and without, and nothing stays behind.
 * The figures and what they should be are in `benchmark/rows.ts`.
 */
import { writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Command, Option } from "commander";
import { makePlace } from "../test/e2e/place.ts";
import { run } from "../test/e2e/run.ts";
import { Docker } from "./benchmark/docker.ts";
import { mountFreshExt4 } from "./benchmark/file-system.ts";
import { Load } from "./benchmark/load.ts";
import { Node } from "./benchmark/node.ts";
import { type Judged, judge, table } from "./benchmark/report.ts";
import { type Bench, FULL, QUICK, ROWS, type RowName } from "./benchmark/rows.ts";

interface Options {
  readonly json?: string;
  readonly only: readonly RowName[];
  readonly journal: "on" | "off" | "both";
  readonly quick: boolean;
  readonly strict: boolean;
  readonly install: boolean;
}

const NEEDS_DOCKER: readonly RowName[] = ["create", "clients"];

function parseOptions(argv: readonly string[]): Options {
  const names = Object.keys(ROWS);
  const command = new Command("benchmark")
    .option("--json <file>", "write the rows to a file as JSON too")
    .addOption(new Option("--only <name...>", "measure only these").choices(names).default(names))
    .addOption(new Option("--journal <which>", "ext4 with a journal").choices(["on", "off", "both"]).default("both"))
    .option("--quick", "small sizes: shows that it works, says little about speed", false)
    .option("--strict", "exit with 1 when a target is missed", false)
    .option("--install", "install docker.io when dockerd is missing", false);
  return command.parse(argv).opts<Options>();
}

async function main(options: Options, cleanUp: AsyncDisposableStack): Promise<void> {
  if (os.userInfo().uid !== 0) throw new Error("The benchmark mounts file systems: run it as root");
  if (options.only.some((name) => NEEDS_DOCKER.includes(name))) await needDockerd(options.install);
  const rows: Judged[] = [];
  for (const journal of options.journal === "both" ? [true, false] : [options.journal === "on"]) {
    await using filesystem = cleanUp.use(new AsyncDisposableStack());
    rows.push(...(await measure(journal, options, filesystem)));
  }
  console.log(`\n${table(rows)}`);
  if (options.quick) console.log("\nMeasured with --quick: too few samples to judge by.");
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(report(rows, options), null, 2)}\n`);
  if (options.strict && rows.some((row) => row.verdict === "FAIL")) process.exitCode = 1;
}

async function needDockerd(install: boolean): Promise<void> {
  const version = await run("dockerd", "--version").catch(() => undefined);
  if (version !== undefined) return;
  if (!install) throw new Error("dockerd is missing: install docker.io, or let --install do it");
  await run(path.join(import.meta.dirname, "test-setup"), "docker.io");
}

/** Measures the wanted rows on one fresh file system. */
async function measure(journal: boolean, options: Options, cleanUp: AsyncDisposableStack): Promise<Judged[]> {
  const bench = await makeBench(journal, options, cleanUp);
  const rows: Judged[] = [];
  for (const name of Object.keys(ROWS).filter((row): row is RowName => options.only.includes(row as RowName))) {
    console.error(`journal ${journal ? "on" : "off"}: ${name} ...`);
    rows.push(...(await ROWS[name](bench)).map(judge));
  }
  return rows;
}

async function makeBench(journal: boolean, options: Options, cleanUp: AsyncDisposableStack): Promise<Bench> {
  const place = await makePlace("benchmark");
  cleanUp.defer(() => place.remove());
  const mount = await mountFreshExt4(place.dir, journal);
  const load = new Load();
  cleanUp.defer(() => load.close());
  const another = async (name: string): Promise<Node> => {
    const node = await Node.start(path.join(mount, name));
    cleanUp.defer(() => node.daemon.kill9());
    return node;
  };
  // Leaves the compile cache that every start but the first on a machine finds.
  await (await another("first")).daemon.stop();
  const docker = dockerOnDemand(place.dir, path.join(mount, "docker"));
  cleanUp.defer(docker.dockerDone);
  const sizes = options.quick ? QUICK : FULL;
  return { journal, sizes, load, node: await another("node"), dir: mount, another, ...docker };
}

function dockerOnDemand(dir: string, dataRoot: string): Pick<Bench, "docker" | "dockerDone"> {
  let running: Docker | undefined;
  const docker = async (): Promise<Docker> => {
    running ??= await Docker.start(dir, dataRoot);
    return running;
  };
  const dockerDone = async (): Promise<void> => {
    await running?.stop();
    running = undefined;
  };
  return { docker, dockerDone };
}

function report(rows: readonly Judged[], options: Options): object {
  const machine = { kernel: os.release(), cpus: os.availableParallelism(), cpu: os.cpus()[0]?.model };
  return { measuredAt: new Date().toISOString(), node: process.version, machine, quick: options.quick, rows };
}

/** Cleans up when interrupted, too. What was under way then fails, which is of no interest. */
function cleanUpOnSignal(cleanUp: AsyncDisposableStack): void {
  const status = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
  for (const signal of Object.keys(status) as (keyof typeof status)[]) {
    process.once(signal, () => {
      process.exitCode = status[signal];
      void cleanUp.disposeAsync().finally(() => process.exit());
    });
  }
}

const options = parseOptions(process.argv);
const cleanUp = new AsyncDisposableStack();
cleanUpOnSignal(cleanUp);
try {
  await main(options, cleanUp);
} catch (cause) {
  process.exitCode ||= 1;
  console.error(cause instanceof Error ? cause.message : cause);
}
await cleanUp.disposeAsync();
