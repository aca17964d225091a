import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isStrictSubRole,
  parseContainerId,
  parseContainerPath,
  parseIncarnation,
  parsePrincipal,
  parseRole,
  parseVolumeId,
} from "../../src/domain/names.ts";
import { invalidMessage } from "./refusals.ts";

const PARSERS = { parseRole, parseVolumeId, parseContainerPath, parsePrincipal, parseContainerId, parseIncarnation };
const NOT_STRINGS = [undefined, null, 5, true, {}, ["ads"], Symbol("ads"), 5n, () => "ads"];
const CONTROLS = [...Array(32).keys(), ...Array.from({ length: 33 }, (_, index) => 0x7f + index)];

describe.each(Object.entries(PARSERS))("%s", (_name, parse) => {
  it.each(NOT_STRINGS)("refuses %o", (value) => {
    expect(invalidMessage(() => parse(value))).toMatch(/^Cannot parse the [a-z ]+: it is .+, expected a string$/);
  });

  it("refuses the empty string", () => {
    invalidMessage(() => parse(""));
  });

  it.each(CONTROLS)("refuses control character %i", (code) => {
    invalidMessage(() => parse(`a${String.fromCharCode(code)}b`));
  });

  it.each(["\ud800", "a\udc00", "\udc00\ud800"])("refuses the lone surrogate in %j", (text) => {
    invalidMessage(() => parse(text));
  });

  it("names the place it was told", () => {
    expect(invalidMessage(() => parse(7, "the list: item 2: name"))).toBe(
      "Cannot parse the list: item 2: name is 7, expected a string",
    );
  });

  it("never throws anything but a refusal with a one-line message", () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string({ unit: "binary" })), (value) => {
        let message = "";
        try {
          expect(parse(value)).toBe(value);
        } catch {
          message = invalidMessage(() => parse(value));
        }
        return message.isWellFormed() && !/\p{Cc}/u.test(message) && message.length < 250;
      }),
    );
  });
});

describe("a name's length", () => {
  const named = { parseRole, parseVolumeId, parseContainerPath, parseContainerId };
  it.each(Object.entries(named))("%s takes 255 bytes of UTF-8 and refuses 256", (_name, parse) => {
    expect(parse("x".repeat(255))).toHaveLength(255);
    expect(parse(`${"é".repeat(127)}x`)).toHaveLength(128);
    expect(invalidMessage(() => parse("x".repeat(256)))).toMatch(/it is 256 bytes long, expected at most 255 bytes$/);
    invalidMessage(() => parse("é".repeat(128)));
    invalidMessage(() => parse("😀".repeat(64)));
  });

  it("does not matter for a principal", () => {
    expect(parsePrincipal("x".repeat(300))).toHaveLength(300);
  });
});

describe("parseRole", () => {
  const refused = [
    "*",
    ".",
    "..",
    "/",
    "/ads",
    "ads/",
    "a//b",
    "a/./b",
    "a/../b",
    "a/*",
    "*/a",
    "-a",
    "a/-b",
    "a b",
    " ",
  ];
  it.each(refused)("refuses %j", (text) => {
    expect(invalidMessage(() => parseRole(text))).toContain(JSON.stringify(text));
  });

  it.each(["ads", "eng/web/blue", "a-b", "a*", "...", "größe/日本", "a\\b", "%", "a.b"])("takes %j", (text) => {
    expect(parseRole(text)).toBe(text);
  });

  it("says what is wrong", () => {
    expect(invalidMessage(() => parseRole("*"))).toBe(
      'Cannot parse the role: it is "*", expected a role (* means unreserved)',
    );
    expect(invalidMessage(() => parseRole("a/.."))).toBe(
      'Cannot parse the role: it is "a/..", expected no component ".."',
    );
  });
});

describe("parseVolumeId", () => {
  it.each([".", "..", "a/b", "/", "a\\b", "\\"])("refuses %j", (text) => {
    invalidMessage(() => parseVolumeId(text));
  });

  it.each(["db", "...", "a b", "postgres#pgdata#53ab8732", '"', "日本", "😀", "-", "*"])("takes %j", (text) => {
    expect(parseVolumeId(text)).toBe(text);
  });
});

describe("parseContainerPath", () => {
  it.each([".", "..", "a/b", "/data", "data/", "../data"])("refuses %j", (text) => {
    invalidMessage(() => parseContainerPath(text));
  });

  it.each(["data", "...", ".data", "a\\b", "my data", "日本"])("takes %j", (text) => {
    expect(parseContainerPath(text)).toBe(text);
  });
});

describe("parseContainerId", () => {
  it("refuses a slash", () => {
    expect(invalidMessage(() => parseContainerId("a/b"))).toBe(
      'Cannot parse the container id: it is "a/b", expected no slash',
    );
  });

  it.each(["web-1", "f00.ba7", "a b", "é"])("takes %j", (text) => {
    expect(parseContainerId(text)).toBe(text);
  });
});

describe("parsePrincipal", () => {
  it.each(["ops", "a b", "a/b", "é", "ops@example.org"])("takes %j", (text) => {
    expect(parsePrincipal(text)).toBe(text);
  });
});

describe("parseIncarnation", () => {
  const uuid = "0b6cda8e-93cf-4b4e-9e1f-6a2f9a3a2c11";
  it.each([
    uuid.toUpperCase(),
    uuid.slice(1),
    `${uuid}0`,
    uuid.replaceAll("-", ""),
    `${uuid}\n`,
    ` ${uuid}`,
    `../${uuid}`,
  ])("refuses %j", (text) => {
    invalidMessage(() => parseIncarnation(text));
  });

  it("takes a UUID in lower case", () => {
    expect(parseIncarnation(uuid)).toBe(uuid);
  });
});

describe("isStrictSubRole", () => {
  it.each([
    ["eng", "eng/web", true],
    ["eng", "eng/web/blue", true],
    ["eng", "eng", false],
    ["eng", "engine", false],
    ["eng/web", "eng", false],
    ["eng/web", "eng/we", false],
  ])("%s above %s: %s", (parent, child, expected) => {
    expect(isStrictSubRole(parent, child)).toBe(expected);
  });
});
