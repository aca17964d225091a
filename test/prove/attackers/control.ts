/**
 * The negative control: the same attackers against what everybody writes first, which looks at a path and then acts on
 * it. They must win, or else the races prove nothing.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { MS, mount, UMOUNT, umount2 } from "../../../src/host/syscalls.ts";
import { raceScene, type SceneKind } from "./scene.ts";

const LONGEST_MS = 15_000;

/** One sentence for each control that was not led astray. */
export async function tryControls(): Promise<readonly string[]> {
  const violations: string[] = [];
  for (const kind of [NAIVE_ATTACH, NAIVE_COLLECT]) {
    const endMs = performance.now() + LONGEST_MS;
    const raced = await raceScene(kind, { count: Number.POSITIVE_INFINITY, isOver: () => performance.now() >= endMs });
    if (raced.violations.length === 0) violations.push(`${kind.name} was not led astray: the races prove nothing`);
  }
  return violations;
}

const NAIVE_ATTACH: SceneKind = {
  name: "control, an attach that looks and then mounts",
  operations: ["attach"],
  async start(grounds) {
    const sandbox = grounds.directory("box");
    const target = grounds.directory("box", "data");
    const { content } = grounds.place.volume();
    symlinkSync(join(grounds.victim, "deep"), join(sandbox, "other"));
    return {
      exchanges: [{ directory: sandbox, names: ["data", "other"] }],
      async round() {
        if (realpathSync(target) !== target) return [{ operation: "attach", done: false }];
        mount(content, target, null, MS.BIND);
        const mounts = grounds.place.mounts();
        for (const path of mounts) umount2(path, UMOUNT.DETACH | UMOUNT.NOFOLLOW);
        const astray = mounts.find((path) => path.startsWith(grounds.victim));
        if (astray !== undefined) throw new Error(`it mounted at ${astray}`);
        return [{ operation: "attach", done: true }];
      },
      end: async () => {},
    };
  },
};

const NAIVE_COLLECT: SceneKind = {
  name: "control, a deletion that looks and then deletes",
  operations: ["collect"],
  async start(grounds) {
    let rounds = 0;
    return {
      exchanges: [],
      async round(race) {
        rounds += 1;
        const content = grounds.directory(`content-${rounds}`);
        mkdirSync(join(content, "data/deep"), { recursive: true });
        symlinkSync(grounds.victim, join(content, "link"));
        grounds.give(join(content, "data"), join(content, "data/deep"));
        await race([{ directory: content, names: ["data", "link"] }]);
        for (let attempt = 0; attempt < 100; attempt += 1) removeNaively(content);
        await race([]);
        removeNaively(content);
        return [{ operation: "collect", done: true }];
      },
      end: async () => {},
    };
  },
};

function removeNaively(path: string): void {
  try {
    if (lstatSync(path).isDirectory()) {
      for (const name of readdirSync(path)) removeNaively(join(path, name));
      rmdirSync(path);
    } else unlinkSync(path);
  } catch {
    // It was disturbed.
  }
}
