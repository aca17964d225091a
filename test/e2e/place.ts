import { chmod, chown, mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { run } from "./run.ts";

/** A user that programs run as. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** A temporary directory that goes away with everything mounted in it. */
export interface Place {
  readonly dir: string;
  remove(): Promise<void>;
}

/** Everybody may look into it: servers run as other users than the daemon. */
export async function makePlace(name: string, owner?: User): Promise<Place> {
  const dir = await realpath(await mkdtemp(path.join(os.tmpdir(), `holdfast-${name}-`)));
  await chmod(dir, 0o755);
  if (owner !== undefined) await chown(dir, owner.uid, owner.gid);
  return { dir, remove: () => removePlace(dir) };
}

async function removePlace(dir: string): Promise<void> {
  await unmountBelow(dir);
  const left = await mountPointsBelow(dir);
  if (left.length > 0) throw new Error(`Cannot remove ${dir}: still mounted: ${left.join(", ")}`);
  await rm(dir, { recursive: true, force: true });
}

/** Unmounts everything below a directory, the newest mount first, also where a process still sits in it. */
async function unmountBelow(dir: string): Promise<void> {
  const targets = await mountPointsBelow(dir);
  if (targets.length > 0) await run("umount", "--lazy", ...targets.toReversed());
}

async function mountPointsBelow(dir: string): Promise<string[]> {
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  return mounts.map((line) => line.split(" ")[4] ?? "").filter((target) => target.startsWith(`${dir}/`));
}
