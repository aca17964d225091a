/** `POST /v1/volumes/copy`: a volume, or a snapshot, with the content of another volume. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { parseContainerPath, parseRole, parseVolumeId } from "../../domain/names.ts";
import { type DiskSource, ROOT_DISK } from "../../domain/resource.ts";
import { parseSizeMb } from "../../domain/size.ts";
import type { CopyRequest, Engine } from "../../engine/engine.ts";
import { parseWith, text } from "./schema.ts";
import { volumeJson } from "./views.ts";
import type { VolumeJson } from "./wire.ts";

const WAIT_SECONDS_MAX = 24 * 3600;

const COPY = z.strictObject({
  source: z.strictObject({ role: z.unknown(), id: z.unknown() }),
  role: z.unknown().optional(),
  id: z.unknown(),
  snapshot: z.boolean().optional(),
  sizeMb: z.unknown().optional(),
  containerPath: z.unknown().optional(),
  shared: z.boolean().optional(),
  disk: z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("ROOT") }),
      z.strictObject({ type: z.enum(["PATH", "MOUNT"]), root: text.startsWith("/") }),
    ])
    .optional(),
  waitSeconds: z.number().min(0).max(WAIT_SECONDS_MAX).optional(),
});

type CopyBody = z.output<typeof COPY>;

export function addCopyRoutes(
  app: FastifyInstance,
  engine: Engine,
  readBody: (request: FastifyRequest) => unknown,
): void {
  app.post("/v1/volumes/copy", async (request): Promise<VolumeJson> => {
    const wanted = parseCopy(parseWith(COPY, readBody(request), "the body"));
    return volumeJson(await engine.copy(request.actor, wanted));
  });
}

function parseCopy({ source, role, id, sizeMb, containerPath, ...rest }: CopyBody): CopyRequest {
  const original = { role: parseRole(source.role, "source: role"), id: parseVolumeId(source.id, "source: id") };
  return Object.freeze({
    source: Object.freeze(original),
    role: role === undefined ? original.role : parseRole(role, "role"),
    id: parseVolumeId(id, "id"),
    snapshot: rest.snapshot === true,
    ...(sizeMb === undefined ? {} : { size: parseSizeMb(sizeMb, "sizeMb") }),
    ...(containerPath === undefined ? {} : { containerPath: parseContainerPath(containerPath, "containerPath") }),
    ...(rest.shared === undefined ? {} : { shared: rest.shared }),
    ...(rest.disk === undefined ? {} : { disk: diskOf(rest.disk) }),
    ...(rest.waitSeconds === undefined ? {} : { waitMs: rest.waitSeconds * 1_000 }),
  });
}

function diskOf(disk: NonNullable<CopyBody["disk"]>): DiskSource {
  return disk.type === "ROOT" ? ROOT_DISK : Object.freeze(disk);
}
