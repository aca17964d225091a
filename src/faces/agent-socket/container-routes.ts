/** Attaching and detaching: the two requests that are the socket's alone. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { parseContainerId, parseContainerPath, parseRole, parseVolumeId } from "../../domain/names.ts";
import { refuse, show } from "../../domain/refusal.ts";
import type { ContainerId } from "../../domain/units.ts";
import type { AttachRequest, Engine } from "../../engine/engine.ts";
import { parseQuery, parseWith, text } from "../http/schema.ts";
import { containerJson } from "../http/views.ts";
import type { ContainerJson, DetachedJson } from "./wire.ts";

const PATH_BYTES_MAX = 4095;
/** The highest value of a uid means "none". */
const OWNER_ID_MAX = 2 ** 32 - 2;

const ownerId = z.int().min(0).max(OWNER_ID_MAX);

const CONTAINER = z.strictObject({
  sandbox: text,
  volumes: z.array(
    z.strictObject({
      role: z.unknown().optional(),
      id: z.unknown().optional(),
      containerPath: z.unknown().optional(),
      mode: z.enum(["RW", "RO"]).default("RW"),
    }),
  ),
  uid: ownerId.optional(),
  gid: ownerId.optional(),
  pid: z.int().positive().optional(),
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
  const { sandbox, volumes, uid, gid, pid } = parseWith(CONTAINER, body, "the body");
  if ((uid === undefined) !== (gid === undefined)) {
    throw new HoldfastError(
      "invalid",
      "Cannot parse the body: one of uid and gid is missing, expected both or neither",
    );
  }
  if (pid !== undefined) throw new HoldfastError("unsupported", "Cannot attach to a running process yet");
  return Object.freeze({
    container,
    sandbox: parseSandbox(sandbox),
    volumes: Object.freeze(volumes.map(parseVolume)),
    ...(uid === undefined || gid === undefined ? {} : { owner: Object.freeze({ uid, gid }) }),
  });
}

function parseVolume(
  { role, id, containerPath, mode }: z.output<typeof CONTAINER>["volumes"][number],
  index: number,
): AttachRequest["volumes"][number] {
  const what = (field: string) => `volumes: item ${index + 1}: ${field}`;
  return Object.freeze({
    role: parseRole(role, what("role")),
    id: parseVolumeId(id, what("id")),
    ...(containerPath === undefined ? {} : { containerPath: parseContainerPath(containerPath, what("containerPath")) }),
    mode,
  });
}

/** An absolute path in its shortest form; `..` would mean something else behind a symlink. */
function parseSandbox(path: string): string {
  if (!path.startsWith("/")) refuse("sandbox", show(path), "an absolute path");
  if (path.includes("\0")) refuse("sandbox", show(path), "no NUL");
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) refuse("sandbox", "too long", `at most ${PATH_BYTES_MAX} bytes`);
  const components = path.split("/").filter((component) => component !== "" && component !== ".");
  if (components.includes("..")) refuse("sandbox", show(path), "a path without ..");
  return `/${components.join("/")}`;
}
