import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AclAction, allows, PERMISSIVE, parseAcls } from "../../src/domain/acl.ts";
import { parsePrincipal } from "../../src/domain/names.ts";
import { invalidMessage } from "./refusals.ts";

const ANY = { type: "ANY" };
const NONE = { type: "NONE" };
const some = (...values: string[]) => ({ values });
const ops = parsePrincipal("ops");
const bob = parsePrincipal("bob");

const OBJECT_KEYS: Readonly<Record<AclAction, string>> = {
  reserve_resources: "roles",
  unreserve_resources: "reserver_principals",
  create_volumes: "roles",
  destroy_volumes: "creator_principals",
  resize_volumes: "roles",
  view_roles: "roles",
  register_frameworks: "roles",
};
const ACTIONS = Object.keys(OBJECT_KEYS) as AclAction[];
const ROLE_ACTIONS = ACTIONS.filter((action) => OBJECT_KEYS[action] === "roles");

type JsonEntity = { readonly type?: string; readonly values?: readonly string[] };
type Pair = readonly [subjects: JsonEntity, objects: JsonEntity];

function aclsOf(action: AclAction, pairs: readonly Pair[], permissive?: boolean) {
  const rules = pairs.map(([principals, objects]) => ({ principals, [OBJECT_KEYS[action]]: objects }));
  return parseAcls({ [action]: rules, ...(permissive === undefined ? {} : { permissive }) });
}

describe("parseAcls refuses", () => {
  it.each([null, undefined, [], "{}", 5])("%o", (value) => {
    expect(invalidMessage(() => parseAcls(value))).toMatch(/^Cannot parse the ACLs: it is /);
  });

  it.each(["reserve_resource", "shutdown_frameworks", "constructor", "Permissive"])(
    "the action %s by its name",
    (name) => {
      const message = invalidMessage(() => parseAcls({ [name]: [] }));
      expect(message).toContain(`key "${name}" is unknown, expected one of permissive, `);
      for (const action of ACTIONS) expect(message).toContain(action);
    },
  );

  it("an own key __proto__", () => {
    expect(invalidMessage(() => parseAcls(JSON.parse('{"__proto__":{}}')))).toContain('key "__proto__" is unknown');
  });

  it.each([
    [5, "rule 1 is 5"],
    [[ANY], 'rule 1: key "type" is unknown, expected one of principals, roles'],
    [[{ principals: ANY }], "rule 1: roles is missing"],
    [[{ roles: ANY }], "rule 1: principals is missing"],
    [[{ principals: ANY, creator_principals: ANY }], 'rule 1: key "creator_principals" is unknown'],
    [[{ principals: "ANY", roles: ANY }], 'rule 1: principals is "ANY"'],
    [[{ principals: ANY, roles: { type: "SOMEBODY" } }], "rule 1: roles: type is "],
    [[{ principals: ANY, roles: { type: "any" } }], "rule 1: roles: type is "],
    [[{ principals: ANY, roles: { value: "ads" } }], 'rule 1: roles: key "value" is unknown'],
    [
      [
        { principals: ANY, roles: some("ads") },
        { principals: { values: [5] }, roles: ANY },
      ],
      "rule 2: principals: values is 5",
    ],
  ])("the rules %o", (rules, expected) => {
    expect(invalidMessage(() => parseAcls({ create_volumes: rules }))).toContain(
      `the ACLs: create_volumes: ${expected}`,
    );
  });

  it("a wrong rule of an action that it does not need", () => {
    expect(invalidMessage(() => parseAcls({ run_tasks: [{ principals: ANY, roles: ANY }] }))).toContain(
      "run_tasks: rule 1",
    );
  });

  it.each([5, "maybe", {}])("permissive: %o", (permissive) => {
    expect(invalidMessage(() => parseAcls({ permissive }))).toContain("the ACLs: permissive is ");
  });

  it("both names of one action", () => {
    expect(invalidMessage(() => parseAcls({ resize_volume: [], resize_volumes: [] }))).toContain("given twice");
  });
});

