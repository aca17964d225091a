import { describe, expect, it } from "vitest";
import { parseDiskInfo } from "../../src/domain/mesos-disk.ts";
import { invalidMessage } from "./refusals.ts";

const parse = (fields: object) => parseDiskInfo({ ...fields }, "the resource");
const message = (fields: object) => invalidMessage(() => parse(fields));
const persistence = { id: "db" };
const volume = { mode: "RW", container_path: "data" };

describe("parseDiskInfo refuses", () => {
  it.each([
    [{}, "disk is empty"],
    [{ persistence: null, volume: null, source: null }, "disk is empty"],
    [{ volume }, "disk.volume is present"],
    [{ volume, source: { type: "PATH", path: { root: "/a" } } }, "disk.volume is present"],
    [{ persistence }, "disk.volume is missing"],
    [{ persistence: "db", volume }, "disk.persistence is "],
    [{ persistence: [persistence], volume }, "disk.persistence is a list"],
    [{ persistence: {}, volume }, "disk.persistence.id is missing"],
    [{ persistence: { id: "a/b" }, volume }, "disk.persistence.id is "],
    [{ persistence: { id: ".." }, volume }, "disk.persistence.id is "],
    [{ persistence: { id: "db", principal: "" }, volume }, "disk.persistence.principal is empty"],
    [{ persistence, volume: { mode: "RW" } }, "disk.volume.container_path is missing"],
    [{ persistence, volume: { ...volume, container_path: "/data" } }, "disk.volume.container_path is "],
    [{ persistence, volume: { ...volume, container_path: ".." } }, "disk.volume.container_path is "],
    [{ persistence, volume: { container_path: "data" } }, "disk.volume.mode is missing"],
    [{ persistence, volume: { ...volume, mode: "rw" } }, "disk.volume.mode is "],
    [{ persistence, volume: { ...volume, host_path: "/etc" } }, "disk.volume.host_path is present"],
    [{ persistence, volume: { ...volume, image: {} } }, "disk.volume.image is present"],
    [{ persistence, volume: { ...volume, source: {} } }, "disk.volume.source is present"],
  ])("the disk %o", (disk, expected) => {
    expect(message({ disk })).toContain(`the resource: ${expected}`);
  });

  it.each([
    [{}, "type is missing"],
    [{ type: "BLOCK" }, 'type is "BLOCK", expected PATH or MOUNT'],
    [{ type: "RAW" }, "type is "],
    [{ type: "UNKNOWN" }, "type is "],
    [{ type: "ROOT" }, "type is "],
    [{ type: "PATH" }, "path is missing"],
    [{ type: "MOUNT" }, "mount is missing"],
    [{ type: "PATH", path: {} }, "path.root is missing"],
    [{ type: "PATH", path: { root: "" } }, "path.root is "],
    [{ type: "PATH", path: { root: "data" } }, 'path.root is "data", expected an absolute path'],
    [{ type: "PATH", path: { root: "/a/../b" } }, "path.root is "],
    [{ type: "PATH", path: { root: "/a/./b" } }, "path.root is "],
    [{ type: "PATH", path: { root: "/a/" } }, "path.root is "],
    [{ type: "PATH", path: { root: "//a" } }, "path.root is "],
    [{ type: "PATH", path: { root: "/a\0" } }, "path.root is "],
    [{ type: "PATH", path: { root: "/\ud800" } }, "path.root is "],
    [{ type: "MOUNT", mount: { root: "/.." } }, "mount.root is "],
    [{ type: "PATH", path: { root: "/a" }, mount: { root: "/b" } }, "mount is present"],
    [{ type: "MOUNT", path: { root: "/a" }, mount: { root: "/b" } }, "path is present"],
    [{ type: "MOUNT", mount: { root: "/a" }, id: "csi-1" }, "id is present"],
    [{ type: "PATH", path: { root: "/a" }, vendor: "x" }, "vendor is present"],
    [{ type: "PATH", path: { root: "/a" }, profile: "fast" }, "profile is present"],
    [{ type: "PATH", path: { root: "/a" }, metadata: {} }, "metadata is present"],
  ])("the source %o", (source, expected) => {
    expect(message({ disk: { source } })).toContain(`the resource: disk.source.${expected}`);
  });

  it.each([{}, { disk: { source: { type: "PATH", path: { root: "/a" } } } }])(
    "shared disk without volume: %o",
    (fields) => {
      expect(message({ ...fields, shared: {} })).toContain("only a persistent volume can be shared");
    },
  );

  it.each([true, false, "yes", []])("the mark shared %o, which is an empty object or absent", (shared) => {
    expect(message({ shared, disk: { persistence, volume } })).toContain("shared is ");
  });
});

describe("parseDiskInfo reads", () => {
  it("the work root's disk", () => {
    expect(parse({})).toEqual({ source: { type: "ROOT" } });
  });

  it.each(["/", "/mnt/a", "/mnt/...", "/größe"])("a PATH and a MOUNT disk at %s", (root) => {
    expect(parse({ disk: { source: { type: "PATH", path: { root } } } })).toEqual({ source: { type: "PATH", root } });
    expect(parse({ disk: { source: { type: "MOUNT", mount: { root } } } })).toEqual({
      source: { type: "MOUNT", root },
    });
  });

  it("a volume", () => {
    expect(parse({ disk: { persistence, volume } })).toEqual({
      source: { type: "ROOT" },
      volume: { id: "db", containerPath: "data", mode: "RW", shared: false },
    });
  });

  it("a shared volume with a creator, on another disk, read-only", () => {
    const source = { type: "PATH", path: { root: "/mnt/a" } };
    const disk = { persistence: { id: "db", principal: "ops" }, volume: { ...volume, mode: "RO" }, source };
    expect(parse({ disk, shared: {} })).toEqual({
      source: { type: "PATH", root: "/mnt/a" },
      volume: { id: "db", principal: "ops", containerPath: "data", mode: "RO", shared: true },
    });
  });
});
