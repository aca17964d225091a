import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codeOf } from "../../src/domain/error.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import { examineIncarnation, makeIncarnation } from "../../src/host/incarnation.ts";
import { AT, statx } from "../../src/host/syscalls.ts";
import { makePlace, type Place } from "../e2e/place.ts";

const UUID = "0c1d2e3f-0000-4000-8000-000000000001" as Incarnation;

describe("an incarnation that is about to move", () => {
  let place: Place;
  let fd: number;

  beforeEach(async () => {
    place = await makePlace("incarnation");
    fd = openSync(place.dir, "r");
  });

  afterEach(async () => {
    closeSync(fd);
    await place.remove();
  });

  const parent = () => ({ fd, mountId: statx(fd, "", AT.EMPTY_PATH).mountId });

  test("is not taken for damaged by an error that says nothing about it, as when there are no descriptors left", () => {
    // The kernel refuses to look, whatever is there.
    const unspeakable = "x".repeat(300) as Incarnation;
    let thrown: unknown;
    try {
      examineIncarnation(parent(), unspeakable);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(Error);
    expect(codeOf(thrown)).not.toBe("damaged");
  });

  test("is missing, foreign or present by what is there", () => {
    expect(examineIncarnation(parent(), UUID)).toEqual({ state: "missing" });
    const { directory } = makeIncarnation(fd, UUID);
    expect(examineIncarnation(parent(), UUID)).toEqual({ state: "present", directory });
    const other = "0c1d2e3f-0000-4000-8000-000000000002" as Incarnation;
    closeSync(openSync(path.join(place.dir, other), "w"));
    expect(examineIncarnation(parent(), other)).toMatchObject({ state: "foreign", reason: "is not a directory" });
  });
});
