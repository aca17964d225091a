import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBasicAuthenticator } from "../../src/auth/basic.ts";
import { parseBasicHeader } from "../../src/auth/basic-header.ts";
import { type Credentials, parseCredentials } from "../../src/auth/credentials.ts";
import type { HashedSecret } from "../../src/auth/scrypt.ts";
import type { Principal } from "../../src/domain/units.ts";

const header = (login: string) => `Basic ${Buffer.from(login).toString("base64")}`;
const principal = (name: string) => ({ kind: "principal", principal: name });

const PLAIN = { principal: "plain", secret: "open:sesame" };

/** What the test's hash function makes of a secret. */
const fakeHash = (secret: string) => Buffer.alloc(32, secret);
const hashedEntry = (name: string, secret: string, logN = 15) => ({
  principal: name,
  secret: `scrypt$${logN}$8$1$c2FsdHNhbHQ=$${fakeHash(secret).toString("base64")}`,
});

function credentialsOf(...credentials: { principal: string; secret: string }[]): Credentials {
  return parseCredentials({ credentials }, "test");
}

/** An authenticator whose scrypt is counted, and a clock that the test moves. */
function counted(credentials: Credentials) {
  const calls: HashedSecret[] = [];
  const time = { nowMs: 0 };
  const authenticator = createBasicAuthenticator(credentials, {
    derive: async (secret, like) => {
      calls.push(like);
      return fakeHash(secret);
    },
    nowMs: () => time.nowMs,
  });
  return { authenticator, calls, time };
}

describe("parseBasicHeader", () => {
  test.each([
    "",
    "Basic",
    "Basic ",
    "Bearer b3BzOnM=",
    "Basicb3BzOnM=",
    "Basic b3Bz\u0000",
    "Basic b3BzOnM= b3BzOnM=",
    "Basic b3-_",
    `Basic ${Buffer.from("no colon").toString("base64")}`,
    `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString("base64")}`,
    `Basic ${"A".repeat(9000)}`,
  ])("refuses %j", (text) => {
    expect(parseBasicHeader(text)).toBeUndefined();
  });

  test("takes the scheme in any case and a secret with colons", () => {
    expect(parseBasicHeader(header("ops:a:b:").replace("Basic", "bAsIc "))).toEqual({
      principal: "ops",
      secret: "a:b:",
    });
  });

  test("reads back every login", () => {
    const text = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(
        text.filter((name) => !name.includes(":")),
        text,
        (name, secret) => {
          expect(parseBasicHeader(header(`${name}:${secret}`))).toEqual({ principal: name, secret });
        },
      ),
    );
  });

  test("never throws", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseBasicHeader(`Basic ${text}`)));
  });
});

describe("an authenticator without credentials", () => {
  test("takes everybody for anonymous", async () => {
    const authenticator = createBasicAuthenticator(undefined);
    expect(authenticator.required).toBe(false);
    expect(await authenticator.authenticate(undefined)).toEqual({ kind: "anonymous" });
    expect(await authenticator.authenticate(header("ops:x"))).toEqual({ kind: "anonymous" });
  });
});

describe("an authenticator with plain secrets", () => {
  const { authenticator, calls } = counted(credentialsOf(PLAIN));

  test.each([
    ["a missing header", undefined],
    ["a malformed header", "Basic %"],
    ["an unknown principal", header("nobody:open:sesame")],
    ["a wrong secret", header("plain:open")],
    ["an empty secret", header("plain:")],
    ["an empty login", header(":")],
    ["the name of an object's own function", header("constructor:x")],
  ])("refuses %s", async (_name, authorization) => {
    expect(authenticator.required).toBe(true);
    expect(await authenticator.authenticate(authorization)).toBeUndefined();
  });

  test("knows the right one, and never runs scrypt", async () => {
    expect(await authenticator.authenticate(header("plain:open:sesame"))).toEqual(principal("plain"));
    expect(calls).toHaveLength(0);
  });
});

