/**
 * Strict checks of parsed JSON, in place: nothing is copied, because a node's start checks every record it has. A form
 * knows every field of its type, so a new field is a compile error until its form is written.
 */

import { show } from "../domain/refusal.ts";

/** What needs no quotes in a message, and is short. */
const PLAIN_NAME = /^\w{1,40}$/;

/** Says what is wrong, `undefined` if nothing is. The type parameter is what the value is then. */
export interface Form<out Value> {
  (value: unknown): string | undefined;
  readonly proves?: Value;
}

interface OptionalForm<out Value> {
  readonly optional: Form<Value>;
}

type Fields<Value> = {
  readonly [Key in keyof Value]-?: Record<never, never> extends Pick<Value, Key>
    ? OptionalForm<Required<Value>[Key]>
    : Form<Value[Key]>;
};

export function optional<Value>(form: Form<Value>): OptionalForm<Value> {
  return { optional: form };
}

/** An object with exactly these fields. */
export function object<Value extends object>(fields: Fields<Value>): Form<Value> {
  const forms = new Map<string, { readonly form: Form<unknown>; readonly required: number }>();
  let requiredCount = 0;
  for (const [name, field] of Object.entries<Form<unknown> | OptionalForm<unknown>>(fields)) {
    const form = "optional" in field ? field.optional : field;
    const required = form === field ? 1 : 0;
    forms.set(name, { form, required });
    requiredCount += required;
  }
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "expected an object";
    let found = 0;
    for (const name in value) {
      const field = forms.get(name);
      if (field === undefined) return `${PLAIN_NAME.test(name) ? name : show(name)}: unknown`;
      const reason = field.form((value as Record<string, unknown>)[name]);
      if (reason !== undefined) return `${name}: ${reason}`;
      found += field.required;
    }
    if (found === requiredCount) return undefined;
    const missing = [...forms].find(([name, { required }]) => required === 1 && !Object.hasOwn(value, name));
    return `${missing?.[0]}: missing`;
  };
}

/** One of several objects, told apart by one field. */
export function variants<Value extends object, Tag extends keyof Value & string>(
  tag: Tag,
  forms: { readonly [Name in Value[Tag] & string]: Form<Extract<Value, Record<Tag, Name>>> },
): Form<Value> {
  const byName = new Map(Object.entries<Form<unknown>>(forms));
  return (value) => {
    const name = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[tag] : undefined;
    const form = typeof name === "string" ? byName.get(name) : undefined;
    return form === undefined ? `${tag}: expected ${[...byName.keys()].join(" or ")}` : form(value);
  };
}

export function array<Value>(form: Form<Value>): Form<readonly Value[]> {
  return (value) => {
    if (!Array.isArray(value)) return "expected an array";
    for (let at = 0; at < value.length; at += 1) {
      const reason = form(value[at]);
      if (reason !== undefined) return `${at}: ${reason}`;
    }
    return undefined;
  };
}

export function oneOf<const Value extends string>(...allowed: readonly Value[]): Form<Value> {
  return (value) => ((allowed as readonly unknown[]).includes(value) ? undefined : `expected ${allowed.join(" or ")}`);
}

export function string<Value extends string = string>(pattern: RegExp): Form<Value> {
  return (value) => (typeof value === "string" && pattern.test(value) ? undefined : `expected text like ${pattern}`);
}

/** A non-negative safe integer. */
export function integer<Value extends number = number>(): Form<Value> {
  return (value) => (Number.isSafeInteger(value) && (value as number) >= 0 ? undefined : "expected a whole number");
}

/** A finite number, not negative. */
export function measure(): Form<number> {
  return (value) => (Number.isFinite(value) && (value as number) >= 0 ? undefined : "expected a number");
}

/** A mark: it is there or it is not. */
export function set(): Form<true> {
  return (value) => (value === true ? undefined : "expected true");
}

export function boolean(): Form<boolean> {
  return (value) => (typeof value === "boolean" ? undefined : "expected true or false");
}
