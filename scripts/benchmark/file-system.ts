import { mkdir, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../../test/e2e/run.ts";

/** Sparse: what is not written takes no room on the real disk. */
const IMAGE_BYTES = 160 * 2 ** 30;

/**
 * Makes and mounts a fresh ext4 in `dir` and returns where. The loop device goes away with the mount, also when the
 * benchmark dies. Inode tables are written at once, or the kernel would do it in the middle of a measurement.
 */
export async function mountFreshExt4(dir: string, journal: boolean): Promise<string> {
  const image = path.join(dir, "disk.img");
  const target = path.join(dir, "mnt");
  await writeFile(image, "");
  await truncate(image, IMAGE_BYTES);
  const features = journal ? [] : ["-O", "^has_journal"];
  const tables = ["-i", "65536", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
  await run("mkfs.ext4", "-q", "-F", "-m", "0", ...tables, ...features, image);
  await mkdir(target);
  await run("mount", "-o", "loop", image, target);
  return target;
}
