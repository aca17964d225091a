/**
 * Who may do what, by Mesos's ACLs: for each action a list of rules, each of subjects (principals) and objects (roles,
 * or principals). The first rule that matches decides, and `permissive` where none does.
 *
 * A rule can match and still deny: `NONE` matches everybody and allows nobody, which makes it the explicit refusal.
 * Somebody without a principal stands for ANY: no list of principals matches them, so only rules of ANY and NONE do.
 */
import { OBJECT_KEYS } from "./acl-actions.ts";
import { fieldOf, type JsonObject, listOf, parseBoolean, parseObject, parseString, parseWord } from "./json.ts";
import { refuse, show } from "./refusal.ts";
import type { Principal } from "./units.ts";

/** What is asked about; every other action of a file is none of Holdfast's business. */
const ACL_ACTIONS = [
  "reserve_resources",
  "unreserve_resources",
  "create_volumes",
  "destroy_volumes",
  "resize_volumes",
  "view_roles",
  "register_frameworks",
] as const;

export type AclAction = (typeof ACL_ACTIONS)[number];

type Entity =
  | { readonly type: "ANY" }
  | { readonly type: "NONE" }
  | { readonly type: "SOME"; readonly values: ReadonlySet<string> }
  /** Every role strictly below one: `eng/%` in the file; the prefix is `eng/`. */
  | { readonly type: "BELOW"; readonly prefix: string };

interface Rule {
  readonly subjects: Entity;
  readonly objects: Entity;
}

export interface Acls {
  /** The verdict where no rule matches. */
  readonly permissive: boolean;
  readonly rules: Readonly<Record<AclAction, readonly Rule[]>>;
}

const RECURSIVE = "/%";

/** No rules: everything is allowed. */
export const PERMISSIVE: Acls = makeAcls(true, new Map());

/**
 * Reads Mesos's ACL file, decoded. Actions that do not concern disk are checked for their form and left out.
 * @throws `invalid` an unknown action or key, or a value of the wrong type
 */
export function parseAcls(value: unknown, what = "the ACLs"): Acls {
  const file = parseObject(value, what);
  const rules = new Map<string, readonly Rule[]>();
  for (const action of Object.keys(file).filter((key) => key !== "permissive")) {
    const objectKey = OBJECT_KEYS.get(action);
    if (objectKey === undefined) return refuseKey(action, ["permissive", ...OBJECT_KEYS.keys()], what);
    const target = action === "resize_volume" ? "resize_volumes" : action;
    if (rules.has(target)) refuse(`${what}: ${action}`, "given twice", "either resize_volume or resize_volumes");
    const place = (index: number) => `${what}: ${action}: rule ${index + 1}`;
    rules.set(
      target,
      listOf(fieldOf(file, action)).flatMap((rule, index) => parseRule(rule, objectKey, place(index))),
    );
  }
  const permissive = fieldOf(file, "permissive") ?? true;
  return makeAcls(parseBoolean(permissive, `${what}: permissive`), rules);
}

/** Whether the ACLs let a principal (`undefined`: nobody in particular) do this to an object (`undefined`: any). */
export function allows(
  acls: Acls,
  action: AclAction,
  principal: Principal | undefined,
  object: string | undefined,
): boolean {
  const rule = acls.rules[action].find(
    ({ subjects, objects }) => matches(subjects, principal) && matches(objects, object),
  );
  return rule === undefined ? acls.permissive : permits(rule.subjects, principal) && permits(rule.objects, object);
}

/**
 * | request   | SOME     | BELOW    | NONE | ANY |
 * |-----------|----------|----------|------|-----|
 * | a value   | listed   | below it | yes  | yes |
 * | undefined | no       | no       | yes  | yes |
 */
function matches(entity: Entity, value: string | undefined): boolean {
  switch (entity.type) {
    case "ANY":
    case "NONE":
      return true;
    case "SOME":
      return value !== undefined && entity.values.has(value);
    case "BELOW":
      return value?.startsWith(entity.prefix) ?? false;
  }
}

/** As `matches`, except that NONE permits nothing. */
function permits(entity: Entity, value: string | undefined): boolean {
  return entity.type !== "NONE" && matches(entity, value);
}

/** One rule of the file, as several where roles with and without `/%` are mixed: the recursive ones come first. */
function parseRule(value: unknown, objectKey: string, what: string): readonly Rule[] {
  const rule = parseObject(value, what);
  requireKeys(rule, ["principals", objectKey], what);
  const subjects = parseEntity(fieldOf(rule, "principals"), `${what}: principals`);
  const objects = parseEntity(fieldOf(rule, objectKey), `${what}: ${objectKey}`);
  const split = objectKey === "roles" && objects.type === "SOME" ? splitRoles(objects.values) : [objects];
  return split.map((part) => ({ subjects, objects: part }));
}

function parseEntity(value: unknown, what: string): Entity {
  const entity = parseObject(value, what);
  requireKeys(entity, ["type", "values"], what);
  const type = parseWord(fieldOf(entity, "type") ?? "SOME", ["SOME", "ANY", "NONE"], `${what}: type`);
  const values = listOf(fieldOf(entity, "values")).map((item) => parseString(item, `${what}: values`));
  return type === "SOME" ? { type, values: new Set(values) } : { type };
}

function splitRoles(roles: ReadonlySet<string>): readonly Entity[] {
  const below = [...roles].filter((role) => role.endsWith(RECURSIVE));
  const plain = [...roles].filter((role) => !role.endsWith(RECURSIVE));
  return [
    ...below.map((role): Entity => ({ type: "BELOW", prefix: role.slice(0, -1) })),
    { type: "SOME", values: new Set(plain) },
  ];
}

function makeAcls(permissive: boolean, rules: ReadonlyMap<string, readonly Rule[]>): Acls {
  const entries = ACL_ACTIONS.map((action) => [action, rules.get(action) ?? []] as const);
  return { permissive, rules: Object.fromEntries(entries) as Acls["rules"] };
}

function requireKeys(object: JsonObject, known: readonly string[], what: string): void {
  const unknown = Object.keys(object).find((key) => !known.includes(key));
  if (unknown !== undefined) refuseKey(unknown, known, what);
}

function refuseKey(key: string, known: readonly string[], what: string): never {
  return refuse(`${what}: key ${show(key)}`, "unknown", `one of ${known.join(", ")}`);
}
