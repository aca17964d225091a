/**
 * Tries to break Holdfast: `npm run prove`, as root.
 *
 * Without an option every protocol gets its share of eight minutes, with a new seed; with `--long` each goes on until it
 * has reached its figure. One table at the end; exit status 1 on any violation.
 */
import { writeFile } from "node:fs/promises";
import os from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Evidence, Protocol, Trial } from "../test/prove/protocol.ts";
import { budgetOf, PROTOCOLS } from "../test/prove/protocols.ts";
import { interruptible } from "./interruption.ts";

interface Options {
  readonly long: boolean;
  readonly only: readonly string[];
  readonly seed: number;
  readonly minutes: number;
  readonly json?: string;
}

interface Outcome extends Evidence {
  readonly protocol: Protocol;
  readonly seconds: number;
  readonly skipped?: string;
}

/** Nobody waits longer for one protocol of the long run. */
const LONG_MS = 3 * 3_600_000;
const VIOLATIONS_SHOWN = 20;

function parseOptions(argv: readonly string[]): Options {
  const names = PROTOCOLS.map(({ name }) => name);
  const command = new Command("prove")
    .description("Tries to break Holdfast in every way that is known, and counts.")
    .option("--long", "until every figure is reached, however long that takes", false)
    .addOption(new Option("--only <name...>", "only these protocols").choices(names).default(names, "all"))
    .option("--seed <number>", "repeat the choices of an earlier run", wholeNumber, Math.floor(Math.random() * 2 ** 31))
    .option("--minutes <number>", "time for all protocols of the short run", wholeNumber, 8)
    .option("--json <file>", "write the table to a file as JSON too");
  return command.parse(argv).opts<Options>();
}

function wholeNumber(text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("expected a whole number");
}

async function main(options: Options, interruption: AbortSignal): Promise<void> {
  const chosen = PROTOCOLS.filter(({ name }) => options.only.includes(name));
  console.error(`Seed ${options.seed} (repeat it with --seed ${options.seed})`);
  const outcomes: Outcome[] = [];
  for (const protocol of chosen) {
    const budgetMs = options.long ? LONG_MS : budgetOf(protocol, chosen, options.minutes * 60_000);
    if (interruption.aborted) break;
    outcomes.push(await tryOne(protocol, options, { budgetMs, interruption }));
  }
  console.log(`\n${table(outcomes)}`);
  const failed = outcomes.filter(({ violations }) => violations.length > 0);
  for (const { protocol, violations } of failed) {
    for (const violation of violations.slice(0, VIOLATIONS_SHOWN)) console.log(`${protocol.name}: ${violation}`);
  }
  const short = options.long
    ? outcomes.filter(({ count, protocol, skipped }) => skipped === undefined && count < protocol.target)
    : [];
  for (const { protocol, count } of short)
    console.log(`${protocol.name}: only ${count} of ${protocol.target} ${protocol.unit}`);
  if (options.json !== undefined)
    await writeFile(options.json, `${JSON.stringify(report(options, outcomes), null, 2)}\n`);
  if (failed.length > 0 || short.length > 0) process.exitCode = 1;
}

async function tryOne(
  protocol: Protocol,
  options: Options,
  limits: Pick<Trial, "budgetMs" | "interruption">,
): Promise<Outcome> {
  const skipped = protocol.unavailable?.();
  if (skipped !== undefined) return { protocol, count: 0, violations: [], seconds: 0, skipped };
  console.error(`${protocol.name}: ${protocol.title} ...`);
  const startedMs = performance.now();
  const count = options.long ? protocol.target : Number.POSITIVE_INFINITY;
  const progress = (line: string) => console.error(`${protocol.name}: ${line}`);
  const evidence = await protocol.run({ ...limits, seed: options.seed, count, progress }).catch(broken);
  return { protocol, ...evidence, seconds: Math.round((performance.now() - startedMs) / 1_000) };
}

/** A protocol that breaks has proven nothing. */
function broken(error: unknown): Evidence {
  return {
    count: 0,
    violations: [`it broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`],
  };
}

function table(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ protocol, count, violations, seconds, figures, skipped }) => [
    protocol.name,
    skipped === undefined ? `${count.toLocaleString("en")} ${protocol.unit}` : `left out: ${skipped}`,
    String(violations.length),
    `${seconds} s`,
    Object.entries(figures ?? {})
      .map(([name, value]) => `${value} ${name}`)
      .join(", "),
  ]);
  const lines = [["PROTOCOL", "TRIED", "VIOLATIONS", "TIME", "BESIDES"], ...rows];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function report({ seed, long }: Options, outcomes: readonly Outcome[]): object {
  return {
    at: new Date().toISOString(),
    seed,
    long,
    machine: { kernel: os.release(), processors: os.cpus().length, node: process.version },
    protocols: outcomes.map(({ protocol: { name, unit, target }, ...rest }) => ({ name, unit, target, ...rest })),
  };
}

const options = parseOptions(process.argv);
await interruptible((interruption) => main(options, interruption));
