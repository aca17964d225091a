import { type DiskSource, sourceKey } from "../../src/domain/resource.ts";
import { disk } from "../domain/world.ts";
import { fakeRandom } from "../fakes/fake-random.ts";
import { MemoryDisk } from "../fakes/memory-disk.ts";
import { type Rig, startRig } from "./rig.ts";

/** A node that has these MOUNT disks beside its own: path and MB. */
export function startWithMounts(...disks: readonly (readonly [root: string, sizeMb: number])[]): Promise<Rig> {
  const sources = disks.map(([root]): DiskSource => ({ type: "MOUNT", root }));
  return startRig({
    declared: [disk(1_000), ...disks.map(([root, sizeMb]) => disk(sizeMb, [], { type: "MOUNT", root }))],
    otherDisks: sources.map(
      (source, index) => new MemoryDisk({ source, root: sourceKey(source), random: fakeRandom(index + 2) }),
    ),
  });
}
