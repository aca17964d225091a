/** Handing containers' directories over to garbage collection, taking them back, and collecting them by name. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Engine, SandboxView } from "../../engine/engine.ts";
import { parseWith, text } from "../http/schema.ts";
import { gcJson, gcSandboxJson } from "../http/views.ts";
import { parseSandbox } from "./volume-list.ts";
import type { GcJson, SandboxesJson, SandboxJson, SandboxKeptJson } from "./wire.ts";

const SANDBOX = z.strictObject({ path: text });

const GC = z.strictObject({
  // An empty list must not mean all that is due.
  paths: z.array(text).min(1),
  dryRun: z.boolean().optional(),
});

export function addSandboxRoutes(
  app: FastifyInstance,
  engine: Engine,
  readBody: (request: FastifyRequest) => unknown,
): void {
  app.get("/v1/sandboxes", async ({ actor }): Promise<SandboxesJson> => {
    const sandboxes = await engine.sandboxes(actor);
    return { sandboxes: sandboxes.map(sandboxJson) };
  });

  app.post("/v1/sandboxes", async (request): Promise<SandboxJson> => {
    const { path } = parseWith(SANDBOX, readBody(request), "the body");
    return sandboxJson(await engine.discardSandbox(request.actor, parseSandbox(path, "path")));
  });

  app.post("/v1/sandboxes/keep", async (request): Promise<SandboxKeptJson> => {
    const { path } = parseWith(SANDBOX, readBody(request), "the body");
    await engine.keepSandbox(request.actor, parseSandbox(path, "path"));
    return {};
  });

  app.post("/v1/sandboxes/gc", async (request): Promise<GcJson> => {
    const { paths, dryRun = false } = parseWith(GC, readBody(request), "the body");
    const sandboxes = paths.map((path, index) => parseSandbox(path, `paths[${index}]`));
    return gcJson(await engine.collect(request.actor, { dryRun, sandboxes }), dryRun);
  });
}

function sandboxJson(view: SandboxView): SandboxJson {
  const { by, collecting } = view.sandbox;
  return {
    ...gcSandboxJson(view),
    by,
    ...(collecting === undefined ? {} : { collecting }),
    ...(view.problem === undefined ? {} : { problem: view.problem }),
  };
}