describe("an authenticator with hashed secrets", () => {
  const entries = credentialsOf(PLAIN, hashedEntry("hashed", "s3cret"), hashedEntry("costly", "deep", 16));

  test.each([
    ["an unknown principal", "nobody:s3cret"],
    ["a wrong secret of a hashed one", "hashed:wrong"],
    ["a wrong secret of a plain one", "plain:wrong"],
    ["an unknown principal with the decoy's secret", "nobody:deep"],
  ])("refuses %s after exactly one scrypt, each time", async (_name, login) => {
    const { authenticator, calls } = counted(entries);
    for (const attempt of [1, 2]) {
      expect(await authenticator.authenticate(header(login))).toBeUndefined();
      expect(calls).toHaveLength(attempt);
    }
  });

  test("spends the highest cost of the file on an unknown principal", async () => {
    const { authenticator, calls } = counted(entries);
    await authenticator.authenticate(header("nobody:x"));
    expect(calls[0]?.logN).toBe(16);
  });

  test("remembers a right login for five minutes", async () => {
    const { authenticator, calls, time } = counted(entries);
    for (time.nowMs = 0; time.nowMs < 300_000; time.nowMs += 100_000) {
      expect(await authenticator.authenticate(header("hashed:s3cret"))).toEqual(principal("hashed"));
    }
    expect(calls).toHaveLength(1);
    expect(await authenticator.authenticate(header("hashed:s3cret"))).toEqual(principal("hashed"));
    expect(calls).toHaveLength(2);
  });

  test("forgets the oldest of more than a thousand logins", async () => {
    const many = Array.from({ length: 1001 }, (_, index) => hashedEntry(`p${index}`, "s"));
    const { authenticator, calls } = counted(credentialsOf(...many));
    for (const { principal: name } of many) await authenticator.authenticate(header(`${name}:s`));
    await authenticator.authenticate(header("p1000:s"));
    expect(calls).toHaveLength(1001);
    await authenticator.authenticate(header("p0:s"));
    expect(calls).toHaveLength(1002);
  });

  test("checks equal logins that come together once", async () => {
    const { authenticator, calls } = counted(entries);
    const actors = await Promise.all(
      Array.from({ length: 16 }, () => authenticator.authenticate(header("hashed:s3cret"))),
    );
    expect(new Set(actors.map((actor) => actor?.kind))).toEqual(new Set(["principal"]));
    expect(calls).toHaveLength(1);
  });

  test("runs two scrypts at a time and turns a crowd away", async () => {
    let running = 0;
    let most = 0;
    const authenticator = createBasicAuthenticator(entries, {
      derive: async (secret) => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return fakeHash(secret);
      },
    });
    const attempts = Array.from({ length: 100 }, (_, index) => authenticator.authenticate(header(`hashed:${index}`)));
    const outcomes = await Promise.allSettled(attempts);
    const turnedAway = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(most).toBe(2);
    expect(turnedAway).toHaveLength(34);
    expect(turnedAway[0]?.reason).toMatchObject({ code: "unavailable" });
    expect(await authenticator.authenticate(header("hashed:s3cret"))).toEqual(principal("hashed"));
  });

  test("does not die of a failing scrypt", async () => {
    const authenticator = createBasicAuthenticator(entries, { derive: () => Promise.reject(new Error("memory")) });
    await expect(authenticator.authenticate(header("hashed:x"))).rejects.toThrow("memory");
    expect(await authenticator.authenticate(header("plain:open:sesame"))).toEqual(principal("plain"));
  });
});

test("The mark of a secret is another one for another secret, hashed or not, and none for who is not there", () => {
  const marks = (...entries: { principal: string; secret: string }[]) => {
    const authenticator = createBasicAuthenticator(credentialsOf(...entries));
    return ["plain", "hashed", "nobody"].map((name) => authenticator.secretMark(name as Principal));
  };
  const before = marks(PLAIN, hashedEntry("hashed", "one"));
  expect(before).toEqual([expect.any(String), expect.any(String), undefined]);
  expect(marks(PLAIN, hashedEntry("hashed", "one"))).toEqual(before);
  const after = marks({ ...PLAIN, secret: "other" }, hashedEntry("hashed", "two"));
  expect(after[0]).not.toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
  expect(before.join()).not.toContain(PLAIN.secret);
});
