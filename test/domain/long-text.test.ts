import { describe, expect, it } from "vitest";
import { parseDuration } from "../../src/config/duration.ts";
import {
  parseContainerId,
  parseContainerPath,
  parseIncarnation,
  parsePrincipal,
  parseRole,
  parseVolumeId,
} from "../../src/domain/names.ts";
import { parseForm } from "../../src/faces/http/form.ts";
import { parseJson } from "../../src/faces/http/json.ts";
import { parseMountTable } from "../../src/host/mount-table.ts";

const LENGTH = 200_000;
const LONGEST_MS = 500;
/** What makes patterns go back and try again: repetition, then something that fits nothing. */
const TEXTS = ["a", "0", "-", " ", "/", ".", "%41", "a/", "[", '"\\', "1h"].map(
  (part) => `${part.repeat(LENGTH / part.length)}\n!`,
);
const PARSERS: Readonly<Record<string, (text: string) => unknown>> = {
  parseRole,
  parseVolumeId,
  parseContainerPath,
  parseContainerId,
  parsePrincipal,
  parseIncarnation,
  parseDuration,
  parseForm,
  parseJson: (text) => parseJson(text, "the text"),
  parseMountTable,
};

describe("a very long text", () => {
  it.each(Object.entries(PARSERS))("is refused at once by %s", (_, parse) => {
    const startedMs = performance.now();
    for (const text of TEXTS) {
      try {
        parse(text);
      } catch {
        // Refused.
      }
    }
    expect(performance.now() - startedMs).toBeLessThan(LONGEST_MS);
  });
});
