/** Mounts of volumes that no record tells of. */
import { nameOf } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import { takeAway } from "./attach.ts";
import type { StrayMount } from "./engine.ts";
import { rootOf } from "./handed-ports.ts";
import type { Parts } from "./parts.ts";

/** As `Engine.unmountStray`. */
export async function unmountStray(parts: Parts, { role, id, sandbox, containerPath }: StrayMount): Promise<void> {
  const volume = await parts.ledger.read((state) => state.live(role, id));
  if (volume === undefined) {
    throw new HoldfastError("no_such_volume", `Cannot unmount ${role}/${id}: there is no such volume`);
  }
  const { uuid, source, directory } = volume;
  await parts.serial.run(uuid, async () => {
    const owner = parts.ledger.state
      .containersOf(uuid)
      .find((one) => one.sandbox === sandbox && one.attachments.some((its) => its.containerPath === containerPath));
    if (owner !== undefined) {
      throw new HoldfastError("in_use", `Cannot unmount ${nameOf(volume)}: container ${owner.id} has it there`);
    }
    const diskRoot = rootOf(parts.disks, source);
    const mounted = { sandbox, containerPath, uuid, diskRoot, directory, mode: "RW", madeMountpoint: false } as const;
    await takeAway(parts, mounted, { force: false });
  });
}
