import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { expect, test } from "vitest";
import { descriptorsOf, jsonOf, protoFiles } from "../../../scripts/protos.ts";
import { CALLS } from "./client.ts";

test.each(protoFiles().map((file) => [basename(file), file] as const))(
  "the JSON beside %s is what it makes",
  (_, file) => {
    expect(JSON.parse(readFileSync(jsonOf(file), "utf8"))).toEqual(JSON.parse(descriptorsOf(file)));
  },
);

test("every call has the specification's address", () => {
  for (const [name, { path }] of CALLS)
    expect(path).toMatch(new RegExp(`^/csi\\.v1\\.(Identity|Controller|Node)/${name}$`));
  expect(CALLS.size).toBe(28);
});
