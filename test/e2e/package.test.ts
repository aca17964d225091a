/** What the tarball holds, before anybody installs it. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makePlace, type Place } from "./place.ts";
import { run } from "./run.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");

let place: Place;
/** Mode, owner and path of every entry, as tar lists them. */
let entries: readonly (readonly string[])[];
let tree: string;

beforeAll(async () => {
  place = await makePlace("package");
  const file = await run(path.join(REPOSITORY, "scripts/package"), "--out", place.dir);
  const listing = await run("tar", "--list", "--verbose", "--numeric-owner", "--file", file);
  entries = listing.split("\n").map((line) => line.split(/ +/));
  await run("tar", "--extract", "--file", file, "--directory", place.dir);
  tree = path.join(place.dir, path.basename(file, ".tar.gz"));
}, 120_000);

afterAll(() => place.remove());

test("everything that a node needs, and nothing else", () => {
  const files = readdirSync(tree, { recursive: true, encoding: "utf8" })
    .filter((name) => !/^lib\/(part-\w+|[\w-]+-worker)\.js$/.test(name))
    .sort();
  expect(files).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "NOTICES",
    "NOTICES.node",
    "README.md",
    "bin",
    "bin/holdfast",
    "bin/node",
    "holdfast.yaml",
    "install",
    "lib",
    "lib/koffi.node",
    "lib/main.js",
    "lib/package.json",
    "native",
    "native/libatomic.so.1",
    "oci-hook",
    "oci-hook/hook.pl",
    "oci-hook/hook.sh",
    "release",
    "systemd",
    "systemd/holdfast-csi.socket",
    "systemd/holdfast-docker.socket",
    "systemd/holdfast-http.socket",
    "systemd/holdfast.service",
    "systemd/holdfast.socket",
  ]);
});

test("it is root's, for everybody to read and nobody else to write", () => {
  for (const [mode, owner, , , , name] of entries) {
    expect(mode, name).toMatch(/^(drwxr-xr-x|-rwxr-xr-x|-rw-r--r--)$/);
    expect(owner, name).toBe("0/0");
  }
});

test("no file knows where it was made", () => {
  const texts = readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "node")
    .map((entry) => path.join(entry.parentPath, entry.name));
  for (const file of texts) expect(readFileSync(file).includes(REPOSITORY), file).toBe(false);
});

test("it says what it is when it runs where it was unpacked", async () => {
  const { version } = JSON.parse(readFileSync(path.join(REPOSITORY, "package.json"), "utf8"));
  expect(await run("env", "NODE_COMPILE_CACHE=", path.join(tree, "bin/holdfast"), "--version")).toBe(version);
});
