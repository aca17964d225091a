/**
 * What an API server knows of some kinds of objects, in little: `schema.json` is made of the OpenAPI description that the
 * one of `npm run test:kubernetes` gives, so that manifests can be checked where no Kubernetes is.
 */

/** Of a field: a plain type, `T[]`, `{T}` for a map, or `#NAME` for a definition. */
type FieldType = string;

export interface Schema {
  /** Definitions by `apiVersion kind`. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly definitions: Readonly<Record<string, Definition>>;
}

interface Definition {
  readonly fields: Readonly<Record<string, FieldType>>;
  readonly required: readonly string[];
}

/** What an API server says at `/openapi/v2`, as far as it is read here. */
export interface OpenApi {
  readonly definitions: Readonly<Record<string, OpenApiType>>;
}

interface OpenApiType {
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly items?: OpenApiType;
  readonly properties?: Readonly<Record<string, OpenApiType>>;
  readonly additionalProperties?: OpenApiType;
  readonly required?: readonly string[];
  readonly "x-kubernetes-group-version-kind"?: readonly {
    readonly group: string;
    readonly version: string;
    readonly kind: string;
  }[];
}

const PREFIX = "#/definitions/";
/** A number, or text that is read as one. */
const EITHER = "either";

/** The schema of these kinds (`apps/v1 DaemonSet`) and of all that they consist of. */
export function schemaOf({ definitions }: OpenApi, wanted: readonly string[]): Schema {
  const kinds: Record<string, string> = {};
  for (const [name, type] of Object.entries(definitions)) {
    for (const { group, version, kind } of type["x-kubernetes-group-version-kind"] ?? []) {
      const key = `${group === "" ? version : `${group}/${version}`} ${kind}`;
      if (wanted.includes(key)) kinds[key] = name;
    }
  }
  const found: Record<string, Definition> = {};
  const todo = Object.values(kinds);
  for (const name of todo) {
    if (found[name] !== undefined) continue;
    const { properties = {}, required = [] } = definitions[name] ?? {};
    const fields = Object.entries(properties).map(([field, type]) => [field, printType(type, definitions)] as const);
    found[name] = { fields: Object.fromEntries(fields), required };
    for (const [, type] of fields) {
      const inner = /#(?<name>[\w.-]+)/.exec(type)?.groups?.["name"];
      if (inner !== undefined) todo.push(inner);
    }
  }
  const sorted = Object.fromEntries(Object.entries(found).sort(([left], [right]) => (left < right ? -1 : 1)));
  return { kinds, definitions: sorted };
}

function printType(type: OpenApiType, definitions: OpenApi["definitions"]): FieldType {
  if (type.$ref !== undefined) {
    const name = type.$ref.slice(PREFIX.length);
    const meant = definitions[name] ?? {};
    return meant.properties === undefined ? printType(meant, definitions) : `#${name}`;
  }
  if (type.items !== undefined) return `${printType(type.items, definitions)}[]`;
  if (type.additionalProperties !== undefined) return `{${printType(type.additionalProperties, definitions)}}`;
  if (type.format === "int-or-string") return EITHER;
  return type.type ?? "object";
}

/** What is wrong with an object, by the places of its mistakes. */
export function mistakesIn(schema: Schema, value: unknown): readonly string[] {
  const { apiVersion, kind } = value as { readonly apiVersion: string; readonly kind: string };
  const name = schema.kinds[`${apiVersion} ${kind}`];
  return name === undefined ? [`${apiVersion} ${kind}: unknown`] : check(schema, value, `#${name}`, kind).toSorted();
}

function check(schema: Schema, value: unknown, type: FieldType, place: string): readonly string[] {
  if (type.endsWith("[]")) {
    if (!Array.isArray(value)) return [`${place}: expected a list`];
    return value.flatMap((item: unknown, index) => check(schema, item, type.slice(0, -2), `${place}[${index}]`));
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (type.startsWith("{")) {
    if (!isObject) return [`${place}: expected a map`];
    return Object.entries(value).flatMap(([key, item]) => check(schema, item, type.slice(1, -1), `${place}.${key}`));
  }
  if (!type.startsWith("#")) return isPlain(value, type) ? [] : [`${place}: expected ${type}`];
  const definition = schema.definitions[type.slice(1)];
  if (!isObject || definition === undefined) return [`${place}: expected an object`];
  const missing = definition.required.filter((field) => !Object.hasOwn(value, field));
  return [
    ...missing.map((field) => `${place}.${field}: missing`),
    ...Object.entries(value).flatMap(([field, item]) => {
      const inner = definition.fields[field];
      return inner === undefined ? [`${place}.${field}: unknown`] : check(schema, item, inner, `${place}.${field}`);
    }),
  ];
}

function isPlain(value: unknown, type: FieldType): boolean {
  if (type === EITHER) return typeof value === "string" || Number.isInteger(value);
  if (type === "integer") return Number.isInteger(value);
  return typeof value === type;
}
