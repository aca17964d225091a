/**
 * The Container Storage Interface (1.12): Kubernetes and Nomad make, publish and remove volumes of this node through gRPC on
 * a Unix socket, and every one of them stays a volume like any other.
 *
 * - One program is Identity, Controller and Node of one node (`--csi-node-id`): topology leads everybody else away. There is
 *   no staging and no controller publishing, because a directory needs neither.
 * - Names: see `names.ts`. A published volume is a container's attachment, the container's id being made of the target's
 *   path. So nothing is kept here: after a restart every call finds what the engine knows, and may be repeated.
 * - A second call for a volume while one is under way is ABORTED; publishing and unpublishing wait a moment for their turn.
 * - Deleting destroys: the content is retained as ever, and `restore` brings it back.
 * - Refused are block devices, access modes that want several nodes, mount flags that we do not set, and every field that
 *   breaks the specification's limits. Secrets are not even read.
 */
import type { Log } from "../../ports/log.ts";
import type { PeerOf } from "../http/peer.ts";
import type { Csi } from "./context.ts";
import { controllerHandlers } from "./controller.ts";
import descriptors from "./csi.json" with { type: "json" };
import { startGrpc } from "./grpc.ts";
import { identityHandlers } from "./identity.ts";
import { type Turns, takeTurns } from "./in-flight.ts";
import { nodeHandlers } from "./node.ts";
import { createTargets } from "./targets.ts";

export interface CsiOptions extends Omit<Csi, keyof Turns | "targets"> {
  readonly path: string;
  /** Descriptor of a socket that listens there already. */
  readonly listener?: number | undefined;
  readonly log: Log;
  readonly peer: PeerOf;
}

/** Who can open it gets any volume. */
const SOCKET_MODE = 0o600;

/** Starts to listen. @throws `conflict` when somebody answers there, or the path is not a socket */
export function startCsi(options: CsiOptions): Promise<{ close(): Promise<void> }> {
  const { path, listener, log, peer } = options;
  const csi: Csi = { ...options, ...takeTurns(), targets: createTargets() };
  return startGrpc({
    descriptors,
    services: {
      "csi.v1.Identity": identityHandlers(csi),
      "csi.v1.Controller": controllerHandlers(csi),
      "csi.v1.Node": nodeHandlers(csi),
    },
    path,
    mode: SOCKET_MODE,
    listener,
    log,
    peer,
  });
}
