/** The guest is what the tests of quotas need: another kernel, and file systems that hold a directory to its size. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { release } from "node:os";
import { describe, expect, test } from "vitest";

const { HOLDFAST_GUEST_EXT4: ext4, HOLDFAST_GUEST_XFS: xfs, HOLDFAST_GUEST_BTRFS: btrfs } = process.env;

const PROJECT = "4242";
const LIMIT_BYTES = 1024 * 1024;
const BLOCK_BYTES = 4096;

describe.runIf(ext4 !== undefined)("the guest", () => {
  test("runs Debian's kernel", () => {
    expect(release()).toMatch(/-cloud-amd64$/);
  });

  test("runs the Node that runs the tests outside", () => {
    expect(process.version).toBe(`v${JSON.parse(readFileSync("package.json", "utf8")).engines.node}`);
  });

  test.each([
    ["ext4", ext4, "prjquota"],
    ["xfs", xfs, "prjquota"],
    ["btrfs", btrfs, "rw"],
  ])("has %s mounted, on a disk of its own", (type, mountPoint, option) => {
    const [device, , mountedType, options] = mountsOf(mountPoint);
    expect(device).toMatch(/^\/dev\/vd[abc]$/);
    expect(mountedType).toBe(type);
    expect(options?.split(",")).toContain(option);
  });

  test("cannot write to the host's files", () => {
    mkdirSync("/tmp/host");
    execFileSync("mount", ["-t", "virtiofs", "host", "/tmp/host"]);
    try {
      expect(() => mkdirSync("/tmp/host/tmp/made-by-the-guest")).toThrow("EROFS");
    } finally {
      execFileSync("umount", ["/tmp/host"]);
    }
  });

  test.each([
    ["ext4", ext4, "Disk quota exceeded"],
    // A project is like a disk there.
    ["xfs", xfs, "No space left on device"],
  ])("%s ends a write past a project's limit, and says how much is there", (_, mountPoint, message) => {
    const directory = `${mountPoint}/limited`;
    mkdirSync(directory);
    quotaTool(mountPoint, `project -s -p ${directory} ${PROJECT}`);
    quotaTool(mountPoint, `limit -p bhard=${LIMIT_BYTES} ${PROJECT}`);
    expect(fill(directory)).toContain(message);
    // The directory itself has a block, where it counts.
    expect(statSync(`${directory}/filler`).size).toBeGreaterThanOrEqual(LIMIT_BYTES - BLOCK_BYTES);
    const { blocks, bsize } = statfsSync(directory);
    expect(blocks * bsize).toBe(LIMIT_BYTES);
  });

  test("btrfs ends a write past a subvolume's limit", () => {
    const directory = `${btrfs}/limited`;
    execFileSync("btrfs", ["subvolume", "create", directory]);
    execFileSync("btrfs", ["qgroup", "limit", String(LIMIT_BYTES), directory]);
    expect(fill(directory)).toContain("Disk quota exceeded");
    expect(statSync(`${directory}/filler`).size).toBeLessThan(LIMIT_BYTES);
  });
});

/** The fields of its line in the table of mounts. */
function mountsOf(mountPoint: string | undefined): readonly string[] {
  const lines = readFileSync("/proc/mounts", "utf8").split("\n");
  return lines.map((line) => line.split(" ")).find(([, where]) => where === mountPoint) ?? [];
}

function quotaTool(mountPoint: string | undefined, command: string): void {
  execFileSync("xfs_quota", ["-x", "-f", "-c", command, String(mountPoint)]);
}

/** Writes until it is stopped, as one who may not take more than there is; returns what stopped it. */
function fill(directory: string): string {
  const bounded = ["--bounding-set=-sys_resource", "--inh-caps=-sys_resource", "--"];
  const write = ["dd", "if=/dev/zero", `of=${directory}/filler`, "bs=64k", "count=64", "conv=fsync"];
  return spawnSync("setpriv", [...bounded, ...write], { env: { ...process.env, LANG: "C" } }).stderr.toString();
}
