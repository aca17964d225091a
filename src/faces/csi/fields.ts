/** The fields of CSI's requests, each with the specification's limits. What is wrong is INVALID_ARGUMENT and named. */
import { z } from "zod";
import { parseWith, text } from "../http/schema.ts";

/** Of every string that has no limit of its own. */
export const STRING_BYTES_MAX = 128;
const MAP_BYTES_MAX = 4 * 1024;
const PATH_BYTES_MAX = 4096;
/** Control characters but for the usual white space. */
const BANNED = /(?![\t\n\r])\p{Cc}/u;
const CONTROL = /\p{Cc}/u;

const short = text.refine(
  (value) => Buffer.byteLength(value) <= STRING_BYTES_MAX,
  `expected at most ${STRING_BYTES_MAX} bytes`,
);

/** A string that may be empty. */
export const optionalText = short;
/** A string that must be there. */
export const requiredText = short.min(1, "expected a value, none was given");
/** What a volume or snapshot shall be called. */
export const nameToBe = requiredText.refine((value) => !BANNED.test(value), "expected no control characters");

export const stringMap = z
  .record(z.string(), z.string())
  .refine((map) => bytesOf(map) <= MAP_BYTES_MAX, `expected at most ${MAP_BYTES_MAX} bytes in all`);

/** Absolute, and without repeated or final slashes; `.` and `..` in it are refused, they lead elsewhere. */
export const requiredPath = text.transform((value, context) => {
  const reason = whyNoPath(value);
  if (reason === undefined) return `/${stepsOf(value).join("/")}`;
  context.addIssue({ code: "custom", message: reason });
  return z.NEVER;
});

/** Zero is "not said". */
const size = z.string().transform((value, context) => {
  const bytes = BigInt(value);
  if (bytes >= 0n) return bytes;
  context.addIssue({ code: "custom", message: "expected no negative number" });
  return z.NEVER;
});

export const capacityRange = z
  .object({ required_bytes: size, limit_bytes: size })
  .refine(
    ({ required_bytes, limit_bytes }) => required_bytes > 0n || limit_bytes > 0n,
    "expected required_bytes, limit_bytes or both",
  );

export const entries = z.number().int().min(0, "expected no negative number");

/** @throws `invalid` with the first thing that is wrong */
export function parseRequest<Schema extends z.ZodType>(schema: Schema, request: unknown): z.output<Schema> {
  return parseWith(schema, request, "the request");
}

function whyNoPath(value: string): string | undefined {
  if (value === "") return "expected a path, none was given";
  if (!value.startsWith("/")) return "expected an absolute path";
  if (Buffer.byteLength(value) > PATH_BYTES_MAX) return `expected at most ${PATH_BYTES_MAX} bytes`;
  if (CONTROL.test(value)) return "expected no control characters";
  const steps = stepsOf(value);
  if (steps.length === 0) return "expected a path below /";
  return steps.some((step) => step === "." || step === "..") ? "expected no . and .. in it" : undefined;
}

function stepsOf(path: string): string[] {
  return path.split("/").filter((step) => step !== "");
}

function bytesOf(map: Readonly<Record<string, string>>): number {
  return Object.entries(map).reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
}
