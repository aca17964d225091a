/** `POST /v1/adopt`: existing directories become volumes. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { parseContainerPath, parseRole, parseVolumeId } from "../../domain/names.ts";
import { parseSizeMb } from "../../domain/size.ts";
import { toMb } from "../../domain/units.ts";
import type { Adoption, AdoptRequest, AdoptView, Engine } from "../../engine/engine.ts";
import { parseWith, text } from "../http/schema.ts";
import { parseSandbox } from "./volume-list.ts";
import type { AdoptedJson, AdoptJson } from "./wire.ts";

const ADOPT = z.strictObject({
  adoptions: z
    .array(
      z.strictObject({
        directory: text,
        role: z.unknown().optional(),
        id: z.unknown().optional(),
        sizeMb: z.unknown().optional(),
        containerPath: z.unknown().optional(),
      }),
    )
    .min(1),
  dryRun: z.boolean().optional(),
});

type AdoptionBody = z.output<typeof ADOPT>["adoptions"][number];

export function addAdoptRoutes(
  app: FastifyInstance,
  engine: Engine,
  readBody: (request: FastifyRequest) => unknown,
): void {
  app.post("/v1/adopt", async (request): Promise<AdoptJson> => {
    const { adoptions } = await engine.adopt(request.actor, parseAdopt(readBody(request)));
    return { adoptions: adoptions.map(adoptedJson) };
  });
}

function parseAdopt(body: unknown): AdoptRequest {
  const { adoptions, dryRun } = parseWith(ADOPT, body, "the body");
  return Object.freeze({
    adoptions: Object.freeze(adoptions.map((adoption, index) => parseAdoption(adoption, `adoptions[${index}]`))),
    dryRun: dryRun === true,
  });
}

function parseAdoption({ directory, role, id, sizeMb, containerPath }: AdoptionBody, what: string): Adoption {
  return Object.freeze({
    directory: parseSandbox(directory, `${what}: directory`),
    role: parseRole(role, `${what}: role`),
    id: parseVolumeId(id, `${what}: id`),
    ...(sizeMb === undefined ? {} : { size: parseSizeMb(sizeMb, `${what}: sizeMb`) }),
    ...(containerPath === undefined
      ? {}
      : { containerPath: parseContainerPath(containerPath, `${what}: containerPath`) }),
  });
}

function adoptedJson({ directory, role, id, ...view }: AdoptView): AdoptedJson {
  const { containerPath, size, usage, source, uuid, obstacle } = view;
  return {
    directory,
    role,
    id,
    ...(containerPath === undefined ? {} : { containerPath }),
    ...(size === undefined ? {} : { sizeMb: toMb(size) }),
    ...(usage === undefined ? {} : { usedBytes: usage.usedBytes }),
    ...(usage?.inodes === undefined ? {} : { inodes: usage.inodes }),
    ...(source === undefined ? {} : { source }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(obstacle === undefined ? {} : { obstacle }),
  };
}
