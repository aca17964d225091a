import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const STRACE = "/usr/bin/strace";
/** Of no file system that promises more than it must. */
const SHARED_MEMORY = "/dev/shm";
const CALL = /(?<call>fsync|fdatasync|renameat2|renameat|rename|access|faccessat2?)\((?<args>.*)/;
const MARK = /"\/mark\/(?<name>[^"]+)"/;
const DESCRIPTOR = /^\d+<(?<path>[^>]*)>/;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** What is synced and renamed after each mark, in order, with paths below the directory. */
async function traceIn(base: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const trace = path.join(base, "trace");
  const calls = "fsync,fdatasync,rename,renameat,renameat2,access,faccessat,faccessat2";
  const worker = path.join(import.meta.dirname, "syncs-worker.ts");
  const options = ["-f", "-y", "-qq", "-e", "signal=none", "-e", `trace=${calls}`, "-o", trace];
  await execa(STRACE, [...options, process.execPath, worker, base]);
  const found = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of readFileSync(trace, "utf8").split("\n")) {
    const { call, args = "" } = CALL.exec(line)?.groups ?? {};
    const name = MARK.exec(args)?.groups?.["name"];
    if (name !== undefined) {
      current = [];
      found.set(name, current);
    } else if (call === "fsync" || call === "fdatasync") {
      const synced = DESCRIPTOR.exec(args)?.groups?.["path"] ?? args;
      current.push(path.relative(base, synced).replace(UUID, "UUID"));
    } else if (call?.startsWith("rename") === true) current.push("rename");
  }
  return found;
}

/** A new checkpoint in the place of the old one. */
function replaced(directory: string): readonly string[] {
  return [`${directory}/checkpoint.draft`, "rename", directory, "rename", directory];
}

function made(file: string): readonly string[] {
  return [`${file}.draft`, "rename"];
}

describe.skipIf(!existsSync(STRACE) || !existsSync(SHARED_MEMORY))("what is acknowledged is synced before", () => {
  let base: string;
  let traced: ReadonlyMap<string, readonly string[]>;

  beforeAll(async () => {
    base = mkdtempSync(path.join(SHARED_MEMORY, "holdfast-syncs-"));
    traced = await traceIn(base);
  });

  afterAll(() => rmSync(base, { recursive: true, force: true }));

  const VOLUMES = "above/root/volumes";
  const TRASH = "above/root/trash";

  it.each<[string, readonly string[]]>([
    ["work-root", ["above", "", "above/root"]],
    ["open-disk", ["above/root", VOLUMES]],
    ["spare", [`${VOLUMES}/UUID/content`, `${VOLUMES}/UUID`, VOLUMES]],
    ["node-label", ["above/root/label.new", "rename", "above/root"]],
    ["drop", ["rename", TRASH, VOLUMES]],
    ["restore", ["rename", VOLUMES, TRASH]],
    ["purge", [`${TRASH}/UUID`, TRASH]],
    ["adopt", ["rename", `${VOLUMES}/UUID`, VOLUMES, "srv"]],
    ["unadopt", ["rename", "srv", `${VOLUMES}/UUID`, VOLUMES]],
    ["spare-on-xfs", [`${VOLUMES}/UUID/content`, `${VOLUMES}/UUID`, VOLUMES]],
    ["move-on-xfs", [TRASH]],
    ["spare-on-btrfs", [`${VOLUMES}/UUID/content`, VOLUMES]],
    ["move-on-btrfs", [TRASH, VOLUMES]],
    ["purge-sandbox", ["boxes/one"]],
    [
      "open-checkpoint",
      ["meta", ...replaced("meta/checkpoint"), "meta/checkpoint", ...made("meta/checkpoint/ballast")],
    ],
    // The log is new: its name, what it begins with, and what was committed.
    ["commit", ["checkpoint.db-wal", "", "checkpoint.db-wal"].map((name) => path.join("meta/checkpoint", name))],
    ["prepare-successor", ["meta", ...replaced("meta/other").slice(0, 3)]],
    ["install-successor", ["meta/other", ...replaced("meta/other").slice(3)]],
    ["make-ballast", made("meta/other/ballast")],
    ["give-up-ballast", ["meta/other"]],
  ])("%s", (name, synced) => {
    expect(traced.get(name)).toEqual(synced);
  });

  it("label, in any order of the roles", () => {
    const [label, directory, ...roles] = traced.get("label") ?? [];
    expect([label, directory]).toEqual([`${VOLUMES}/UUID/label`, `${VOLUMES}/UUID`]);
    expect(roles.toSorted()).toEqual([`${VOLUMES}/roles`, `${VOLUMES}/roles/ads`]);
  });
});
