/** Secrets as they may lie in a file: `scrypt$<logN>$<r>$<p>$<salt base64>$<hash base64>`. */
import { type BinaryLike, randomBytes, type ScryptOptions, scrypt } from "node:crypto";
import { promisify } from "node:util";

export interface HashedSecret {
  /** Cost: 2^logN rounds over blocks of r * 128 bytes, p times. */
  readonly logN: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** 32 MiB and some 60 ms. */
const COST = { logN: 15, r: 8, p: 1 } as const;

const MEMORY_BYTES_MAX = 128 * 1024 * 1024;

const HASHED = /^scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$/;

const derive = promisify<BinaryLike, BinaryLike, number, ScryptOptions, Buffer>(scrypt);

/** The form of a secret that a credentials file may hold instead of the secret itself. */
export async function hashSecret(secret: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await deriveHash(secret, { ...COST, salt, hash: Buffer.alloc(32) });
  return ["scrypt", COST.logN, COST.r, COST.p, salt.toString("base64"), hash.toString("base64")].join("$");
}

/** What this secret's hash would be with the cost, salt and length of another one. */
export function deriveHash(secret: string, { logN, r, p, salt, hash }: HashedSecret): Promise<Buffer> {
  const N = 2 ** logN;
  return derive(secret, salt, hash.length, { N, r, p, maxmem: 2 * memoryBytes(logN, r) });
}

/** `undefined` when it has another form, or a cost below 2^10 rounds or above 128 MiB. */
export function parseHashedSecret(text: string): HashedSecret | undefined {
  const parts = HASHED.exec(text);
  if (parts === null) return undefined;
  const [logN = 0, r = 0, p = 0] = parts.slice(1, 4).map(Number);
  const [salt, hash] = parts.slice(4).map((base64) => Buffer.from(base64, "base64"));
  if (salt === undefined || hash === undefined || salt.length < 8 || hash.length < 16 || hash.length > 64)
    return undefined;
  const affordable = memoryBytes(logN, r) <= MEMORY_BYTES_MAX && p <= 16;
  return logN >= 10 && r >= 1 && p >= 1 && affordable ? { logN, r, p, salt, hash } : undefined;
}

function memoryBytes(logN: number, r: number): number {
  return 128 * r * 2 ** logN;
}