describe("parseAcls", () => {
  it("takes an empty file for permissive", () => {
    expect(parseAcls({})).toEqual(PERMISSIVE);
    expect(parseAcls({ permissive: null, create_volumes: null })).toEqual(PERMISSIVE);
  });

  it.each([false, "false"])("takes permissive: %o", (permissive) => {
    expect(parseAcls({ permissive }).permissive).toBe(false);
  });

  it("takes a single rule for a list of one and a single value for a list of one", () => {
    const acls = parseAcls({ permissive: false, view_roles: { principals: { values: "ops" }, roles: ANY } });
    expect(allows(acls, "view_roles", ops, "ads")).toBe(true);
    expect(allows(acls, "view_roles", bob, "ads")).toBe(false);
  });

  it.each(["resize_volume", "resize_volumes"])("knows the action %s", (name) => {
    const acls = parseAcls({ [name]: [{ principals: NONE, roles: ANY }] });
    expect(allows(acls, "resize_volumes", ops, "ads")).toBe(false);
  });

  it("takes actions of Mesos that do not concern disk", () => {
    const acls = parseAcls({
      update_quotas: [{ principals: NONE, roles: ANY }],
      run_tasks: [{ principals: ANY, users: some("guest") }],
      get_endpoints: [{ principals: ANY, paths: ANY }],
      view_flags: [{ principals: ANY, flags: NONE }],
      drain_agents: [{ principals: ANY, agents: ANY }],
      start_maintenances: [{ principals: ANY, machines: ANY }],
      prune_images: [{ principals: ANY, images: ANY }],
      teardown_frameworks: [{ principals: ANY, framework_principals: ANY }],
      set_log_level: [{ principals: ANY, level: ANY }],
      access_mesos_logs: [{ principals: ANY, logs: ANY }],
      view_resource_providers: [{ principals: ANY, resource_providers: ANY }],
    });
    expect(acls).toEqual(PERMISSIVE);
  });
});

describe.each(ACTIONS)("allows %s", (action) => {
  it.each([true, false])("what no rule matches by permissive: %s", (permissive) => {
    expect(allows(aclsOf(action, [], permissive), action, ops, "x")).toBe(permissive);
    expect(allows(aclsOf(action, [[some("bob"), ANY]], permissive), action, ops, "x")).toBe(permissive);
    expect(allows(aclsOf(action, [[{}, ANY]], permissive), action, ops, "x")).toBe(permissive);
  });

  it("nothing by the rules of another action", () => {
    const other = ACTIONS[(ACTIONS.indexOf(action) + 1) % ACTIONS.length] as AclAction;
    expect(allows(aclsOf(other, [[ANY, ANY]], false), action, ops, "x")).toBe(false);
  });

  // The verdict of one rule; where it does not match, of `permissive`, which is the opposite of what the rule says.
  const entities = { ANY, NONE, listed: some("ops", "x"), others: some("bob", "y") } as const;
  type Name = keyof typeof entities;
  const names = Object.keys(entities) as Name[];
  const matching: Readonly<Record<"value" | "undefined", readonly Name[]>> = {
    value: ["ANY", "NONE", "listed"],
    undefined: ["ANY", "NONE"],
  };
  const cases = names.flatMap((subjects) =>
    names.flatMap((objects) =>
      [ops, undefined].flatMap((principal) =>
        ["x", undefined].map((object) => ({ subjects, objects, principal, object })),
      ),
    ),
  );
  it.each(cases)("by principals $subjects, objects $objects: $principal on $object", (one) => {
    const matches =
      matching[one.principal === undefined ? "undefined" : "value"].includes(one.subjects) &&
      matching[one.object === undefined ? "undefined" : "value"].includes(one.objects);
    const verdict = one.subjects !== "NONE" && one.objects !== "NONE";
    const acls = aclsOf(action, [[entities[one.subjects], entities[one.objects]]], !verdict);
    expect(allows(acls, action, one.principal, one.object)).toBe(matches ? verdict : !verdict);
  });

  it("by the first rule that matches, whatever comes later", () => {
    const acls = aclsOf(action, [
      [some("ops"), some("x")],
      [NONE, some("x")],
      [ANY, some("x", "y")],
      [some("ops"), NONE],
    ]);
    expect(allows(acls, action, ops, "x")).toBe(true);
    expect(allows(acls, action, bob, "x")).toBe(false);
    expect(allows(acls, action, bob, "y")).toBe(true);
    expect(allows(acls, action, ops, "z")).toBe(false);
    expect(allows(acls, action, bob, "z")).toBe(true);
  });

  it("as values that ANY and NONE carry were not there", () => {
    expect(allows(aclsOf(action, [[ANY, { type: "NONE", values: ["a/%"] }]], true), action, ops, "a/b")).toBe(false);
    expect(allows(aclsOf(action, [[ANY, { type: "ANY", values: ["y"] }]], false), action, ops, "x")).toBe(true);
  });

  it("an empty value only where it is listed", () => {
    const acls = aclsOf(action, [[ANY, some("")]], false);
    expect(allows(acls, action, ops, "")).toBe(true);
    expect(allows(acls, action, ops, undefined)).toBe(false);
  });
});

