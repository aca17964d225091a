import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { digestOf, parseCredentials, readCredentialsFile } from "../../src/auth/credentials.ts";
import { deriveHash, hashSecret, parseHashedSecret } from "../../src/auth/scrypt.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-credentials-"));
afterAll(() => rmSync(directory, { recursive: true }));

const file = join(directory, "credentials.json");

function write(content: string | Buffer, mode = 0o600): void {
  writeFileSync(file, content);
  chmodSync(file, mode);
}

const list = (...credentials: unknown[]) => ({ credentials });

describe("readCredentialsFile refuses", () => {
  test("a missing file", async () => {
    await expect(readCredentialsFile("/nowhere/c.json")).rejects.toMatchObject({
      code: "invalid",
      message: "Cannot read credentials /nowhere/c.json: no such file or directory",
    });
  });

  test("a directory, and a FIFO without waiting for its writer", async () => {
    await expect(readCredentialsFile(directory)).rejects.toThrow("it is not a regular file");
    const fifo = join(directory, "fifo");
    execFileSync("/usr/bin/mkfifo", [fifo]);
    await expect(readCredentialsFile(fifo)).rejects.toThrow("it is not a regular file");
  });

  test("a file that is not UTF-8", async () => {
    write(Buffer.from([0x22, 0xff, 0x22]));
    await expect(readCredentialsFile(file)).rejects.toThrow("it is not UTF-8 text");
  });

  test("an empty file, because it may be half written", async () => {
    write("");
    await expect(readCredentialsFile(file)).rejects.toThrow("line 1, column 1: the text ends too early");
  });

  test("broken JSON with the place, without quoting a secret", async () => {
    write('{"credentials": [\n  {"principal": "ops", "secret": "s3cret"\n]}');
    const error = await readCredentialsFile(file).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "invalid",
      message: `Cannot read credentials ${file}: line 3, column 1: expected "," or "}"`,
    });
    expect(String(error)).not.toContain("s3cret");
  });
});

describe("readCredentialsFile", () => {
  const content = JSON.stringify(list({ principal: "ops", secret: "s3cret" }));

  test("warns of a file that other users can open", async () => {
    write(content, 0o644);
    const { warnings } = await readCredentialsFile(file);
    expect(warnings).toEqual([`Credentials ${file} are open to every local user, expected mode 0600`]);
  });

  test("warns when nobody can log in", async () => {
    write(JSON.stringify(list()));
    const { credentials, warnings } = await readCredentialsFile(file);
    expect([...credentials]).toEqual([]);
    expect(warnings).toEqual([`Credentials ${file} are empty, nobody can log in`]);
  });

  test("reads Mesos's file, also with a byte order mark", async () => {
    write(`\ufeff${content}`);
    const { credentials, warnings } = await readCredentialsFile(file);
    expect([...credentials]).toEqual([["ops", { kind: "plain", digest: digestOf("s3cret") }]]);
    expect(warnings).toEqual([]);
  });
});

test("parseCredentials names the first mistakes of many", () => {
  const value = list(...Array.from({ length: 1_000 }, () => ({})));
  expect(() => parseCredentials(value, "/c.json")).toThrow(/credentials\[0\]\.principal .* and 1995 more mistakes$/);
});

describe("parseCredentials refuses", () => {
  test.each<[string, unknown, string]>([
    ["a list", [], 'the top is missing or wrong, expected an object such as {"credentials": []}'],
    ["null", null, "the top is missing or wrong, expected"],
    ["no credentials", {}, "credentials is missing or wrong, expected a list"],
    ["an unknown key", { credentials: [], users: [] }, 'the top has the unknown key "users"'],
    [
      "an unknown key of an entry",
      list({ principal: "a", secret: "b", role: "c" }),
      'credentials[0] has the unknown key "role"',
    ],
    [
      "an entry that is no object",
      list("ops"),
      "credentials[0] is missing or wrong, expected an object with principal and secret",
    ],
    ["a missing secret", list({ principal: "ops" }), "credentials[0].secret is missing or wrong, expected a secret"],
    [
      "an empty secret",
      list({ principal: "ops", secret: "" }),
      "credentials[0].secret is missing or wrong, expected a secret",
    ],
    [
      "an empty principal",
      list({ principal: "", secret: "x" }),
      "credentials[0].principal is missing or wrong, expected",
    ],
    [
      "a principal with a colon",
      list({ principal: "a:b", secret: "x" }),
      'a principal without ":" and control characters',
    ],
    ["a principal with a newline", list({ principal: "a\nb", secret: "x" }), 'without ":" and control characters'],
    ["a principal that is no Unicode", list({ principal: "\ud800", secret: "x" }), "credentials[0].principal"],
    [
      "a principal that appears twice",
      list({ principal: "a", secret: "x" }, { principal: "a", secret: "y" }),
      "credentials[1].principal appears twice",
    ],
    [
      "a hash that is none",
      list({ principal: "a", secret: "scrypt$15$8$1$c2FsdA==" }),
      "credentials[0].secret is not a valid hash",
    ],
  ])("%s", (_name, value, message) => {
    expect(() => parseCredentials(value, "/c.json")).toThrow(`Cannot use credentials /c.json: `);
    expect(() => parseCredentials(value, "/c.json")).toThrow(message);
  });

  test("a __proto__ key", () => {
    const value: unknown = JSON.parse('{"credentials": [{"principal": "a", "secret": "b", "__proto__": {}}]}');
    expect(() => parseCredentials(value, "/c.json")).toThrow('unknown key "__proto__"');
  });

  test("anything else with a HoldfastError", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.jsonValue(),
          fc.jsonValue().map((item) => list(item)),
        ),
        (value) => {
          try {
            parseCredentials(value, "/c.json");
          } catch (error) {
            expect(error).toMatchObject({ name: "HoldfastError", code: "invalid" });
          }
        },
      ),
    );
  });
});

describe("a hashed secret", () => {
  const salt = "c2FsdHNhbHQ=";
  const hash = Buffer.alloc(32).toString("base64");

  test.each([
    ["too cheap", `scrypt$9$8$1$${salt}$${hash}`],
    ["too much memory", `scrypt$20$8$1$${salt}$${hash}`],
    ["too long", `scrypt$15$8$17$${salt}$${hash}`],
    ["no block", `scrypt$15$0$1$${salt}$${hash}`],
    ["a short salt", `scrypt$15$8$1$c2Fs$${hash}`],
    ["a short hash", `scrypt$15$8$1$${salt}$c2Fs`],
    ["another scheme", `bcrypt$15$8$1$${salt}$${hash}`],
    ["a part too many", `scrypt$15$8$1$${salt}$${hash}$`],
  ])("is refused with %s", (_name, text) => {
    expect(parseHashedSecret(text)).toBeUndefined();
  });

  test("is made by hashSecret, with another salt each time", async () => {
    const [first, second] = await Promise.all([hashSecret("päss:word"), hashSecret("päss:word")]);
    expect(first).toMatch(/^scrypt\$15\$8\$1\$/);
    expect(first).not.toBe(second);
    const hashed = parseHashedSecret(first);
    if (hashed === undefined) throw new Error("Cannot parse what hashSecret made");
    expect(await deriveHash("päss:word", hashed)).toEqual(hashed.hash);
    expect(await deriveHash("pass:word", hashed)).not.toEqual(hashed.hash);
    expect(parseCredentials(list({ principal: "ops", secret: first }), "/c.json").get("ops" as never)).toEqual({
      kind: "hashed",
      hashed,
    });
  });
});
