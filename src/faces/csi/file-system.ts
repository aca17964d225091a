/** A volume has the file system of its disk: nobody may choose another one. */
import { HoldfastError } from "../../domain/error.ts";
import type { Actor } from "../../domain/operation.ts";
import { type DiskSource, sourceKey } from "../../domain/resource.ts";
import type { Engine } from "../../engine/engine.ts";

/** @throws `invalid` when another one is asked for; an empty type asks for none */
export async function requireFileSystem(
  engine: Engine,
  actor: Actor,
  { source }: { readonly source: DiskSource },
  fsType: string,
): Promise<void> {
  if (fsType === "") return;
  const { disks } = await engine.status(actor);
  const disk = disks.find((one) => sourceKey(one.source) === sourceKey(source));
  if (disk === undefined || disk.fileSystem === fsType) return;
  throw new HoldfastError(
    "invalid",
    `Cannot serve a volume on ${fsType}: its disk is on ${disk.fileSystem}, leave fs_type empty`,
  );
}
