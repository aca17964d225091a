/**
 * The console's door: a page at `/ui/` and its files. It has no rules and no state: what the page shows and does, it asks
 * of the same `/v1` and `/v2` routes as everybody, with the credentials that the browser was given.
 *
 * What comes from here may run nothing but its own files, talk to nobody but this daemon, and be in no frame.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import { actorName } from "../../domain/operation.ts";
import type { ConsoleFile } from "./files.ts";
import type { PageFacts, Site } from "./site.ts";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  // Only lit-html may make markup of text, and it makes it of its own templates alone.
  "require-trusted-types-for 'script'",
  "trusted-types lit-html",
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  vary: "accept-encoding, authorization",
};

const FOREVER = "private, max-age=31536000, immutable";

export interface ConsoleOptions extends Omit<PageFacts, "principal"> {
  /** Default: what this program has. */
  readonly files?: readonly ConsoleFile[];
}

export function addConsole(app: FastifyInstance, { files: given, ...facts }: ConsoleOptions): void {
  let site: Promise<Site> | undefined;
  const ready = (): Promise<Site> => {
    site ??= openSite(given);
    return site;
  };

  app.get("/ui", (_request, reply) => reply.headers(HEADERS).redirect("/ui/", 308));

  app.get("/ui/", async (request, reply) => {
    const principal = request.actor.kind === "principal" ? actorName(request.actor) : undefined;
    const page = (await ready()).page({ ...facts, principal });
    const tag = `"${createHash("sha256").update(page).digest("hex").slice(0, 16)}"`;
    reply.headers({ ...HEADERS, "cache-control": "no-cache", etag: tag });
    if (request.headers["if-none-match"] === tag) return reply.code(304).send();
    return reply.type("text/html; charset=utf-8").send(page);
  });

  app.get<{ Params: { version: string; "*": string } }>("/ui/:version/*", async (request, reply) => {
    const { version, files } = await ready();
    const file = version === request.params.version ? files.get(request.params["*"]) : undefined;
    if (file === undefined) throw new HoldfastError("not_found", "Cannot find this address");
    reply.headers({ ...HEADERS, "cache-control": FOREVER }).type(file.type);
    return sendZipped(request, reply, file);
  });
}

/** Whether the page itself is asked for: other pages may link to it. */
export function isConsolePage({ method, url }: IncomingMessage): boolean {
  return method === "GET" && /^\/ui\/?(?:\?|$)/.test(url ?? "");
}

/** Nobody pays for the console before somebody looks at it. */
async function openSite(given: readonly ConsoleFile[] | undefined): Promise<Site> {
  const [{ consoleFiles }, { makeSite }] = await Promise.all([import("./files.ts"), import("./site.ts")]);
  return makeSite(given ?? consoleFiles());
}

function sendZipped(
  request: FastifyRequest,
  reply: FastifyReply,
  file: { plain: Buffer; zipped: Buffer },
): FastifyReply {
  const accepts = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(request.headers["accept-encoding"] ?? "");
  return accepts ? reply.header("content-encoding", "gzip").send(file.zipped) : reply.send(file.plain);
}
