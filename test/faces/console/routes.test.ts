import { type IncomingMessage, request } from "node:http";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import type { VolumeId } from "../../../src/domain/units.ts";
import type { VolumeView } from "../../../src/engine/engine.ts";
import { addConsole, isConsolePage } from "../../../src/faces/console/routes.ts";
import { makeFakeEngine, PAGE } from "../../fakes/fake-engine.ts";
import { OPS, openOperatorDoor, opsOnly } from "../doors.ts";

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

const FACTS = { hostname: 'node-1"><script>', version: "1.2.3" };
const BYTES_MAX = 100_000;

const engine = makeFakeEngine();
const { volumePage } = engine;
let door: Awaited<ReturnType<typeof openOperatorDoor>>;
beforeAll(async () => {
  door = await openOperatorDoor({
    engine,
    authenticator: () => opsOnly,
    share: (app) => addConsole(app, { ...FACTS, engine }),
    isPage: isConsolePage,
  });
});
afterEach(() => {
  engine.volumePage = volumePage;
});
afterAll(() => door.close());

function get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const outgoing = request({ ...door.where, host: "127.0.0.1", path, headers: { authorization: OPS, ...headers } });
  outgoing.on("error", reject).on("response", (incoming) => void readAnswer(incoming).then(resolve, reject));
  outgoing.end();
  return promise;
}

async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const body = Buffer.concat(await incoming.toArray());
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body };
}

/** Every address that the page names, and every one that a file names. */
async function addresses(): Promise<readonly string[]> {
  const page = (await get("/ui/")).body.toString();
  const found = new Set(page.match(/\/ui\/[0-9a-f]{16}\/[^"]+/g) ?? []);
  for (const path of found) {
    if (path.endsWith(".js")) for (const one of importsOf(path, (await get(path)).body.toString())) found.add(one);
  }
  return [...found];
}

function importsOf(path: string, text: string): readonly string[] {
  const imports = text.matchAll(/\b(?:from|import)\s*\(?"([^"]+)"/g);
  return [...imports].map(([, imported = ""]) => new URL(imported, `http://node${path}`).pathname);
}

function viewOf(id: VolumeId): VolumeView {
  const [view] = PAGE.volumes;
  if (view === undefined) throw new Error("The page is empty");
  return { ...view, volume: { ...view.volume, id } };
}

describe("the console", () => {
  test.each(["/ui/", "/ui/0123456789abcdef/console/main.js"])("is not there for strangers: %s", async (path) => {
    const answer = await get(path, { authorization: "" });
    expect([answer.status, answer.headers["www-authenticate"]]).toEqual([401, 'Basic realm="holdfast"']);
  });

  test.each([
    "/ui/0123456789abcdef/console/main.js",
    "/ui/nothing",
    "/ui/x/../../package.json",
    "/ui/x/%2e%2e%2fpackage.json",
  ])("has nothing at %s", async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  test("has nothing but its own files at its version", async () => {
    const [first = ""] = await addresses();
    const root = first.slice(0, "/ui/0123456789abcdef".length);
    for (const path of ["console/main.ts", "console/../faces/http/v1.js", "domain/node.js", "package.json"]) {
      expect((await get(`${root}/${path}`)).status).toBe(404);
    }
  });

  test("is not there in another page's frame, and is by a link from another page", async () => {
    const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    expect((await get("/ui/", { ...link, "sec-fetch-dest": "iframe" })).status).toBe(421);
    expect((await get("/v1/status", { ...link, "sec-fetch-dest": "document" })).status).toBe(421);
    expect((await get("/ui/", { ...link, "sec-fetch-dest": "document" })).status).toBe(200);
  });

  test("may run its own files alone, and be in no frame", async () => {
    for (const path of ["/ui", "/ui/", ...(await addresses())]) {
      const { headers } = await get(path);
      const policy = String(headers["content-security-policy"]).split("; ");
      expect(policy).toEqual(
        expect.arrayContaining([
          "default-src 'none'",
          "script-src 'self'",
          "style-src 'self'",
          "connect-src 'self'",
          "base-uri 'none'",
          "form-action 'none'",
          "frame-ancestors 'none'",
          "require-trusted-types-for 'script'",
        ]),
      );
      expect(String(policy)).not.toContain("unsafe");
      expect([headers["x-content-type-options"], headers["referrer-policy"]]).toEqual(["nosniff", "no-referrer"]);
    }
  });

  test("writes a host's name as text, whatever it is", async () => {
    const page = (await get("/ui/")).body.toString();
    expect(page).toContain('data-host="node-1&quot;&gt;&lt;script&gt;"');
    expect(page).not.toContain("<script>");
    expect(page).toContain('data-principal="ops"');
  });

  test("says what the first view would ask for, as text that is no markup, for who asks", async () => {
    const id = "</script><script>alert(1)</script>" as VolumeId;
    engine.volumePage = async () => ({ ...PAGE, volumes: [viewOf(id)] });
    const page = (await get("/ui/")).body.toString();
    const [, path = "", answer = ""] = /id="first" data-path="([^"]+)">(.+)<\/script>/.exec(page) ?? [];
    const asked = await get(path.replaceAll("&amp;", "&"));
    expect(JSON.parse(answer)).toEqual(JSON.parse(asked.body.toString()));
    expect(JSON.parse(answer).volumes[0].id).toBe(id);
    expect(page).not.toContain("alert(1)</script>");
  });

  test("is there also where nothing can be said yet", async () => {
    engine.volumePage = () => Promise.reject(new HoldfastError("unavailable", "Cannot list volumes: starting"));
    const { status, body } = await get("/ui/");
    expect(status).toBe(200);
    expect(body.toString()).not.toContain('id="first"');
  });

  test("is below 100 kB in all as it is sent", async () => {
    let zipped = (await get("/ui/")).body.length;
    for (const path of await addresses()) {
      const plain = await get(path);
      const packed = await get(path, { "accept-encoding": "br, gzip" });
      expect([plain.status, packed.status, packed.headers["content-encoding"]]).toEqual([200, 200, "gzip"]);
      expect(gunzipSync(packed.body).equals(plain.body)).toBe(true);
      zipped += packed.body.length;
    }
    expect(zipped).toBeLessThan(BYTES_MAX);
  });

  test("loads what the first page needs at once, and the rest when somebody goes there", async () => {
    const page = (await get("/ui/")).body.toString();
    const preloaded = page.match(/rel="modulepreload" href="[^"]+/g) ?? [];
    expect(preloaded.length).toBeLessThan(20);
    expect(preloaded.join()).not.toContain("console/trash.js");
    expect((await addresses()).join()).toContain("console/trash.js");
  });

  test("is kept by no browser, for it says what the node has; its files are", async () => {
    expect((await get("/ui/")).headers["cache-control"]).toBe("no-store");
    const [file = ""] = await addresses();
    expect((await get(file)).headers["cache-control"]).toBe("private, max-age=31536000, immutable");
  });

  test("has a file for everything that is imported, and each is JavaScript of its own type", async () => {
    const modules = (await addresses()).filter((path) => path.endsWith(".js"));
    expect(modules.length).toBeGreaterThan(30);
    for (const path of modules) {
      const { status, headers } = await get(path);
      expect([status, headers["content-type"]]).toEqual([200, "text/javascript; charset=utf-8"]);
    }
  });
});
