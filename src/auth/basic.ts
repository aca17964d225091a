/**
 * HTTP Basic authentication. Whether a principal exists cannot be told from the time of a refusal: an unknown one is
 * compared with a secret that nobody has, and where any secret of the file is hashed, every refusal costs one scrypt.
 * Verified secrets are remembered for a while, so that scrypt is not the price of every request.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { performance } from "node:perf_hooks";
import type { Actor } from "../domain/operation.ts";
import type { Principal } from "../domain/units.ts";
import type { Authenticator } from "../ports/authenticator.ts";
import { type Login, parseBasicHeader } from "./basic-header.ts";
import { type Credentials, digestOf, type Secret } from "./credentials.ts";
import { createLimiter } from "./limiter.ts";
import { deriveHash, type HashedSecret } from "./scrypt.ts";

export interface BasicOptions {
  /** What hashes a secret; a test counts its calls. */
  readonly derive?: (secret: string, like: HashedSecret) => Promise<Buffer>;
  /** Milliseconds of a clock that never jumps. */
  readonly nowMs?: () => number;
}

const CACHE_MS = 5 * 60_000;
const CACHE_ENTRIES_MAX = 1000;

/** Each scrypt takes 32 MiB and a core. */
const SCRYPT_LIMITS = { running: 2, waiting: 64 };

/** A digest that no secret has. */
const NOBODY = { kind: "plain", digest: randomBytes(32) } as const satisfies Secret;

const ANONYMOUS: Actor = Object.freeze({ kind: "anonymous" });

const OPEN: Authenticator = {
  required: false,
  authenticate: async () => ANONYMOUS,
  secretMark: () => undefined,
};

/**
 * Knows these principals; without credentials everybody is anonymous. Credentials that change need a new one: what it
 * remembers of the old ones dies with it.
 */
export function createBasicAuthenticator(
  credentials: Credentials | undefined,
  options: BasicOptions = {},
): Authenticator {
  if (credentials === undefined) return OPEN;
  const decoy = decoyOf(credentials);
  const verifyHashed = createHashedVerifier(options);

  /** @throws `unavailable` when too many wait for scrypt */
  async function verify(login: Login): Promise<boolean> {
    const secret = credentials?.get(login.principal as Principal) ?? NOBODY;
    const plain = secret.kind === "plain" ? secret : NOBODY;
    if (timingSafeEqual(digestOf(login.secret), plain.digest)) return true;
    if (decoy === undefined) return false;
    return verifyHashed(login, secret.kind === "hashed" ? secret.hashed : decoy);
  }

  return {
    required: true,
    async authenticate(authorization) {
      const login = authorization === undefined ? undefined : parseBasicHeader(authorization);
      if (login === undefined || !(await verify(login))) return undefined;
      return { kind: "principal", principal: login.principal as Principal };
    },
    secretMark(principal) {
      const secret = credentials.get(principal);
      return secret && markOf(secret);
    },
  };
}

/** Of a hash also its salt: nobody can tell whether another hash is of the same secret. */
function markOf(secret: Secret): string {
  if (secret.kind === "plain") return secret.digest.toString("base64");
  const { hash, salt, ...cost } = secret.hashed;
  return JSON.stringify([cost, salt.toString("base64"), hash.toString("base64")]);
}

/**
 * A hash that no secret has, as costly as the costliest of the file, so that a refusal of nobody is not the fastest
 * one; `undefined` when no secret is hashed.
 */
function decoyOf(credentials: Credentials): HashedSecret | undefined {
  const cost = ({ logN, r, p }: HashedSecret) => 2 ** logN * r * p;
  const hashed = [...credentials.values()].flatMap((secret) => (secret.kind === "hashed" ? [secret.hashed] : []));
  const [costliest] = hashed.sort((left, right) => cost(right) - cost(left));
  return costliest && { ...costliest, hash: randomBytes(costliest.hash.length) };
}

/** Checks a login against a hash, few at a time, equal ones together, and remembers the right ones. */
function createHashedVerifier({ derive = deriveHash, nowMs = () => performance.now() }: BasicOptions) {
  const limit = createLimiter(SCRYPT_LIMITS);
  const key = randomBytes(32);
  const verified = new Map<string, number>();
  const pending = new Map<string, Promise<boolean>>();

  function remember(fingerprint: string): void {
    // Set anew, it is the youngest.
    verified.delete(fingerprint);
    const [oldest] = verified.keys();
    if (verified.size >= CACHE_ENTRIES_MAX && oldest !== undefined) verified.delete(oldest);
    verified.set(fingerprint, nowMs() + CACHE_MS);
  }

  async function check(fingerprint: string, login: Login, hashed: HashedSecret): Promise<boolean> {
    try {
      const hash = await limit(() => derive(login.secret, hashed));
      const right = timingSafeEqual(hash, hashed.hash);
      if (right) remember(fingerprint);
      return right;
    } finally {
      pending.delete(fingerprint);
    }
  }

  return async (login: Login, hashed: HashedSecret): Promise<boolean> => {
    const fingerprint = createHmac("sha256", key).update(`${login.principal}:${login.secret}`).digest("base64");
    if ((verified.get(fingerprint) ?? Number.NEGATIVE_INFINITY) > nowMs()) return true;
    const running = pending.get(fingerprint) ?? check(fingerprint, login, hashed);
    pending.set(fingerprint, running);
    return running;
  };
}
