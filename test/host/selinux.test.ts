import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { selinuxLabelFor, selinuxMode, selinuxTypeOf } from "../../src/host/selinux.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-selinux-"));
});

afterEach(() => rmSync(directory, { recursive: true }));

test("a machine without SELinux's files has none", () => {
  expect(selinuxMode(join(directory, "enforce"))).toBe("absent");
});

test.each([
  ["1", "enforcing"],
  ["0", "permissive"],
])("%s means %s", (content, mode) => {
  writeFileSync(join(directory, "enforce"), content);
  expect(selinuxMode(join(directory, "enforce"))).toBe(mode);
});

const OWN = "system_u:object_r:own_t:s0";
const CONTAINER = "system_u:object_r:container_file_t:s0";

test.each([
  ["none", "enforcing", undefined],
  ["auto", "absent", undefined],
  ["auto", "permissive", CONTAINER],
  ["auto", "enforcing", CONTAINER],
  [OWN, "absent", OWN],
] as const)("%s on a machine where it is %s labels with %s", (setting, mode, label) => {
  expect(selinuxLabelFor(setting, mode)).toBe(label);
});

test("the type of a label is its third part", () => {
  expect(selinuxTypeOf(undefined)).toBe("unlabelled");
  expect(selinuxTypeOf("x")).toBe("unlabelled");
  expect(selinuxTypeOf("system_u:object_r:var_lib_t:s0:c1,c2")).toBe("var_lib_t");
});
