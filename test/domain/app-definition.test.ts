import { describe, expect, it } from "vitest";
import { mergeDefinition, parseAppDefinition, requireAllowedChange } from "../../src/domain/app-definition.ts";
import { violationsOf } from "../../src/domain/app-error.ts";
import { HoldfastError } from "../../src/domain/error.ts";
import type { JsonObject } from "../../src/domain/json.ts";
import type { AppRecord } from "../../src/domain/records.ts";
import type { WallMs } from "../../src/domain/units.ts";
import { persistent, samson, withVolumes } from "./app-samples.ts";

/** `PATH ERROR` of each violation. */
function violations(work: () => unknown): readonly string[] {
  try {
    work();
  } catch (error) {
    if (error instanceof HoldfastError) return violationsOf(error).map(({ path, error: text }) => `${path} ${text}`);
    throw error;
  }
  return [];
}

const DATA = "/container/volumes(0)";

describe("parseAppDefinition refuses", () => {
  it.each<[string, JsonObject, string]>([
    ["no id", samson({ id: undefined }), "/id error.path.missing"],
    ["an id with an underscore", samson({ id: "/sesame_samson" }), "/id must fully match"],
    ["an id in capitals", samson({ id: "/Sesame" }), "/id must fully match"],
    ["an id that climbs", samson({ id: "/sesame/../samson" }), "/id must fully match"],
    [
      "an id that an address could not name",
      samson({ id: "/sesame/tasks" }),
      "/id must not end with any of the following",
    ],
    [
      "an id that an address would take for another app's instance",
      samson({ id: "/sesame/tasks/samson" }),
      "/id must not have tasks before its last element",
    ],
    ["a very long id", samson({ id: `/${"a".repeat(200)}` }), "/id must be at most 160 characters long"],
    ["less than no instances", samson({ instances: -1 }), "/instances got -1, expected 0 or more"],
    ["half an instance", samson({ instances: 0.5 }), "/instances error.expected.jsnumber"],
    ["instances without end", samson({ instances: 1e9 }), "/instances got 1000000000, expected 10000 or less"],
    ["role *", samson({ role: "*" }), '/role Resident apps cannot have the role "*"'],
    ["no volumes", samson({ container: { volumes: [] } }), "/ AppDefinition must contain persistent volumes"],
    ["no container", samson({ container: undefined }), "/ AppDefinition must contain persistent volumes"],
    ["a container that is none", samson({ container: "x" }), "/container error.expected.jsobject"],
    [
      "a size of 0",
      withVolumes(persistent("data", { size: 0 })),
      `${DATA}/persistent/size got 0, expected more than 0`,
    ],
    [
      "a size as text",
      withVolumes(persistent("data", { size: "1" })),
      `${DATA}/persistent/size error.expected.jsnumber`,
    ],
    ...["constructor", "toString", "__proto__"].map((type): [string, JsonObject, string] => [
      `the type ${type}`,
      withVolumes(persistent("data", { type, size: 1 })),
      `${DATA}/persistent/type got ${type}, expected one of root, path, mount`,
    ]),
    ["no size", withVolumes(persistent("data", {})), `${DATA}/persistent/size error.path.missing`],
    ["a huge size", withVolumes(persistent("data", { size: 1e15 })), `${DATA}/persistent/size got 1000000000000000`],
    ["an empty path", withVolumes(persistent("", { size: 1 })), `${DATA}/containerPath must not be empty`],
    ["the path ..", withVolumes(persistent("..", { size: 1 })), `${DATA}/containerPath can not be one of (., ..)`],
    ["a nested path", withVolumes(persistent("a/b", { size: 1 })), `${DATA}/containerPath value must not contain "/"`],
    ["a path that would split an id", withVolumes(persistent("a#b", { size: 1 })), `${DATA}/containerPath value must`],
    [
      "a path with a newline",
      withVolumes(persistent("a\nb", { size: 1 })),
      `${DATA}/containerPath must be well-formed`,
    ],
    [
      "a volume that is only read",
      withVolumes({ ...persistent("data", { size: 1 }), mode: "RO" }),
      `${DATA}/mode got RO, expected RW`,
    ],
    [
      "an unknown type",
      withVolumes(persistent("data", { size: 1, type: "block" })),
      `${DATA}/persistent/type got block, expected one of root, path, mount`,
    ],
    [
      "a field that means something we do not do",
      withVolumes(persistent("data", { size: 1, profileName: "fast" })),
      `${DATA}/persistent/profileName is not supported here`,
    ],
    [
      "constraints of a root volume",
      withVolumes(persistent("data", { size: 1, constraints: [["path", "LIKE", "x"]] })),
      `${DATA}/persistent/constraints Constraints on root volumes are not supported`,
    ],
    [
      "maxSize of a path volume",
      withVolumes(persistent("data", { size: 1, type: "path", maxSize: 2 })),
      `${DATA}/persistent/maxSize Only mount volumes can have maxSize`,
    ],
    [
      "a maxSize below the size",
      withVolumes(persistent("data", { size: 2, type: "mount", maxSize: 1 })),
      `${DATA}/persistent/maxSize Max size must be larger than size`,
    ],
    [
      "two volumes at one path",
      withVolumes(persistent("a", { size: 1 }), persistent("a", { size: 2 })),
      "/container/volumes",
    ],
    [
      "an unreachableStrategy",
      samson({ unreachableStrategy: { inactiveAfterSeconds: 1 } }),
      "/unreachableStrategy unreachableStrategy must be disabled for resident tasks",
    ],
    [
      "more instances than it has while it changes",
      samson({ upgradeStrategy: { maximumOverCapacity: 1 } }),
      "/upgradeStrategy/maximumOverCapacity expected 0.0",
    ],
    [
      "an unknown behaviour",
      samson({ residency: { taskLostBehavior: "PANIC" } }),
      "/residency/taskLostBehavior expected one of",
    ],
    [
      "a timeout in the past",
      samson({ residency: { relaunchEscalationTimeoutSeconds: -1 } }),
      "/residency/relaunchEscalationTimeoutSeconds got -1, expected 0 or more",
    ],
  ])("%s", (_, json, violation) => {
    expect(violations(() => parseAppDefinition(json))[0]).toContain(violation);
  });

  it.each([
    ["another field", [["hostname", "LIKE", "x"]], "Unsupported field"],
    ["another operator", [["path", "GROUP_BY", "x"]], "Unsupported operation"],
    ["no expression", [["path", "LIKE"]], "A regular expression value must be provided"],
    ["a broken expression", [["path", "LIKE", "("]], "Invalid regular expression"],
    ["a constraint that is no list", ["path"], "error.expected.jsarray"],
  ])("a constraint with %s", (_, constraints, error) => {
    const json = withVolumes(persistent("data", { size: 1, type: "path", constraints }));
    expect(violations(() => parseAppDefinition(json))[0]).toContain(`${DATA}/persistent/constraints(0) ${error}`);
  });

  it("everything that is wrong at once", () => {
    const json = { ...withVolumes(persistent("", { size: 0 })), instances: -1 };
    expect(violations(() => parseAppDefinition(json))).toHaveLength(3);
  });
});

