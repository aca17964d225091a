/** Control groups of a test's own, in every hierarchy of the machine, for all that containers get. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import path from "node:path";

const HIERARCHIES = "/sys/fs/cgroup";
/** A group without them takes no process, and the kernel copies them to no new one. */
const INHERITED = ["cpuset.cpus", "cpuset.mems"];

export async function makeGroups(group: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const directory = path.join(hierarchy, group);
    await mkdir(directory);
    for (const name of INHERITED.filter((file) => existsSync(path.join(directory, file)))) {
      await writeFile(path.join(directory, name), await readFile(path.join(hierarchy, name), "utf8"));
    }
  }
}

/** Removes it with everything below; nothing may live in it any more. */
export async function removeGroups(group: string): Promise<void> {
  for (const directory of await groupDirectories(group)) await rmdir(directory);
}

/** Who lives in the group or below it; directories that are empty are kubelet's to leave. */
export async function processesIn(group: string): Promise<readonly string[]> {
  const lists = (await groupDirectories(group)).map((directory) => path.join(directory, "cgroup.procs"));
  const texts = await Promise.all(lists.map((list) => readFile(list, "utf8").catch(() => "")));
  return texts.flatMap((text) => text.split("\n").filter((pid) => pid !== ""));
}

/** Every directory of the group and of what is below it, the innermost first. */
export async function groupDirectories(group: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const hierarchy of await hierarchies()) {
    const top = path.join(hierarchy, group);
    if (!existsSync(top)) continue;
    const inner = await readdir(top, { recursive: true, withFileTypes: true });
    const below = inner
      .filter((entry) => entry.isDirectory())
      .map(({ parentPath, name }) => path.join(parentPath, name));
    found.push(...below.toSorted((left, right) => right.length - left.length), top);
  }
  return found;
}

async function hierarchies(): Promise<readonly string[]> {
  if (existsSync(path.join(HIERARCHIES, "cgroup.procs"))) return [HIERARCHIES];
  const entries = await readdir(HIERARCHIES, { withFileTypes: true });
  const directories = entries.filter((entry) => entry.isDirectory()).map(({ name }) => path.join(HIERARCHIES, name));
  return directories.filter((directory) => existsSync(path.join(directory, "cgroup.procs")));
}
