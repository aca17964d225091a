import { expect, test } from "vitest";
import { type Part, promisedParts, usedParts } from "../../src/console/picture.ts";
import type { DiskJson } from "../../src/faces/http/wire.ts";

const MIB = 1024 * 1024;

const DISK: DiskJson = {
  source: { type: "ROOT" },
  root: "/var/lib/holdfast",
  fileSystem: "ext4",
  totalBytes: 1000 * MIB,
  freeBytes: 400 * MIB,
  declaredMb: 900,
  reservedMb: 500,
  volumesMb: 300,
  retainedMb: 90,
  pinnedMb: 40,
  usedByVolumesBytes: 250 * MIB,
  usedByRetainedBytes: 50 * MIB,
  promisedBytes: 50 * MIB,
  unmeasured: 0,
  enforcement: { by: "nothing" },
};

const inMib = (parts: readonly Part[]) => parts.map(({ value }) => value / MIB);

test("The parts of a disk are all of what was declared, and all of the file system", () => {
  expect(inMib(promisedParts(DISK))).toEqual([300, 200, 40, 360]);
  expect(inMib(usedParts(DISK))).toEqual([250, 50, 300, 400]);
});

test("A disk that has less than it should has no negative parts", () => {
  const short = { ...DISK, declaredMb: 100, totalBytes: 0, freeBytes: 0 };
  expect(inMib(promisedParts(short))).toEqual([300, 200, 40, 0]);
  expect(inMib(usedParts(short))).toEqual([250, 50, 0, 0]);
});
