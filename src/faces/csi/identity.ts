/** Who we are, what we can, and whether we are well. */
import { codeOf, messageOf } from "../../domain/error.ts";
import type { Csi } from "./context.ts";
import type { Handlers } from "./grpc.ts";
import { CsiError } from "./status.ts";

export const PLUGIN_NAME = "csi.holdfast.dev";

const CONTROLLER_SERVICE = 1;
const VOLUME_ACCESSIBILITY_CONSTRAINTS = 2;
/** Volumes grow while they are used. */
const ONLINE = 1;

const CAPABILITIES = Object.freeze({
  capabilities: [
    { service: { type: CONTROLLER_SERVICE } },
    { service: { type: VOLUME_ACCESSIBILITY_CONSTRAINTS } },
    { volume_expansion: { type: ONLINE } },
  ],
});

export function identityHandlers({ engine, version }: Csi): Handlers {
  return {
    GetPluginInfo: () => ({ name: PLUGIN_NAME, vendor_version: version }),
    GetPluginCapabilities: () => CAPABILITIES,
    Probe: async () => {
      if (!engine.ready) return { ready: { value: false } };
      try {
        await engine.ping();
      } catch (error) {
        // It has begun to stop meanwhile, which is no illness.
        if (!engine.ready && codeOf(error) === "unavailable") return { ready: { value: false } };
        throw new CsiError("FAILED_PRECONDITION", `Cannot serve volumes: ${messageOf(error)}`, { cause: error });
      }
      return { ready: { value: true } };
    },
  };
}
