/** What volumes are filled with for their deletion. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";

/** Fills a directory, in `count` small files or whatever makes as much work, and says how many names it made. */
export type Tree = (dir: string, count: number) => number;

const PER_DIRECTORY = 100;
const SMALL = Buffer.alloc(1024, "x");
const MEBIBYTE = Buffer.alloc(2 ** 20, "x");
const SMALL_FILES_PER_MEBIBYTE = 100;
const DEPTH = 10;
const BIG_MEBIBYTES = 250;

export const TREES = { files, directories, "big files": bigFiles } as const satisfies Record<string, Tree>;

/** Without content, as fast as a kernel makes them. */
export function emptyFiles(dir: string, count: number): number {
  return inDirectories(dir, count, (file) => closeSync(openSync(file, "w")));
}

function files(dir: string, count: number): number {
  return inDirectories(dir, count, (file) => writeFileSync(file, SMALL));
}

/** Chains of directories, side by side. */
function directories(dir: string, count: number): number {
  const chains = Math.ceil(count / DEPTH / 4);
  for (let chain = 0; chain < chains; chain += 1) {
    mkdirSync(path.join(dir, `d${chain}`, ..."abcdefghi"), { recursive: true });
  }
  return chains * DEPTH;
}

function bigFiles(dir: string, count: number): number {
  const number = Math.ceil(count / SMALL_FILES_PER_MEBIBYTE / BIG_MEBIBYTES);
  for (let file = 0; file < number; file += 1) {
    const fd = openSync(path.join(dir, `big-${file}`), "w");
    for (let written = 0; written < BIG_MEBIBYTES; written += 1) writeSync(fd, MEBIBYTE);
    closeSync(fd);
  }
  return number;
}

function inDirectories(dir: string, count: number, make: (file: string) => void): number {
  for (let file = 0; file < count; file += 1) {
    const parent = path.join(dir, `d${Math.floor(file / PER_DIRECTORY)}`);
    if (file % PER_DIRECTORY === 0) mkdirSync(parent);
    make(path.join(parent, `file-${file % PER_DIRECTORY}`));
  }
  return count + Math.ceil(count / PER_DIRECTORY);
}
