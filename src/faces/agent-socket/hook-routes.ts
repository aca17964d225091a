/** `POST /v1/hooks/STAGE`: what an OCI runtime's hook sends. See `oci-hook.ts` for what it means. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { AttachRequest, Engine } from "../../engine/engine.ts";
import type { PeerOf } from "../http/peer.ts";
import { containerJson } from "../http/views.ts";
import { type HookedContainer, parseHook, parseWish } from "./oci-hook.ts";
import type { ContainerJson, HookIdleJson } from "./wire.ts";

/** What the node knows about a hook and its bundle. */
export interface HookHost {
  /** The text of `config.json` in a bundle, as the process `seenBy` sees it, else as we do. @throws `invalid` */
  readBundleConfig(bundle: string, seenBy?: number): Promise<string>;
  /** The container runtime that a process belongs to, for people: `runc`. */
  runtimeOf(pid: number): string | undefined;
}

export interface HookRoutesOptions {
  readonly engine: Engine;
  readonly host: HookHost;
  readonly peer: PeerOf;
  readonly readBody: (request: FastifyRequest) => unknown;
}

const UNKNOWN_RUNTIME = "oci";

export function addHookRoutes(app: FastifyInstance, { engine, host, peer, readBody }: HookRoutesOptions): void {
  app.post<{ Params: { readonly stage: string } }>(
    "/v1/hooks/:stage",
    async (request): Promise<ContainerJson | HookIdleJson> => {
      const hooked = parseHook(request.params.stage, readBody(request as FastifyRequest));
      if (hooked === undefined) return {};
      // The hook waits for our answer, so that it sees for us what its runtime sees.
      const hookPid = peer(request.raw.socket)?.pid;
      const wanted = await attachRequest(hooked, host, hookPid === 0 ? undefined : hookPid);
      return wanted === undefined ? {} : containerJson(await engine.attach(request.actor, wanted));
    },
  );
}

async function attachRequest(
  hooked: HookedContainer,
  host: HookHost,
  seenBy: number | undefined,
): Promise<AttachRequest | undefined> {
  const wish = parseWish(hooked, await host.readBundleConfig(hooked.bundle, seenBy));
  if (wish === undefined) return undefined;
  const { rootfs, ...wanted } = wish;
  const process = { pid: hooked.pid, rootfs, ...(seenBy === undefined ? {} : { seenBy }) };
  const runtime = (seenBy === undefined ? undefined : host.runtimeOf(seenBy)) ?? UNKNOWN_RUNTIME;
  return Object.freeze({ ...wanted, process: Object.freeze(process), runtime });
}
