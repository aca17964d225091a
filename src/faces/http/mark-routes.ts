/** `POST /v1/volumes/protect`, `unprotect`, `pin` and `unpin`: marks that keep a volume from being destroyed or collected. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Engine } from "../../engine/engine.ts";
import { parseWith } from "./schema.ts";
import { volumeJson } from "./views.ts";
import { parseWhich, WHICH } from "./which-volume.ts";
import type { VolumeJson, VolumeMark } from "./wire.ts";

const MARKS = ["protect", "unprotect", "pin", "unpin"] as const satisfies readonly VolumeMark[];
const BODY = z.strictObject(WHICH);

export function addMarkRoutes(
  app: FastifyInstance,
  engine: Engine,
  readBody: (request: FastifyRequest) => unknown,
): void {
  for (const mark of MARKS) {
    app.post(`/v1/volumes/${mark}`, async (request): Promise<VolumeJson> => {
      const which = parseWhich(parseWith(BODY, readBody(request), "the body"), mark);
      return volumeJson(await engine.mark(request.actor, { ...which, mark }));
    });
  }
}
