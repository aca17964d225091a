/** Holdfast as it is installed, for a guest: to read the source takes an emulated processor many times as long. */
import { copyFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../e2e/run.ts";
import { REPOSITORY } from "./machine.ts";

const NATIVE = "node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node";

/** Makes it in a directory, and returns the file to run with Node. */
export async function makeProgram(directory: string): Promise<string> {
  await run(process.execPath, path.join(REPOSITORY, "scripts/bundle.ts"), directory);
  await copyFile(path.join(REPOSITORY, NATIVE), path.join(directory, "koffi.node"));
  return path.join(directory, "main.js");
}
