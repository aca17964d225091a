/** Every shell script passes shellcheck. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { isInstalled } from "../e2e/oci.ts";
import { run } from "../e2e/run.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");

const scripts = globSync(["scripts/*", "src/**/*.sh", "test/kubernetes/*"], { cwd: REPOSITORY, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => path.join(entry.parentPath, entry.name))
  .filter((file) => file.endsWith(".sh") || readFileSync(file, "utf8").startsWith("#!/bin/sh\n"));

test.runIf(isInstalled("shellcheck"))("shellcheck has nothing to say (needs shellcheck)", async () => {
  expect(scripts.length).toBeGreaterThan(5);
  expect(await run("shellcheck", "--shell=sh", ...scripts)).toBe("");
});
