import { describe, expect, test } from "vitest";
import { parseLabels } from "../../src/console/labels.ts";
import {
  ruleOfAppId,
  ruleOfContainerPath,
  ruleOfId,
  ruleOfInstances,
  ruleOfPathAmong,
  ruleOfRole,
  ruleOfSizeMib,
} from "../../src/console/rules.ts";

describe("a form's rule", () => {
  test.each([
    [ruleOfRole, "", "at least one character"],
    [ruleOfRole, "a b", "no white space"],
    [ruleOfRole, "*", "a role (* means unreserved)"],
    [ruleOfRole, "eng//web", "no empty component between slashes"],
    [ruleOfId, "a/b", "one path component, without slashes"],
    [ruleOfId, "x".repeat(256), "at most 255 bytes"],
    [ruleOfContainerPath, "", "at least one character"],
    [ruleOfContainerPath, "var/lib", "one name without slashes: paths cannot be nested"],
    [ruleOfContainerPath, "..", "neither . nor .."],
    [ruleOfSizeMib, "", "a number of MiB"],
    [ruleOfSizeMib, "0", "more than 0"],
    [ruleOfSizeMib, "-1", "a number of MiB, more than 0"],
    [ruleOfSizeMib, "1e3", "a number of MiB, more than 0"],
    [ruleOfSizeMib, "0.0001", "at least 0.001 MB"],
    [ruleOfInstances, "1.5", "a whole number, 0 or more"],
    [ruleOfInstances, "-1", "a whole number, 0 or more"],
    [ruleOfInstances, "10001", "at most 10000"],
    [ruleOfAppId, "/", "a path, for example /sesame/samson"],
    [ruleOfPathAmong(["data"]), "data", "another name: a volume above has this one"],
  ])("says what is wrong: %o %j", (rule, text, wrong) => {
    expect(rule(text)).toBe(wrong);
  });

  test.each(["/Sesame", "/a_b", "/a//b", "/-a", "/a-", "/a b"])("takes no app id like %s", (id) => {
    expect(ruleOfAppId(id)).toContain("lower-case letters");
  });

  test.each([
    [ruleOfRole, "eng/frontend"],
    [ruleOfId, "postgres#pgdata#53ab8732"],
    [ruleOfContainerPath, "data"],
    [ruleOfSizeMib, "512"],
    [ruleOfSizeMib, " 0.5 "],
    [ruleOfInstances, "0"],
    [ruleOfAppId, "/sesame/samson"],
    [ruleOfAppId, "postgres"],
    [ruleOfPathAmong(["data"]), "logs"],
  ])("has nothing against what is right: %o %j", (rule, text) => {
    expect(rule(text)).toBeUndefined();
  });
});

test("Labels are one on a line, with a value or without", () => {
  expect(parseLabels("team=ads\n\n old \nquery=a=b")).toEqual({ team: "ads", old: "", query: "a=b" });
});
