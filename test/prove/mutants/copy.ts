/** A copy of the repository in which programs are changed and tests run; the working tree is not touched. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { execa } from "execa";
import type { Mutant } from "./mutant.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../../..");
/** What tests read. */
const PARTS = ["src", "test", "scripts", "systemd", "package.json", "tsconfig.json", "README.md"];
const TEST_MS_MAX = 180_000;

type Tests = Pick<Mutant, "test" | "only">;

export class Copy {
  readonly #directory: string;
  /** Tests that are known to pass without a mutant. */
  readonly #passing = new Set<string>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static make(): Copy {
    const directory = mkdtempSync(path.join(tmpdir(), "holdfast-mutants-"));
    for (const part of PARTS) {
      cpSync(path.join(REPOSITORY, part), path.join(directory, part), { recursive: true });
    }
    symlinkSync(path.join(REPOSITORY, "node_modules"), path.join(directory, "node_modules"));
    return new Copy(directory);
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }

  /** @returns why the mutant is not caught; `undefined` when its test fails because of it */
  async whyNotCaught({ file, find, replace, test, only }: Mutant): Promise<string | undefined> {
    const tests: Tests = { test, ...(only === undefined ? {} : { only }) };
    const place = path.join(this.#directory, "src", file);
    const text = readFileSync(place, "utf8");
    const count = text.split(find).length - 1;
    if (count !== 1)
      return `it is out of date: ${JSON.stringify(find)} is in src/${file} ${count} times, expected once`;
    if (!(await this.#passesUnchanged(tests))) return `test/${test} fails without it, too`;
    writeFileSync(
      place,
      text.replace(find, () => replace),
    );
    try {
      return (await this.#passes(tests)) ? `test/${test} passes` : undefined;
    } finally {
      writeFileSync(place, text);
    }
  }

  async #passesUnchanged(tests: Tests): Promise<boolean> {
    const key = JSON.stringify(tests);
    // A machine that is busy with others may fail it once.
    for (let tries = 0; tries < 2 && !this.#passing.has(key); tries += 1) {
      if (await this.#passes(tests)) this.#passing.add(key);
    }
    return this.#passing.has(key);
  }

  async #passes({ test, only }: Tests): Promise<boolean> {
    const vitest = ["node_modules/vitest/vitest.mjs", "run", "--config", "test/vitest.config.ts", "--project", "host"];
    const names = only === undefined ? [] : ["--testNamePattern", only];
    const { exitCode } = await execa(process.execPath, [...vitest, "--bail", "1", ...names, `test/${test}`], {
      cwd: this.#directory,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
      reject: false,
      timeout: TEST_MS_MAX,
    });
    return exitCode === 0;
  }
}