describe("parseAppDefinition", () => {
  it("takes the example as Marathon 1.0 wrote it, and shows it in the form of today", () => {
    const definition = parseAppDefinition(samson());
    expect(definition).toMatchObject({
      id: "/sesame/samson",
      role: "ads",
      instances: 1,
      volumes: [{ containerPath: "data", size: 100_000, type: "ROOT" }],
      residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 },
    });
    expect(definition.shown).toMatchObject({
      cmd: "touch /data/file && sleep 1000",
      cpus: 0.5,
      container: {
        type: "MESOS",
        volumes: [{ containerPath: "data", mode: "RW", persistent: { type: "root", size: 100 } }],
      },
      unreachableStrategy: "disabled",
      upgradeStrategy: { minimumHealthCapacity: 0.5, maximumOverCapacity: 0 },
    });
    expect(definition.shown).not.toHaveProperty("instances");
  });

  it("fills in residency, role and instances", () => {
    const json = { id: "relative", container: { volumes: [persistent("data", { size: 1 })] } };
    expect(parseAppDefinition(json)).toMatchObject({
      id: "/relative",
      role: "marathon",
      instances: 1,
      residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 },
    });
  });

  it("takes null for a field that is not there", () => {
    const volume = { ...persistent("data", { size: 1, profileName: null, constraints: null }), hostPath: null };
    const { shown } = parseAppDefinition(
      samson({ container: { volumes: [volume] }, residency: null, instances: null }),
    );
    expect(shown["container"]).toEqual({ volumes: [persistent("data", { type: "root", size: 1 })] });
  });

  it("keeps volumes of other kinds and unknown fields, and drops what only answers have", () => {
    const host = { containerPath: "/var/lib/mysql", hostPath: "mysqldata", mode: "RW" };
    const json = samson({
      container: { volumes: [host, persistent("data", { size: 1 })] },
      version: "x",
      tasks: [],
      colour: 1,
    });
    const { shown } = parseAppDefinition(json);
    expect(shown).toMatchObject({ colour: 1, container: { volumes: [host, { containerPath: "data" }] } });
    expect(shown).not.toHaveProperty("version");
    expect(shown).not.toHaveProperty("tasks");
  });

  it("takes types, sizes and constraints of the new form", () => {
    const constraints = [["path", "LIKE", "/mnt/ssd-[0-9]+"]];
    const json = withVolumes(persistent("data", { type: "mount", size: 10, maxSize: 20, constraints }));
    expect(parseAppDefinition(json).volumes).toEqual([
      {
        containerPath: "data",
        size: 10_000,
        type: "MOUNT",
        maxSize: 20_000,
        constraints: [{ operator: "LIKE", pattern: "/mnt/ssd-[0-9]+" }],
      },
    ]);
  });
});

