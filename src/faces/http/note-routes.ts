/** `PUT /v1/volumes/ROLE/ID/note`: what people say about a volume. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { parseRole, parseVolumeId } from "../../domain/names.ts";
import { type NoteChange, parseDescription, parseLabels } from "../../domain/note.ts";
import type { Engine } from "../../engine/engine.ts";
import { parseWith } from "./schema.ts";
import { volumeJson } from "./views.ts";
import type { VolumeJson } from "./wire.ts";

const BODY = z.strictObject({ description: z.unknown().optional(), labels: z.unknown().optional() });

export function addNoteRoutes(
  app: FastifyInstance,
  engine: Engine,
  readBody: (request: FastifyRequest) => unknown,
): void {
  app.put<{ Params: { role: string; id: string } }>(
    "/v1/volumes/:role/:id/note",
    async (request): Promise<VolumeJson> => {
      const { role, id } = request.params;
      const volume = { role: parseRole(role), id: parseVolumeId(id) };
      const change = parseChange(parseWith(BODY, readBody(request), "the body"));
      return volumeJson(await engine.describe(request.actor, { ...volume, ...change }));
    },
  );
}

function parseChange({ description, labels }: z.output<typeof BODY>): NoteChange {
  return {
    ...(description === undefined ? {} : { description: description === null ? null : parseDescription(description) }),
    ...(labels === undefined ? {} : { labels: labels === null ? null : parseLabels(labels) }),
  };
}