describe.each(ROLE_ACTIONS)("allows %s on roles below another", (action) => {
  const acls = aclsOf(action, [[some("ops"), some("eng/%", "ads")]], false);
  it.each([
    ["eng/web", true],
    ["eng/web/blue", true],
    ["eng", false],
    ["engine", false],
    ["engine/web", false],
    ["eng/%", true],
    ["ads", true],
    ["ads/web", false],
    [undefined, false],
  ])("%s: %s", (role, expected) => {
    expect(allows(acls, action, ops, role)).toBe(expected);
    expect(allows(acls, action, bob, role)).toBe(false);
    expect(allows(acls, action, undefined, role)).toBe(false);
  });

  it("by a refusal that comes first", () => {
    const denied = aclsOf(
      action,
      [
        [NONE, some("eng/secret/%")],
        [ANY, some("eng/%")],
      ],
      false,
    );
    expect(allows(denied, action, ops, "eng/secret/a")).toBe(false);
    expect(allows(denied, action, ops, "eng/secret")).toBe(true);
    expect(allows(denied, action, undefined, "eng/web")).toBe(true);
  });

  it("in the place of the rule that mixes both", () => {
    const mixed = aclsOf(action, [
      [some("ops"), some("a", "b/%")],
      [ANY, NONE],
    ]);
    expect(allows(mixed, action, ops, "a")).toBe(true);
    expect(allows(mixed, action, ops, "b/c")).toBe(true);
    expect(allows(mixed, action, ops, "b")).toBe(false);
    expect(allows(mixed, action, bob, "b/c")).toBe(false);
  });
});

describe.each(["unreserve_resources", "destroy_volumes"] as const)("allows %s", (action) => {
  it("on principals that look like a role below another only by their whole name", () => {
    const acls = aclsOf(action, [[ANY, some("eng/%")]], false);
    expect(allows(acls, action, ops, "eng/web")).toBe(false);
    expect(allows(acls, action, ops, "eng/%")).toBe(true);
  });
});

describe("allows", () => {
  /** Mesos's evaluation, word for word: entities with a type, the two matrices, rules split before they are asked. */
  type Typed = { readonly type: "SOME" | "ANY" | "NONE"; readonly values: readonly string[] };
  const subset = (request: Typed, acl: Typed) => request.values.every((value) => acl.values.includes(value));
  const matches = (request: Typed, acl: Typed): boolean => {
    if (request.type === "ANY") return acl.type !== "SOME";
    return acl.type !== "SOME" || subset(request, acl);
  };
  const permits = (request: Typed, acl: Typed): boolean => {
    if (request.type === "ANY") return acl.type === "ANY";
    return acl.type === "ANY" || (acl.type === "SOME" && subset(request, acl));
  };
  const request = (value: string | undefined): Typed =>
    value === undefined ? { type: "ANY", values: [] } : { type: "SOME", values: [value] };

  function mesos(
    rules: readonly (readonly [Typed, Typed])[],
    permissive: boolean,
    who?: string,
    what?: string,
  ): boolean {
    const split = rules.flatMap(([subjects, objects]): (readonly [Typed, Typed])[] => {
      if (objects.type !== "SOME") return [[subjects, objects]];
      const below = objects.values.filter((value) => value.endsWith("/%"));
      const plain = objects.values.filter((value) => !value.endsWith("/%"));
      const parts = below.map((value): Typed => ({ type: "SOME", values: [value] }));
      if (plain.length > 0) parts.push({ type: "SOME", values: plain });
      return parts.map((part) => [subjects, part]);
    });
    for (const [subjects, objects] of split) {
      const [pattern] = objects.values;
      const recursive = objects.type === "SOME" && objects.values.length === 1 && pattern?.endsWith("/%") === true;
      if (recursive && !(what?.startsWith(pattern.slice(0, -1)) ?? false)) continue;
      const effective: Typed = recursive ? { type: "ANY", values: [] } : objects;
      if (matches(request(who), subjects) && matches(request(what), effective)) {
        return permits(request(who), subjects) && permits(request(what), effective);
      }
    }
    return permissive;
  }

  it("says what Mesos says, for any rules on roles", () => {
    const entity = (...values: string[]): fc.Arbitrary<Typed> =>
      fc.oneof(
        fc.constantFrom<Typed>({ type: "ANY", values: [] }, { type: "NONE", values: [] }),
        fc.subarray(values).map((chosen): Typed => ({ type: "SOME", values: chosen })),
      );
    const rule = fc.tuple(entity("ops", "bob", "eve"), entity("a", "b", "a/%", "a/b", "a/b/%", "%", "/%"));
    const who = fc.option(fc.constantFrom("ops", "bob", "zoe"), { nil: undefined });
    const what = fc.option(fc.constantFrom("a", "b", "a/b", "a/b/c", "ab", "c", ""), { nil: undefined });
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 5 }), fc.boolean(), who, what, (rules, permissive, name, object) => {
        const acls = aclsOf("create_volumes", rules, permissive);
        const principal = name === undefined ? undefined : parsePrincipal(name);
        expect(allows(acls, "create_volumes", principal, object)).toBe(mesos(rules, permissive, name, object));
      }),
      { numRuns: 2000 },
    );
  });
});
