/** Attaching and detaching by the container's name. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { parseContainerId } from "../../domain/names.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { AttachRequest, Engine } from "../../engine/engine.ts";
import { parseQuery, parseWith, text } from "../http/schema.ts";
import { containerJson } from "../http/views.ts";
import { parseApp, parseSandbox, parseVolumeList, VOLUME_LIST, type VolumeList } from "./volume-list.ts";
import type { ContainerJson, DetachedJson } from "./wire.ts";

/** The highest value of a uid means "none". */
const OWNER_ID_MAX = 2 ** 32 - 2;
/** The kernel's own limit. */
const PID_MAX = 2 ** 22;

export const ownerId = z.int().min(0).max(OWNER_ID_MAX);
export const processId = z.int().positive().max(PID_MAX);

const CONTAINER = z.strictObject({
  sandbox: text,
  app: z.unknown().optional(),
  volumes: VOLUME_LIST.optional(),
  uid: ownerId.optional(),
  gid: ownerId.optional(),
  group: ownerId.optional(),
  pid: processId.optional(),
});

const DETACH_QUERY = z.strictObject({ force: z.enum(["true", "false"]).default("false") });

interface Address {
  readonly Params: { readonly container: string };
}

export function addContainerRoutes(
  app: FastifyInstance,
  engine: Engine,
  readBody: (request: FastifyRequest) => unknown,
): void {
  app.put<Address>("/v1/containers/:container", async (request): Promise<ContainerJson> => {
    const container = parseContainerId(request.params.container);
    const wanted = parseContainer(container, readBody(request as FastifyRequest));
    return containerJson(await engine.attach(request.actor, wanted));
  });

  app.delete<Address>("/v1/containers/:container", async (request): Promise<DetachedJson> => {
    const container = parseContainerId(request.params.container);
    const { force } = parseQuery(DETACH_QUERY, request as FastifyRequest);
    await engine.detach(request.actor, container, { force: force === "true" });
    return {};
  });
}

function parseContainer(container: ContainerId, body: unknown): AttachRequest {
  const { sandbox, app, volumes, uid, gid, group, pid } = parseWith(CONTAINER, body, "the body");
  if ((uid === undefined) !== (gid === undefined)) {
    throw new HoldfastError(
      "invalid",
      "Cannot parse the body: one of uid and gid is missing, expected both or neither",
    );
  }
  return Object.freeze({
    container,
    sandbox: parseSandbox(sandbox, "sandbox"),
    ...(pid === undefined ? {} : { process: Object.freeze({ pid }) }),
    ...(app === undefined ? {} : { app: parseApp(app, "app") }),
    volumes: parseVolumeList(requireVolumes(volumes, app), "volumes"),
    ...(uid === undefined || gid === undefined ? {} : { owner: Object.freeze({ uid, gid }) }),
    ...(group === undefined ? {} : { group }),
  });
}

/** Without an app, nobody means "none" by leaving them out. */
function requireVolumes(volumes: VolumeList | undefined, app: unknown): VolumeList {
  if (volumes !== undefined) return volumes;
  if (app !== undefined) return [];
  throw new HoldfastError(
    "invalid",
    "Cannot parse the body: volumes is wrong, expected a list, or an app in its place",
  );
}
