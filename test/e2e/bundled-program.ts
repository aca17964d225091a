/** Holdfast as it is installed: one file that starts quickly, also where reading the source takes many times as long. */
import { copyFile } from "node:fs/promises";
import path from "node:path";
import { run } from "./run.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");
const NATIVE = `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`;

/** Makes it in a directory, and returns the file to run with Node. */
export async function makeProgram(directory: string): Promise<string> {
  await run(process.execPath, path.join(REPOSITORY, "scripts/bundle.ts"), directory);
  await copyFile(path.join(REPOSITORY, NATIVE), path.join(directory, "koffi.node"));
  return path.join(directory, "main.js");
}
