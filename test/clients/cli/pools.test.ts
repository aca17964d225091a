import { expect, test } from "vitest";
import { diskOf, poolForVolume, poolToUnreserve } from "../../../src/clients/cli/pools.ts";
import { parseRole } from "../../../src/domain/names.ts";
import { type DiskResource, type DiskSource, type Reservation, ROOT_DISK } from "../../../src/domain/resource.ts";
import { parseHumanSize } from "../../../src/domain/size.ts";
import type { Principal } from "../../../src/domain/units.ts";

const ADS = parseRole("ads");
const SSD: DiskSource = { type: "PATH", root: "/mnt/ssd" };
const WHOLE: DiskSource = { type: "MOUNT", root: "/mnt/whole" };

function pool(size: string, source: DiskSource = ROOT_DISK, level: Partial<Reservation> = {}): DiskResource {
  return { size: parseHumanSize(size), source, reservations: [{ type: "DYNAMIC", role: ADS, ...level }] };
}

function unreserved(size: string, source: DiskSource = ROOT_DISK): DiskResource {
  return { size: parseHumanSize(size), source, reservations: [] };
}

const ops = "ops" as Principal;
const dev = "dev" as Principal;

test("poolForVolume never takes unreserved disk or another role's", () => {
  const resources = [unreserved("9G"), pool("9G", ROOT_DISK, { role: parseRole("eng") })];
  const chosen = poolForVolume(resources, { role: ADS, size: parseHumanSize("1G") });
  expect(chosen.reservations).toEqual([{ type: "DYNAMIC", role: "ads" }]);
});

test("poolForVolume hands the largest pool to the daemon when none has room", () => {
  const resources = [pool("1G"), pool("2G", SSD)];
  expect(poolForVolume(resources, { role: ADS, size: parseHumanSize("3G") })).toBe(resources[1]);
});

test("poolForVolume never leaves the disk that was asked for", () => {
  const resources = [pool("9G"), unreserved("9G", SSD)];
  const chosen = poolForVolume(resources, { role: ADS, size: parseHumanSize("1G"), disk: "/mnt/ssd" });
  expect(chosen.source).toEqual(SSD);
});

test("poolForVolume takes the work root's disk first, then the tightest fit", () => {
  const resources = [pool("1G", SSD), pool("9G"), pool("3G", ROOT_DISK, { principal: ops })];
  expect(poolForVolume(resources, { role: ADS, size: parseHumanSize("2G") })).toBe(resources[2]);
  expect(poolForVolume(resources, { role: ADS, size: parseHumanSize("1G"), disk: "/mnt/ssd" })).toBe(resources[0]);
});

test("poolForVolume takes a MOUNT disk as a whole only", () => {
  const resources = [pool("8G", WHOLE), pool("1G", SSD)];
  expect(poolForVolume(resources, { role: ADS, size: parseHumanSize("1G") })).toBe(resources[1]);
  expect(poolForVolume(resources, { role: ADS, size: parseHumanSize("8G") })).toBe(resources[0]);
});

test("poolToUnreserve asks which one when several have room", () => {
  const resources = [pool("2G", ROOT_DISK, { principal: ops }), pool("2G", SSD, { principal: dev })];
  expect(() => poolToUnreserve(resources, { role: ADS, size: parseHumanSize("1G") })).toThrow(
    "Cannot unreserve disk of role ads: 2048 MB on ROOT of ops or 2048 MB on /mnt/ssd of dev? " +
      "Say which with --disk, --principal or --label",
  );
  expect(poolToUnreserve(resources, { role: ADS, size: parseHumanSize("1G"), principal: dev })).toBe(resources[1]);
  expect(poolToUnreserve(resources, { role: ADS, size: parseHumanSize("1G"), disk: "ROOT" })).toBe(resources[0]);
});

test("poolToUnreserve tells reservations apart by their labels", () => {
  const resources = [pool("2G"), pool("2G", ROOT_DISK, { labels: [{ key: "team", value: "a" }] })];
  const labels = [{ key: "team", value: "a" }];
  expect(poolToUnreserve(resources, { role: ADS, size: parseHumanSize("1G"), labels })).toBe(resources[1]);
});

test("poolToUnreserve names a reservation that is not there rather than another one", () => {
  const chosen = poolToUnreserve([pool("2G")], { role: ADS, size: parseHumanSize("1G"), principal: ops });
  expect(chosen.reservations).toEqual([{ type: "DYNAMIC", role: "ads", principal: "ops" }]);
});

test("poolToUnreserve leaves static reservations alone", () => {
  const chosen = poolToUnreserve([pool("2G", ROOT_DISK, { type: "STATIC" })], {
    role: ADS,
    size: parseHumanSize("1G"),
  });
  expect(chosen.reservations[0]?.type).toBe("DYNAMIC");
});

test("diskOf refuses a disk that the node does not have and names those it has", () => {
  expect(() => diskOf([unreserved("1G"), unreserved("1G", SSD)], "/mnt/x")).toThrow(
    "Cannot take disk on /mnt/x: the node has no such disk, only ROOT, /mnt/ssd",
  );
});

test("diskOf finds a disk by its root directory", () => {
  expect(diskOf([unreserved("1G", SSD)], "/mnt/ssd")).toEqual(SSD);
  expect(diskOf([], "ROOT")).toEqual(ROOT_DISK);
});
