import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DAEMON_OPTIONS } from "../../src/config/options.ts";
import { loadSettings } from "../../src/config/settings.ts";
import { configurationTemplate } from "../../src/config/template.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-template-"));
});

afterEach(() => rmSync(directory, { recursive: true }));

function load(text: string) {
  const file = join(directory, "holdfast.yaml");
  writeFileSync(file, text);
  return loadSettings({ file, flags: {} });
}

test("the installed configuration sets Docker's plugin, and nothing else", () => {
  const flags = { dockerPlugin: "/run/docker/plugins/holdfast.sock" };
  expect(load(configurationTemplate())).toEqual(loadSettings({ flags }));
});

test("every setting is in it, explained, and its default is written as the file wants it", () => {
  const template = configurationTemplate();
  for (const option of DAEMON_OPTIONS) {
    expect(template).toContain(`\n${"installed" in option ? "" : "#"}${option.name}:`);
    expect(template.replaceAll(/\n# /g, " ")).toContain(option.help);
    if (!("default" in option)) continue;
    const line = template.split("\n").find((one) => one.startsWith(`#${option.name}: `)) ?? "";
    expect(load(`${line.slice(1)}\n`)).toEqual(loadSettings({ flags: {} }));
  }
});

test("no line of it is longer than a terminal", () => {
  expect(
    Math.max(
      ...configurationTemplate()
        .split("\n")
        .map((line) => line.length),
    ),
  ).toBeLessThanOrEqual(120);
});
