import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readBundleConfig } from "../../src/host/bundle.ts";
import { isRoot } from "../e2e/privileges.ts";

let bundle: string;
let file: string;
beforeEach(() => {
  bundle = mkdtempSync(join(tmpdir(), "holdfast-bundle-"));
  file = join(bundle, "config.json");
});
afterEach(() => rmSync(bundle, { recursive: true }));

const PID_MAX = 2 ** 22;

test.each([
  ["is not there", () => {}, "it is not there"],
  ["is a directory", () => mkdirSync(file), "it is not a file"],
  ["is a pipe", () => execFileSync("mkfifo", [file]), "it is not a file"],
  ["is a symlink to itself", () => symlinkSync("config.json", file), "too many symlinks"],
  ["is not UTF-8", () => writeFileSync(file, Buffer.of(0xff)), "it is not UTF-8"],
  ["is too large", () => writeFileSync(file, Buffer.alloc(4 * 1024 * 1024 + 1)), "larger than 4194304 bytes"],
])("a bundle whose config.json %s is refused", async (_what, make, reason) => {
  make();
  for (const seenBy of [undefined, process.pid]) {
    await expect(readBundleConfig(bundle, seenBy)).rejects.toMatchObject({
      code: "invalid",
      message: expect.stringMatching(`^Cannot read ${file}: .*${reason}`),
    });
  }
});

test("a process that has ended sees nothing", async () => {
  writeFileSync(file, "{}");
  await expect(readBundleConfig(bundle, PID_MAX)).rejects.toMatchObject({
    message: expect.stringContaining(`process ${PID_MAX}, which sees it, has ended`),
  });
});

test.each([undefined, process.pid])("a bundle's config.json is read as process %s sees it", async (seenBy) => {
  writeFileSync(file, '{"ociVersion":"1.0.2"}');
  expect(await readBundleConfig(bundle, seenBy)).toBe('{"ociVersion":"1.0.2"}');
});

test.runIf(isRoot)(
  "a symlink in a bundle leads where it leads the process that sees it, and not to the host's file",
  async () => {
    const root = join(bundle, "root");
    mkdirSync(join(root, "bundle"), { recursive: true });
    const aside = `${bundle}.json`.slice(tmpdir().length);
    symlinkSync(aside, join(root, "bundle/config.json"));
    writeFileSync(join(root, aside), "its own");
    const script = 'chroot $ARGV[0] or die; $| = 1; print "ready"; <STDIN>';
    const child = spawn("perl", ["-e", script, root], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      await once(child.stdout, "data");
      expect(await readBundleConfig("/bundle", child.pid)).toBe("its own");
    } finally {
      child.stdin.end();
      await once(child, "exit");
    }
  },
);
