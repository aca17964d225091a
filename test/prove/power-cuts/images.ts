/** The disks of the guests: one with the programs, which is never written, and one for each file system under test. */
import { rmSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import { makeProgram } from "../../e2e/bundled-program.ts";
import { run } from "../../e2e/run.ts";

/** Sparse. */
const SIZE = "2G";

const MAKE = {
  ext4: ["mkfs.ext4", "-q", "-m", "0"],
  xfs: ["mkfs.xfs", "-q", "-f"],
  btrfs: ["mkfs.btrfs", "-q", "-f"],
} as const;

export type FileSystem = keyof typeof MAKE;

export const FILE_SYSTEMS = Object.keys(MAKE) as readonly FileSystem[];

/** A new, empty one in the place of any older one. */
export async function makeDataDisk(image: string, fileSystem: FileSystem): Promise<void> {
  rmSync(image, { force: true });
  await run("truncate", "-s", SIZE, image);
  const [program, ...args] = MAKE[fileSystem];
  await run(program, ...args, image);
}

/** The daemon as it is installed, with its Node, and the program that runs the guest's lives: `node`, `guest-worker.js`. */
export async function makeProgramDisk(directory: string): Promise<string> {
  const [programs, image] = [path.join(directory, "programs"), path.join(directory, "programs.img")];
  await makeProgram(programs);
  await copyFile(process.execPath, path.join(programs, "node"));
  await build({
    entryPoints: [path.join(import.meta.dirname, "guest-worker.ts")],
    outdir: programs,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node26",
    banner: {
      js: 'import{createRequire as $createRequire}from"node:module";const require=$createRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  await run("truncate", "-s", SIZE, image);
  await run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", "-d", programs, image);
  return image;
}
