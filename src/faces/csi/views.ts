/** Volumes, and how they are, as CSI shows them. */
import type { VolumeView } from "../../engine/engine.ts";
import { bytesOf } from "./capacity-range.ts";
import type { Csi } from "./context.ts";
import { wireId } from "./names.ts";
import { topologyOf } from "./topology.ts";

export function volumeEntry({ nodeId }: Pick<Csi, "nodeId">, { volume }: VolumeView, source?: object): object {
  return {
    capacity_bytes: bytesOf(volume.size),
    volume_id: wireId(volume),
    ...(source === undefined ? {} : { content_source: source }),
    accessible_topology: [topologyOf(nodeId)],
  };
}

/** For people, as 1.12 has it. */
export function condition(problem: string | undefined): object {
  return { abnormal: problem !== undefined, message: problem ?? "The volume is well" };
}
