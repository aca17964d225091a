/**
 * Kubelet's plugin registration, which a sidecar does for other drivers: a socket in kubelet's registry directory, on which
 * kubelet asks who is there and says what came of it. A kubelet that starts again finds the socket and asks again; a socket
 * that is made anew is asked anew, which is how a refusal is tried again; one that goes away takes the plugin off kubelet's
 * books until it is back.
 */
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "../../domain/error.ts";
import type { Log } from "../../ports/log.ts";
import type { PeerOf } from "../http/peer.ts";
import { parseRequest } from "./fields.ts";
import { startGrpc } from "./grpc.ts";
import { PLUGIN_NAME } from "./identity.ts";
import descriptors from "./registration.json" with { type: "json" };

export interface RegistrationOptions {
  /** Where kubelet looks for plugins, such as /var/lib/kubelet/plugins_registry. */
  readonly directory: string;
  /** The driver's own socket, as kubelet finds it. */
  readonly endpoint: string;
  readonly log: Log;
  readonly peer: PeerOf;
  /** How long to wait before kubelet is asked again, at first and at most, in milliseconds. */
  readonly patience?: { readonly ms: number; readonly msMax: number };
}

export interface Registration {
  /** What to say of it in the node's status. */
  remarks(): { readonly problems: readonly string[]; readonly notices: readonly string[] };
  close(): Promise<void>;
}

const SOCKET_MODE = 0o600;
/** Of CSI, as kubelet counts: every 1.x is one. */
const SUPPORTED_VERSIONS = ["1.0.0"];
const PATIENCE = { ms: 1_000, msMax: 60_000 };
const REASON_CHARACTERS_MAX = 500;
const CONTROLS = /\p{Cc}+/gu;

type State =
  | { readonly is: "awaited" }
  | { readonly is: "registered" }
  | { readonly is: "refused"; readonly why: string };

const notification = z.object({ plugin_registered: z.boolean(), error: z.string() });

/** Starts to listen. @throws `conflict` when somebody answers on the socket: another driver of this name, or its sidecar */
export async function startRegistration(options: RegistrationOptions): Promise<Registration> {
  const { directory, endpoint, log, peer, patience = PATIENCE } = options;
  const path = join(directory, `${PLUGIN_NAME}-reg.sock`);
  let state: State = { is: "awaited" };
  let refusals = 0;
  let again: NodeJS.Timeout | undefined;

  const listen = () =>
    startGrpc({
      descriptors,
      services: {
        "pluginregistration.Registration": {
          GetInfo: () => ({ type: "CSIPlugin", name: PLUGIN_NAME, endpoint, supported_versions: SUPPORTED_VERSIONS }),
          NotifyRegistrationStatus: (request) => {
            const told = parseRequest(notification, request);
            if (told.plugin_registered) accepted();
            else refused(reasonOf(told.error));
            return {};
          },
        },
      },
      path,
      mode: SOCKET_MODE,
      log,
      peer,
    });
  const accepted = (): void => {
    state = { is: "registered" };
    refusals = 0;
    log.info({ driver: PLUGIN_NAME }, "Kubelet registered the driver");
  };
  const refused = (why: string): void => {
    state = { is: "refused", why };
    log.error({ driver: PLUGIN_NAME, reason: why }, "Kubelet refused to register the driver");
    clearTimeout(again);
    const ms = Math.min(patience.msMax, patience.ms * 2 ** refusals);
    again = setTimeout(() => {
      turn = askAgain();
    }, ms);
    refusals += 1;
  };
  /** Kubelet does not come back to a socket that it has been to: it takes a new one. */
  const askAgain = async (): Promise<void> => {
    await server?.close();
    server = undefined;
    try {
      server = await listen();
    } catch (error) {
      refused(messageOf(error));
    }
  };
  let turn: Promise<void> | undefined;
  let server: Awaited<ReturnType<typeof startGrpc>> | undefined = await listen();
  return {
    remarks: () => ({
      problems: state.is === "refused" ? [`Kubelet refused to register the driver ${PLUGIN_NAME}: ${state.why}`] : [],
      notices:
        state.is === "awaited"
          ? [`Kubelet has not registered the driver ${PLUGIN_NAME} yet, it is told in ${path}`]
          : [],
    }),
    close: async () => {
      clearTimeout(again);
      await turn;
      clearTimeout(again);
      await server?.close();
    },
  };
}

function reasonOf(error: string): string {
  const text = error.replace(CONTROLS, " ").slice(0, REASON_CHARACTERS_MAX);
  return text === "" ? "it gave no reason" : text;
}
