/** A work root with several names, and what earlier owners may have left in it. */
import { mkdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../../e2e/run.ts";
import type { Chance } from "../../simulation/chance.ts";

const LONG_AGO_S = 1_000;

export interface Ground {
  /** The work root's own path, through a symlink, through a bind mount. */
  readonly names: readonly string[];
  remove(): Promise<void>;
}

export async function makeGround(dir: string): Promise<Ground> {
  const [root, link, bound] = ["root", "link", "bound"].map((name) => path.join(dir, name)) as [string, string, string];
  for (const made of [root, bound]) await mkdir(made, { recursive: true, mode: 0o700 });
  await symlink(root, link);
  await run("mount", "--bind", root, bound);
  return {
    names: [root, link, bound],
    remove: async () => {
      await run("umount", "--lazy", bound);
      await rm(dir, { recursive: true });
    },
  };
}

/** Leaves what a crash, another tool or an operator may leave where the owner says who it is; says what. */
export async function leaveBehind(root: string, chance: Chance): Promise<string> {
  const meta = path.join(root, "meta");
  const [pidFile, mark] = [path.join(meta, "pid"), path.join(meta, "pid.lock")];
  await mkdir(meta, { recursive: true, mode: 0o700 });
  for (const old of [pidFile, mark]) await rm(old, { recursive: true, force: true });
  const leftovers: Readonly<Record<string, () => Promise<unknown>>> = {
    nothing: async () => undefined,
    "a fresh mark": () => mkdir(mark),
    "an old mark": async () => {
      await mkdir(mark);
      await utimes(mark, LONG_AGO_S, LONG_AGO_S);
    },
    "a mark that is full": () => mkdir(path.join(mark, "full"), { recursive: true }),
    "a file in place of the mark": () => writeFile(mark, ""),
    "the pid of another process": () => writeFile(pidFile, "1\n"),
    "the pid of nobody": () => writeFile(pidFile, "4194304\n"),
    "no pid": () => writeFile(pidFile, "../../etc/passwd\n"),
    "a directory in place of the pid": () => mkdir(pidFile),
    "a symlink to nowhere in place of the pid": () => symlink("/nowhere/at/all", pidFile),
  };
  const what = chance.pick(Object.keys(leftovers));
  await leftovers[what]?.();
  return what;
}

/** After these nobody can say who the owner is. */
export const NAMELESS: readonly string[] = [
  "a directory in place of the pid",
  "a symlink to nowhere in place of the pid",
];
