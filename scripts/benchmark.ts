/**
 * Holds Holdfast's speed beside that of Docker Engine, Podman, `mount(8)`, `rm -rf` and bare system calls:
 * `npm run bench`, as root.
 *
 * Everything runs in one temporary directory on a fresh loop ext4, with a journal and without, and nothing stays behind.
 * The figures and what they should be are in `benchmark/rows.ts`, the best that is known of them in `benchmark/best.json`.
 */
import { readFile, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { Command, Option } from "commander";
import { withBench } from "./benchmark/bench.ts";
import { type BestKnown, slowerThanBest, withImproved } from "./benchmark/best.ts";
import { growthSvg } from "./benchmark/growth-svg.ts";
import { needPrograms } from "./benchmark/programs.ts";
import { type Judged, judge, table } from "./benchmark/report.ts";
import { type Bench, FULL, QUICK, ROWS, type RowName } from "./benchmark/rows.ts";
import { interruptible } from "./interruption.ts";

interface Options {
  readonly json?: string;
  readonly svg?: string;
  readonly only: readonly RowName[];
  readonly journal: "on" | "off" | "both";
  readonly quick: boolean;
  readonly strict: boolean;
  readonly keep: boolean;
  readonly install: boolean;
}

const BEST_KNOWN = path.join(import.meta.dirname, "benchmark/best.json");

function parseOptions(argv: readonly string[]): Options {
  const names = Object.keys(ROWS);
  const command = new Command("bench")
    .option("--json <file>", "write the rows to a file as JSON too")
    .option("--svg <file>", "draw how cost grows with the number of volumes")
    .addOption(new Option("--only <name...>", "measure only these").choices(names).default(names))
    .addOption(new Option("--journal <which>", "ext4 with a journal").choices(["on", "off", "both"]).default("both"))
    .addOption(new Option("--quick", "small sizes: shows that it works, says little about speed").default(false))
    .option("--strict", "exit with 1 when a target is missed", false)
    .addOption(new Option("--keep", "keep what is better than the best known").default(false).conflicts("quick"))
    .option("--install", "install the programs to stand beside that are missing", false);
  return command.parse(argv).opts<Options>();
}

async function main(options: Options, interruption: AbortSignal): Promise<void> {
  if (os.userInfo().uid !== 0) throw new Error("The benchmark mounts file systems: run it as root");
  await needPrograms(options.only, options.install);
  const rows: Judged[] = [];
  for (const journal of options.journal === "both" ? [true, false] : [options.journal === "on"]) {
    interruption.throwIfAborted();
    const sizes = options.quick ? QUICK : FULL;
    const work = (bench: Bench): Promise<Judged[]> => measure(bench, options.only, interruption);
    rows.push(...(await withBench({ journal, sizes, interruption }, work)));
  }
  await report(rows, options);
}

/** Measures the wanted rows on one fresh file system. */
async function measure(bench: Bench, only: readonly RowName[], interruption: AbortSignal): Promise<Judged[]> {
  const rows: Judged[] = [];
  for (const name of Object.keys(ROWS).filter((row): row is RowName => only.includes(row as RowName))) {
    interruption.throwIfAborted();
    console.error(`journal ${bench.journal ? "on" : "off"}: ${name} ...`);
    rows.push(...(await ROWS[name](bench)).map(judge));
  }
  return rows;
}

async function report(rows: readonly Judged[], options: Options): Promise<void> {
  console.log(`\n${table(rows)}`);
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(asJson(rows, options), null, 2)}\n`);
  const svg = growthSvg(rows);
  if (options.svg !== undefined && svg !== undefined) await writeFile(options.svg, svg);
  if (options.quick) console.log("\nMeasured with --quick: too few samples to judge by.");
  else await holdAgainstBest(rows, options.keep);
  if (options.strict && rows.some((row) => row.verdict === "FAIL")) process.exitCode = 1;
}

async function holdAgainstBest(rows: readonly Judged[], keep: boolean): Promise<void> {
  const known = JSON.parse(await readFile(BEST_KNOWN, "utf8")) as BestKnown;
  const slower = slowerThanBest(known, rows);
  const worst = slower.length === 0 ? "\nNothing is slower than the best known." : "\nSlower than the best known:";
  console.log([worst, ...slower].join("\n"));
  if (!keep) return;
  const run = { date: new Date().toISOString().slice(0, 10), machine: `${machine().cpus} × ${machine().cpu}` };
  await writeFile(BEST_KNOWN, `${JSON.stringify(withImproved(known, rows, run), null, 2)}\n`);
}

function asJson(rows: readonly Judged[], { quick }: Options): object {
  return { measuredAt: new Date().toISOString(), node: process.version, machine: machine(), quick, rows };
}

function machine(): { readonly kernel: string; readonly cpus: number; readonly cpu: string } {
  return { kernel: os.release(), cpus: os.availableParallelism(), cpu: os.cpus()[0]?.model ?? "unknown" };
}

const options = parseOptions(process.argv);
await interruptible(async (interruption) => {
  try {
    await main(options, interruption);
  } catch (cause) {
    process.exitCode = 1;
    // What was under way then fails, too.
    if (interruption.aborted) console.error((interruption.reason as Error).message);
    console.error(cause instanceof Error ? cause.message : cause);
  }
});
