/**
 * The console's door: a page at `/ui/` and its files. It has no rules and no state: what the page shows and does, it asks
 * of the same `/v1` and `/v2` routes as everybody, with the credentials that the browser was given.
 *
 * What comes from here may run nothing but its own files, talk to nobody but this daemon, and be in no frame.
 */
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../../domain/error.ts";
import { type Actor, actorName } from "../../domain/operation.ts";
import type { Engine } from "../../engine/engine.ts";
import { FIRST_PAGE, firstPage } from "../http/volume-list.ts";
import type { ConsoleFile } from "./files.ts";
import type { PageFacts, Site } from "./site.ts";

function headersFor({ script, style }: Site["sources"]): Record<string, string> {
  const policy = [
    "default-src 'none'",
    `script-src ${script}`,
    `style-src ${style}`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // Only lit-html may make markup of text, and it makes it of its own templates alone.
    "require-trusted-types-for 'script'",
    "trusted-types lit-html",
  ];
  return {
    "content-security-policy": policy.join("; "),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    vary: "accept-encoding, authorization",
  };
}

const HEADERS = headersFor({ script: "'self'", style: "'self'" });

const zip = promisify(gzip);
/** Each visit has a page of its own. */
const FAST = { level: 3 };

const FOREVER = "private, max-age=31536000, immutable";

export interface ConsoleOptions extends Omit<PageFacts, "principal" | "first"> {
  readonly engine: Engine;
  /** Default: what this program has. */
  readonly files?: readonly ConsoleFile[];
}

export function addConsole(app: FastifyInstance, { engine, files: given, ...facts }: ConsoleOptions): void {
  let site: Promise<Site> | undefined;
  const ready = (): Promise<Site> => {
    site ??= openSite(given);
    return site;
  };

  app.get("/ui", (_request, reply) => reply.headers(HEADERS).redirect("/ui/", 308));

  // It says what the node has: like every such answer it is kept by no browser.
  app.get("/ui/", async (request, reply) => {
    const { actor } = request;
    const principal = actor.kind === "principal" ? actorName(actor) : undefined;
    const [{ page, sources }, first] = await Promise.all([ready(), lookFirst(engine, actor)]);
    reply.headers(headersFor(sources)).type("text/html; charset=utf-8");
    const text = page({ ...facts, principal, first });
    if (!acceptsGzip(request)) return reply.send(text);
    return reply.header("content-encoding", "gzip").send(await zip(text, FAST));
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

/** Where it cannot be said, the page asks itself. */
async function lookFirst(engine: Engine, actor: Actor): Promise<PageFacts["first"]> {
  try {
    return { path: FIRST_PAGE, answer: await firstPage(engine, actor) };
  } catch {
    return undefined;
  }
}

function sendZipped(
  request: FastifyRequest,
  reply: FastifyReply,
  file: { plain: Buffer; zipped(): Buffer },
): FastifyReply {
  return acceptsGzip(request) ? reply.header("content-encoding", "gzip").send(file.zipped()) : reply.send(file.plain);
}

function acceptsGzip({ headers }: FastifyRequest): boolean {
  return /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(headers["accept-encoding"] ?? "");
}