describe("a change of an app", () => {
  const before = recordOf(samson());
  const change = (json: JsonObject, record = before) =>
    violations(() => requireAllowedChange(record, parseAppDefinition(mergeDefinition(record, json))));

  it.each<[string, JsonObject, string]>([
    ["a larger volume", { container: { volumes: [persistent("data", { size: 101 })] } }, "Persistent volumes can not"],
    ["another path", { container: { volumes: [persistent("date", { size: 100 })] } }, "Persistent volumes can not"],
    [
      "one volume more",
      { container: { volumes: [persistent("data", { size: 100 }), persistent("log", { size: 1 })] } },
      "Persistent volumes can not be changed!",
    ],
    ["more memory", { mem: 64 }, "Resident Tasks may not change resource requirements!"],
    ["another role", { role: "web" }, "Resident Tasks may not change their role!"],
  ])("to %s is refused", (_, json, error) => {
    expect(change(json)[0]).toContain(`/ ${error}`);
  });

  it("to other instances, residency or command is allowed, and what is not named stays", () => {
    const json = { instances: 3, cmd: "true", residency: { taskLostBehavior: "RELAUNCH_AFTER_TIMEOUT" } };
    expect(change(json)).toEqual([]);
    const after = parseAppDefinition(mergeDefinition(before, json));
    expect(after).toMatchObject({ instances: 3, role: "ads", shown: { cmd: "true", mem: 32 } });
  });

  it("with what an answer said changes nothing", () => {
    const { shown } = parseAppDefinition(samson());
    expect(change({ ...shown, instances: 1, version: "2026", tasksRunning: 1 })).toEqual([]);
  });

  it("may say of a rebuilt app what its labels did not", () => {
    const { rebuilt, json } = {
      rebuilt: { ...recordOf(withVolumes(persistent("data", { type: "path", size: 1 }))), rebuilt: true as const },
      json: withVolumes(persistent("data", { type: "path", size: 1, constraints: [["path", "LIKE", "/mnt.*"]] })),
    };
    expect(change({ ...json, mem: 64 }, rebuilt)).toEqual([]);
    expect(change(withVolumes(persistent("data", { type: "path", size: 2 })), rebuilt)).toHaveLength(1);
  });
});

function recordOf(json: JsonObject): AppRecord {
  const { shown, ...definition } = parseAppDefinition(json);
  const now = 1 as WallMs;
  return {
    ...definition,
    definition: JSON.stringify(shown),
    members: [],
    createdBy: "ops",
    createdAt: now,
    version: now,
  };
}
