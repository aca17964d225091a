/** The schemas' refusals in our words; what is read is strict, so an unknown field is refused by its name. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { show } from "../../domain/refusal.ts";
import { parseForm } from "./form.ts";

const FIELDS_SHOWN = 3;

/** A string that is well-formed Unicode. */
export const text = z.string().refine((value) => value.isWellFormed(), "expected well-formed Unicode");

/** @throws `invalid` with the first thing that is wrong */
export function parseWith<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new HoldfastError("invalid", `Cannot parse ${what}: ${issue === undefined ? "it is wrong" : explain(issue)}`);
}

/** The query of an address. @throws `invalid` */
export function parseQuery<Schema extends z.ZodType>(schema: Schema, request: FastifyRequest): z.output<Schema> {
  const url = request.raw.url ?? "";
  const start = url.indexOf("?");
  const query = start < 0 ? "" : url.slice(start + 1);
  return parseWith(schema, Object.fromEntries(parseForm(query)), "the query");
}

function explain(issue: z.core.$ZodIssue): string {
  const place = issue.path.reduce<string>(
    (path, step) => (typeof step === "number" ? `${path}[${step}]` : `${path}${path === "" ? "" : "."}${String(step)}`),
    "",
  );
  const subject = place === "" ? "it" : place;
  if (issue.code === "unrecognized_keys") {
    return `${subject} has the unknown field ${issue.keys.slice(0, FIELDS_SHOWN).map(show).join(", ")}`;
  }
  return `${subject} is wrong, ${issue.message.replace(/^Invalid (?:input|option): /, "")}`;
}
