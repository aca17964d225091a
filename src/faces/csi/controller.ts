/** The controller's calls: what volumes there are, and what becomes of them. */
import { capacityOf } from "./capacity.ts";
import type { Csi } from "./context.ts";
import { createVolume } from "./create.ts";
import { deleteVolume } from "./delete.ts";
import { expandVolume } from "./expand.ts";
import type { Handlers } from "./grpc.ts";
import { getVolume, listVolumes } from "./list.ts";
import { createSnapshot, deleteSnapshot, getSnapshot, listSnapshots } from "./snapshots.ts";
import { validateCapabilities } from "./validate.ts";

const RPC = {
  CREATE_DELETE_VOLUME: 1,
  LIST_VOLUMES: 3,
  GET_CAPACITY: 4,
  CREATE_DELETE_SNAPSHOT: 5,
  LIST_SNAPSHOTS: 6,
  CLONE_VOLUME: 7,
  EXPAND_VOLUME: 9,
  VOLUME_CONDITION: 11,
  GET_VOLUME: 12,
  SINGLE_NODE_MULTI_WRITER: 13,
  GET_SNAPSHOT: 15,
} as const;

const CAPABILITIES = Object.freeze({ capabilities: Object.values(RPC).map((type) => ({ rpc: { type } })) });

export function controllerHandlers(csi: Csi): Handlers {
  return {
    ControllerGetCapabilities: () => CAPABILITIES,
    CreateVolume: (request, actor) => createVolume(csi, request, actor),
    DeleteVolume: (request, actor) => deleteVolume(csi, request, actor),
    ValidateVolumeCapabilities: (request, actor) => validateCapabilities(csi, request, actor),
    ListVolumes: (request, actor) => listVolumes(csi, request, actor),
    ControllerGetVolume: (request, actor) => getVolume(csi, request, actor),
    GetCapacity: (request, actor) => capacityOf(csi, request, actor),
    ControllerExpandVolume: (request, actor) => expandVolume(csi, request, actor),
    CreateSnapshot: (request, actor) => createSnapshot(csi, request, actor),
    DeleteSnapshot: (request, actor) => deleteSnapshot(csi, request, actor),
    ListSnapshots: (request, actor) => listSnapshots(csi, request, actor),
    GetSnapshot: (request, actor) => getSnapshot(csi, request, actor),
  };
}
