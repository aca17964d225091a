import { expect, test } from "vitest";
import { parseAttachment } from "../../../src/clients/cli/attachment-argument.ts";
import { parseVolumeName } from "../../../src/clients/cli/options.ts";

test.each(["db", "ads/", "/db", "ads/..", "ads//db", ""])("parseVolumeName refuses %j", (text) => {
  expect(() => parseVolumeName(text)).toThrow(expect.objectContaining({ code: "invalid" }));
});

test("parseVolumeName splits at the last slash, because roles have slashes", () => {
  expect(parseVolumeName("eng/frontend/cache")).toEqual({ role: "eng/frontend", id: "cache" });
});

test.each(["ads/db:data:rx", "ads/db:data:ro:more", "ads/db:..", "ads/db:a/b", ":data"])(
  "parseAttachment refuses %j",
  (text) => {
    expect(() => parseAttachment(text)).toThrow(expect.objectContaining({ code: "invalid" }));
  },
);

test.each([
  ["ads/db", { role: "ads", id: "db", mode: "RW" }],
  ["ads/db:data", { role: "ads", id: "db", containerPath: "data", mode: "RW" }],
  ["ads/db:data:ro", { role: "ads", id: "db", containerPath: "data", mode: "RO" }],
  ["eng/web/db::ro", { role: "eng/web", id: "db", mode: "RO" }],
  ["ads/d\\:b:da\\:ta", { role: "ads", id: "d:b", containerPath: "da:ta", mode: "RW" }],
])("parseAttachment reads %s", (text, expected) => {
  expect(parseAttachment(text)).toEqual(expected);
});
