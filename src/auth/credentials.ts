/**
 * Who may log in: Mesos's credentials file, `{"credentials": [{"principal": "ops", "secret": "s3cret"}]}`. A secret may
 * be hashed instead (`holdfast hash-secret`). Refused: two entries of one principal, and principals that HTTP Basic
 * cannot carry.
 */
import { hash } from "node:crypto";
import { z } from "zod";
import { HoldfastError } from "../domain/error.ts";
import { show } from "../domain/refusal.ts";
import type { Principal } from "../domain/units.ts";
import { readJsonFile } from "./json-file.ts";
import { type HashedSecret, parseHashedSecret } from "./scrypt.ts";

/** A secret is never kept as it is: a plain one as its SHA-256. */
export type Secret =
  | { readonly kind: "plain"; readonly digest: Buffer }
  | { readonly kind: "hashed"; readonly hashed: HashedSecret };

export type Credentials = ReadonlyMap<Principal, Secret>;

export interface CredentialsFile {
  readonly credentials: Credentials;
  /** Sentences for the log: what works but should not be so. */
  readonly warnings: readonly string[];
}

const text = (expected: string) =>
  z
    .string({ error: expected })
    .min(1, expected)
    .refine((value) => value.isWellFormed(), expected);

const MISTAKES_SHOWN = 5;
const PRINCIPAL_FORM = 'a principal without ":" and control characters';

const SCHEMA = z.strictObject(
  {
    credentials: z.array(
      z.strictObject(
        {
          principal: text(PRINCIPAL_FORM).refine((value) => !/[:\p{Cc}]/u.test(value), PRINCIPAL_FORM),
          secret: text("a secret"),
        },
        { error: (issue) => (issue.code === "unrecognized_keys" ? undefined : "an object with principal and secret") },
      ),
      { error: "a list" },
    ),
  },
  { error: (issue) => (issue.code === "unrecognized_keys" ? undefined : 'an object such as {"credentials": []}') },
);

/**
 * Reads the file.
 * @throws `invalid` naming file, place and reason; no message quotes a secret
 */
export async function readCredentialsFile(path: string): Promise<CredentialsFile> {
  const { value, mode } = await readJsonFile("credentials", path);
  const credentials = parseCredentials(value, path);
  const warnings: string[] = [];
  if ((mode & 0o007) !== 0) warnings.push(`Credentials ${path} are open to every local user, expected mode 0600`);
  if (credentials.size === 0) warnings.push(`Credentials ${path} are empty, nobody can log in`);
  return { credentials, warnings };
}

/**
 * The credentials of a JSON value; `origin` names it in messages.
 * @throws `invalid`
 */
export function parseCredentials(value: unknown, origin: string): Credentials {
  const { data, error } = SCHEMA.safeParse(value);
  if (error !== undefined) throw refused(origin, describe(error.issues));
  const credentials = new Map<Principal, Secret>();
  for (const [index, { principal, secret }] of data.credentials.entries()) {
    const place = `credentials[${index}]`;
    if (credentials.has(principal as Principal)) throw refused(origin, `${place}.principal appears twice`);
    credentials.set(principal as Principal, secretOf(secret) ?? unhashed(origin, place));
  }
  return credentials;
}

/** SHA-256 of a secret: of equal length for all, so that they can be compared in constant time. */
export function digestOf(secret: string): Buffer {
  return hash("sha256", secret, "buffer");
}

function secretOf(secret: string): Secret | undefined {
  if (!secret.startsWith("scrypt$")) return { kind: "plain", digest: digestOf(secret) };
  const hashed = parseHashedSecret(secret);
  return hashed && { kind: "hashed", hashed };
}

function unhashed(origin: string, place: string): never {
  throw refused(origin, `${place}.secret is not a valid hash, expected what holdfast hash-secret prints`);
}

function describe(issues: readonly z.core.$ZodIssue[]): string {
  const shown = issues.slice(0, MISTAKES_SHOWN).map(mistakeOf);
  const more = issues.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more mistakes`] : [])].join("; ");
}

function mistakeOf(issue: z.core.$ZodIssue): string {
  const place = issue.path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .slice(1);
  const subject = place === "" ? "the top" : place;
  if (issue.code === "unrecognized_keys") return `${subject} has the unknown key ${show(issue.keys[0])}`;
  return `${subject} is missing or wrong, expected ${issue.message}`;
}

function refused(origin: string, reason: string): HoldfastError {
  return new HoldfastError("invalid", `Cannot use credentials ${origin}: ${reason}`);
}
