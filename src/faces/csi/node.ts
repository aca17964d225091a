/** The node's calls: publish and unpublish, how full a volume is and how well, and who the node is. */

import type { Csi } from "./context.ts";
import { expandOnNode } from "./expand.ts";
import type { Handlers } from "./grpc.ts";
import { storageHealth, volumeHealth, volumeStats } from "./health.ts";
import { publishVolume } from "./publish.ts";
import { topologyOf } from "./topology.ts";
import { unpublishVolume } from "./unpublish.ts";

const RPC = {
  GET_VOLUME_STATS: 2,
  EXPAND_VOLUME: 3,
  VOLUME_CONDITION: 4,
  SINGLE_NODE_MULTI_WRITER: 5,
  VOLUME_MOUNT_GROUP: 6,
  GET_VOLUME_HEALTH: 7,
  GET_STORAGE_HEALTH: 8,
} as const;

const CAPABILITIES = Object.freeze({ capabilities: Object.values(RPC).map((type) => ({ rpc: { type } })) });

export function nodeHandlers(csi: Csi): Handlers {
  const { nodeId } = csi;
  return {
    NodeGetInfo: () => ({ node_id: nodeId, accessible_topology: topologyOf(nodeId) }),
    NodeGetCapabilities: () => CAPABILITIES,
    NodePublishVolume: (request, actor) => publishVolume(csi, request, actor),
    NodeUnpublishVolume: (request, actor) => unpublishVolume(csi, request, actor),
    NodeExpandVolume: (request, actor) => expandOnNode(csi, request, actor),
    NodeGetVolumeStats: (request, actor) => volumeStats(csi, request, actor),
    NodeGetVolumeHealth: (request, actor) => volumeHealth(csi, request, actor),
    NodeGetStorageHealth: (request, actor) => storageHealth(csi, request, actor),
  };
}
