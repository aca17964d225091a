/** The collection of sandboxes under attack: the sandbox and what lies in it are exchanged, a volume is mounted in it. */
import { existsSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DirectoryIdentity } from "../../../src/domain/records.ts";
import type { ContainerPath } from "../../../src/domain/units.ts";
import { createBindMounter } from "../../../src/host/bind-mounter.ts";
import { createSandboxes } from "../../../src/host/sandboxes.ts";
import type { Sandbox } from "../../../src/ports/sandboxes.ts";
import type { Grounds } from "./grounds.ts";
import { doneUnless, type Scene, type SceneKind, type Tried } from "./scene.ts";

export const HANDED_SCENES: readonly SceneKind[] = [
  {
    name: "collect a sandbox, it and its directories exchanged",
    operations: ["hand over", "collect sandbox"],
    start: handed,
  },
];

/** A symlink has its place, or it has gone from it while it was looked at. */
const REFUSALS = ["invalid", "conflict", "damaged", "in_use", "unavailable"];
const ATTEMPTS = 5_000;

async function handed(grounds: Grounds): Promise<Scene> {
  const { place, yard } = grounds;
  const sandboxes = createSandboxes({ foundations: [join(grounds.base, "work-root")] });
  const mounter = createBindMounter();
  const volume = place.volume();
  const disks = [volume.diskRoot];
  let rounds = 0;

  /** Unmounts and deletes it; says whether it is gone. */
  async function collect(sandbox: Sandbox): Promise<boolean> {
    sandboxes.detach(sandbox, disks);
    const { entries } = await sandboxes.purge(sandbox);
    return entries > 0;
  }

  return {
    exchanges: [],
    async round(race) {
      rounds += 1;
      const [box, link, bystander] = [`box-${rounds}`, `link-${rounds}`, `bystander-${rounds}`];
      const path = grounds.directory(box);
      grounds.fill(path);
      mkdirSync(join(path, "volume"));
      symlinkSync(grounds.victim, join(yard, link));
      // Not the attackers' own, but they may rename it.
      mkdirSync(join(yard, bystander));
      writeFileSync(join(yard, bystander, "file"), "");
      await mounter.attach({ ...place.request(volume, path), containerPath: "volume" as ContainerPath });
      const directory = identityOf(path);
      await race([
        { directory: yard, names: [box, link] },
        { directory: yard, names: [box, bystander] },
        { directory: path, names: ["data", "link"] },
        { directory: join(path, "data"), names: ["data", "link"] },
      ]);
      const tried: Tried[] = [];
      await persist("hand over", tried, async () => sandboxes.examine(path, disks));
      await persist("collect sandbox", tried, async () => (await collect({ path, directory })) || undefined);
      await race([]);
      const mounts = place.mounts();
      if (mounts.length > 0) throw new Error(`${mounts.join(", ")} is still mounted behind the collection`);
      if (!existsSync(join(volume.content, "name"))) throw new Error("the content of a volume was deleted");
      const left = [box, link, bystander].map((name) => join(yard, name));
      if (!left.some((name) => existsSync(join(name, "file")))) throw new Error("another directory was emptied");
      // What was renamed while it was deleted is not found any more.
      for (const name of left) rmSync(name, { recursive: true, force: true });
      return tried;
    },
    async end() {
      await sandboxes.close();
      await mounter.close();
    },
  };
}

/** Tries until it has a result, and notes every attempt. */
async function persist<T>(operation: string, tried: Tried[], work: () => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const result = await doneUnless(REFUSALS, work);
    tried.push({ operation, done: result !== undefined });
    if (result !== undefined) return result;
  }
  throw new Error(`Cannot ${operation} in ${ATTEMPTS} attempts`);
}

function identityOf(path: string): DirectoryIdentity {
  const { ino, birthtimeNs } = lstatSync(path, { bigint: true });
  return { ino: String(ino), birthNs: String(birthtimeNs) };
}
