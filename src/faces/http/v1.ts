/** The `/v1` routes that every door serves: status, resources, volumes, operations, containers, events. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { parseIncarnation, parseRole, parseVolumeId } from "../../domain/names.ts";
import type { CollectRequest, Engine, PerformOptions, RestoreRequest } from "../../engine/engine.ts";
import { addCopyRoutes } from "./copy-routes.ts";
import { addEventRoutes } from "./event-routes.ts";
import { addMarkRoutes } from "./mark-routes.ts";
import { addNoteRoutes } from "./note-routes.ts";
import { parseOperations } from "./operations.ts";
import { parseQuery, parseWith, text } from "./schema.ts";
import { containerJson, gcJson, operationsJson, resourcesJson, statusJson, volumeJson } from "./views.ts";
import { addVolumeList } from "./volume-list.ts";
import { parseWhich, WHICH } from "./which-volume.ts";
import type {
  ContainersJson,
  GcJson,
  OperationsJson,
  OperationsListJson,
  ResourcesJson,
  StatusJson,
  VolumeJson,
} from "./wire.ts";

const OPERATION_ID_CHARACTERS_MAX = 255;

const RESOURCES_QUERY = z.strictObject({ free: z.enum(["true", "false"]).optional() });

const OPERATIONS = z.strictObject({
  id: text.min(1).max(OPERATION_ID_CHARACTERS_MAX).optional(),
  operations: z.array(z.unknown()).min(1),
  dryRun: z.boolean().optional(),
});

const RESTORE = z.strictObject({ ...WHICH, as: z.unknown().optional() });

const GC = z.strictObject({
  dryRun: z.boolean().optional(),
  // An empty list must not mean all that is due.
  uuids: z.array(z.unknown()).min(1).optional(),
  lost: z.boolean().optional(),
});

export interface V1Options {
  readonly engine: Engine;
  readonly version: string;
  /** Reads a JSON body as the door wants it declared. */
  readonly readBody: (request: FastifyRequest) => unknown;
}

export function addV1Routes(app: FastifyInstance, { engine, version, readBody }: V1Options): void {
  app.get("/v1/status", async ({ actor }): Promise<StatusJson> => statusJson(await engine.status(actor), version));

  app.get("/v1/resources", async (request): Promise<ResourcesJson> => {
    const { free } = parseQuery(RESOURCES_QUERY, request);
    const { agentId, resources } = await engine.resources(request.actor);
    const wanted = free === "true" ? resources.filter(({ volume }) => volume === undefined) : resources;
    return resourcesJson({ agentId, resources: wanted });
  });

  addVolumeList(app, engine);

  app.get<{ Params: { role: string; id: string } }>(
    "/v1/volumes/:role/:id",
    async ({ actor, params }): Promise<VolumeJson> =>
      volumeJson(await engine.volume(actor, parseRole(params.role), parseVolumeId(params.id))),
  );

  app.post("/v1/volumes/restore", async (request): Promise<VolumeJson> => {
    const wanted = parseRestore(readBody(request));
    return volumeJson(await engine.restore(request.actor, wanted));
  });

  addCopyRoutes(app, engine, readBody);
  addMarkRoutes(app, engine, readBody);
  addNoteRoutes(app, engine, readBody);
  addEventRoutes(app, engine);

  app.get("/v1/containers", async ({ actor }): Promise<ContainersJson> => {
    const containers = await engine.containers(actor);
    return { containers: containers.map(containerJson) };
  });

  app.post("/v1/gc", async (request): Promise<GcJson> => {
    const wanted = parseCollect(readBody(request));
    return gcJson(await engine.collect(request.actor, wanted), wanted.dryRun);
  });

  addOperations(app, engine, readBody);
}

function addOperations(app: FastifyInstance, engine: Engine, readBody: V1Options["readBody"]): void {
  app.post("/v1/operations", async (request): Promise<OperationsJson> => {
    const { id, operations, dryRun } = parseWith(OPERATIONS, readBody(request), "the body");
    const options: PerformOptions = {
      ...(id === undefined ? {} : { id }),
      ...(dryRun === undefined ? {} : { dryRun }),
    };
    const record = await engine.perform(request.actor, parseOperations(operations), options);
    return operationsJson(record, dryRun === true ? "DRY_RUN" : "FINISHED");
  });

  app.get("/v1/operations", async ({ actor }): Promise<OperationsListJson> => {
    const records = await engine.operations(actor);
    return { operations: records.map((record) => operationsJson(record)) };
  });

  app.get<{ Params: { id: string } }>(
    "/v1/operations/:id",
    async ({ actor, params }): Promise<OperationsJson> => operationsJson(await engine.operation(actor, params.id)),
  );
}

function parseCollect(body: unknown): CollectRequest {
  const { dryRun, uuids, lost } = parseWith(GC, body, "the body");
  return {
    dryRun: dryRun === true,
    ...(lost === true ? { lost } : {}),
    ...(uuids === undefined ? {} : { uuids: uuids.map((uuid, index) => parseIncarnation(uuid, `uuids[${index}]`)) }),
  };
}

function parseRestore(body: unknown): RestoreRequest {
  const { as, ...which } = parseWith(RESTORE, body, "the body");
  return { ...parseWhich(which, "restore"), ...(as === undefined ? {} : { as: parseVolumeId(as, "as") }) };
}
