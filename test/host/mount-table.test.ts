import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { propagationOf } from "../../src/host/mount-facts.ts";
import { findMount, parseMountTable, readMountTable, tableIdOf } from "../../src/host/mount-table.ts";
import { AT, O, openat2 } from "../../src/host/syscalls.ts";
import { withDescriptors } from "../../src/host/walk.ts";

const LINE = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
const parseOne = (line: string) => parseMountTable(`${line}\n`)[0];

describe("parseMountTable", () => {
  it.each([
    ["too few fields", "36 35 98:0 /mnt1 /mnt2 rw - ext3 source"],
    ["no separator", "36 35 98:0 /mnt1 /mnt2 rw master:1 ext3 /dev/root rw"],
    ["a separator before its place", "36 - 98:0 /mnt1 /mnt2 rw master:1 ext3 /dev/root rw"],
    ["an id that is no number", LINE.replace("36", "x36")],
    ["a device that is none", LINE.replace("98:0", "98")],
    ["an id beyond what is exact", LINE.replace("36", "9007199254740993")],
    ["a peer group that is no number", LINE.replace("master:1", "master:x")],
    ["a broken escape", LINE.replace("/mnt2", "/mn\\t2")],
    ["an escape beyond a byte", LINE.replace("/mnt2", "/mnt\\777")],
  ])("refuses a line with %s", (_, line) => {
    expect(() => parseOne(line)).toThrow("Cannot read mount table line");
  });

  it("takes a line apart", () => {
    expect(parseOne(LINE)).toEqual({
      mountId: 36,
      parentId: 35,
      device: "98:0",
      root: Buffer.from("/mnt1"),
      rootDeleted: false,
      mountPoint: Buffer.from("/mnt2"),
      options: ["rw", "noatime"],
      propagation: { master: 1, unbindable: false },
      fsType: "ext3",
      source: "/dev/root",
    });
  });

  it("reads every kind of propagation", () => {
    const propagation = (tags: string) => parseOne(LINE.replace("master:1 ", tags))?.propagation;
    expect(propagation("")).toEqual({ unbindable: false });
    expect(propagation("shared:7 ")).toEqual({ shared: 7, unbindable: false });
    expect(propagation("shared:7 master:3 propagate_from:2 ")).toEqual({ shared: 7, master: 3, unbindable: false });
    expect(propagation("unbindable new:thing ")).toEqual({ unbindable: true });
  });

  it("keeps a name that looks like the separator, and an empty source", () => {
    const entry = parseOne("36 35 98:0 /a\\040-\\040b /c\\040-\\040ext3 rw - ext3  rw");
    expect(entry).toMatchObject({ root: Buffer.from("/a - b"), mountPoint: Buffer.from("/c - ext3"), source: "" });
  });

  it("sees that the mounted directory was deleted", () => {
    const entry = parseOne(LINE.replace("/mnt1", "/trash/x//deleted"));
    expect(entry).toMatchObject({ root: Buffer.from("/trash/x"), rootDeleted: true });
  });

  it("gives back any paths, byte by byte", () => {
    const path = fc
      .uint8Array({ minLength: 1, maxLength: 40 })
      .filter((bytes) => !bytes.includes(0))
      .map(slashed);
    fc.assert(
      fc.property(
        path,
        path,
        fc.array(fc.constantFrom("shared:1", "master:2", "unbindable")),
        (root, mountPoint, tags) => {
          const fields = [
            "1",
            "2",
            "8:1",
            escaped(root),
            escaped(mountPoint),
            "rw",
            ...tags,
            "-",
            "ext4",
            "none",
            "rw",
          ];
          expect(parseOne(fields.join(" "))).toMatchObject({ root, mountPoint, rootDeleted: false });
        },
      ),
    );
  });

  it("either reads or refuses any text, and never anything else", () => {
    const field = fc.oneof(
      fc.string({ unit: "binary-ascii" }),
      fc.constantFrom("-", "1", "8:1", "/", "\\040", "\\", ""),
    );
    fc.assert(
      fc.property(fc.array(field, { maxLength: 14 }), (fields) => {
        try {
          for (const { mountPoint } of parseMountTable(fields.join(" "))) expect(mountPoint).toBeInstanceOf(Buffer);
        } catch (error) {
          expect(String(error)).toContain("Cannot read mount table line");
        }
      }),
    );
  });
});

describe("readMountTable", () => {
  it.each(["self", process.pid] as const)("reads every mount of %s", (pid) => {
    const table = readMountTable(pid);
    expect(table.map(({ mountId }) => mountId)).toEqual(idsOf(readFileSync("/proc/self/mountinfo", "utf8")));
    expect(table).toContainEqual(expect.objectContaining({ mountPoint: Buffer.from("/proc"), fsType: "proc" }));
  });

  it("fails for a process that is gone", () => {
    expect(() => readMountTable(0x7fff_fff0)).toThrow("ENOENT");
  });
});

describe("findMount", () => {
  it("finds each mount of the table, and nothing else", () => {
    const table = readMountTable("self");
    for (const entry of table) expect(findMount(entry.mountId)).toEqual(entry);
    expect(findMount(Math.max(...table.map(({ mountId }) => mountId)) + 100_000)).toBeUndefined();
  });
});

describe("tableIdOf", () => {
  it("names the mount that an open file is on", () => {
    const id = withDescriptors((keep) => tableIdOf(keep(openat2(AT.FDCWD, "/proc/version", { flags: O.PATH }))));
    expect(findMount(id)?.mountPoint.toString()).toBe("/proc");
  });
});

describe("propagationOf", () => {
  it("agrees with the table", () => {
    const propagation = withDescriptors((keep) => propagationOf(keep(openat2(AT.FDCWD, "/proc", { flags: O.PATH }))));
    const entry = readMountTable("self").findLast(({ mountPoint }) => mountPoint.toString() === "/proc");
    expect(propagation).toBe(entry?.propagation.shared === undefined ? "private" : "shared");
  });
});

function slashed(bytes: Uint8Array): Buffer {
  // The kernel never writes two slashes in a row: they would read as a mark.
  const components = Buffer.from(bytes)
    .toString("latin1")
    .split("/")
    .filter((component) => component !== "");
  return Buffer.from(`/${components.join("/")}`, "latin1");
}

function escaped(path: Buffer): string {
  const text = path.toString("latin1");
  return text.replaceAll(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

function idsOf(table: string): readonly number[] {
  return table
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Number.parseInt(line, 10));
}
