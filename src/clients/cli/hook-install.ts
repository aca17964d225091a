/** The hooks.d file: podman and CRI-O put the hook into every container with our annotation. */
import { open, readFile, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { HoldfastError, messageOf } from "../../domain/error.ts";
import { type HookEntry, hookEntry } from "./hook-entry.ts";
import { makeDirectories } from "./make-directories.ts";

export const HOOKS_DIR = "/etc/containers/oci/hooks.d";

const FILE_NAME = "holdfast.json";
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

export interface HookPlace {
  /** As the machine with this root sees it. */
  readonly hooksDir: string;
  /** Absolute path. */
  readonly socket: string;
  /** Of the machine that is prepared: "/" is this one. */
  readonly root: string;
}

/**
 * Writes the file, all of it or not at all.
 * @returns where it is, and whether it had to be written
 */
export async function installHook({
  hooksDir,
  socket,
  root,
}: HookPlace): Promise<{ readonly path: string; readonly changed: boolean }> {
  const directory = join(root, resolve(hooksDir));
  const path = `${directory}/${FILE_NAME}`;
  const text = `${JSON.stringify(hookFile(hookEntry(socket, root)), null, 2)}\n`;
  try {
    makeDirectories(directory, DIRECTORY_MODE);
    if ((await present(path)) === text) return { path, changed: false };
    await replaceFile(path, text);
    return { path, changed: true };
  } catch (cause) {
    throw new HoldfastError("unavailable", `Cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
}

function hookFile(hook: HookEntry): object {
  return {
    version: "1.0.0",
    hook,
    when: { annotations: { "^io\\.holdfast\\.volumes$": ".+" } },
    stages: ["createRuntime"],
  };
}

async function present(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}

/** The name of the draft does not end in .json, so that nobody takes it for a hook. */
async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}`;
  try {
    const file = await open(draft, "w", FILE_MODE);
    try {
      await file.writeFile(text);
      // The umask may have taken bits away, and podman may run as anybody.
      await file.chmod(FILE_MODE);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}
