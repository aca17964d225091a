/** Credentials, ACLs and TLS on the real daemon: who gets in, what changes while it runs, what keeps it from starting. */
import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { holdfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { EventClient } from "./event-stream.ts";
import { Framework } from "./framework.ts";
import { makePlace, type Place } from "./place.ts";
import { Program } from "./program.ts";
import { request, requestJson } from "./request.ts";
import { run } from "./run.ts";

const POLL = { timeout: 10_000, interval: 20 };
const HOLDFAST = path.resolve(import.meta.dirname, "../../scripts/holdfast");

const OPS = { principal: "ops", secret: "x" };

let place: Place;

function file(name: string): string {
  return path.join(place.dir, name);
}

/** Puts a file in place at once, as an editor does. */
async function put(name: string, content: object | string): Promise<string> {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  await writeFile(file(`${name}.new`), text, { mode: 0o600 });
  await rename(file(`${name}.new`), file(name));
  return file(name);
}

function credentials(secrets: Readonly<Record<string, string>>): object {
  return { credentials: Object.entries(secrets).map(([principal, secret]) => ({ principal, secret })) };
}

/** `reserve_resources` for one principal in one role, and nothing else for anybody. */
function onlyReserve(principal: string, role: string) {
  return {
    permissive: false,
    reserve_resources: [{ principals: { values: [principal] }, roles: { values: [role] } }],
  };
}

function hashed(secret: string): Promise<string> {
  return execa(HOLDFAST, ["hash-secret"], { input: `${secret}\n` }).then(({ stdout }) => stdout);
}

function basic(login: string): string {
  return `Basic ${Buffer.from(login).toString("base64")}`;
}

describe("the operator HTTP with credentials and ACLs", () => {
  let daemon: Daemon;
  /** Hashed again, the same secret would be another one to whoever has a stream. */
  let hushed: string;

  beforeAll(async () => {
    place = await makePlace("access");
    hushed = await hashed("hushed");
    const files = [
      "--credentials",
      await put("credentials.json", credentials({ ops: "plain:1", dev: hushed, old: "old" })),
      "--acls",
      await put("acls.json", onlyReserve("ops", "ads")),
    ];
    daemon = await Daemon.start({ dir: place.dir, args: ["--resources", "disk(*):4096", ...files] });
  });

  beforeEach(async () => {
    await put("credentials.json", credentials({ ops: "plain:1", dev: hushed }));
    await put("acls.json", onlyReserve("ops", "ads"));
    await expect.poll(() => reserve("ops:plain:1", "ads"), POLL).toBe(200);
    await expect.poll(() => reserve("old:old", "ads"), POLL).toBe(401);
  });

  afterAll(async () => {
    await daemon?.kill9();
    await place?.remove();
  });

  /** Reserves 1 MB as somebody; returns the status. */
  async function reserve(login: string | undefined, role: string): Promise<number> {
    const { agentId } = await requestJson<{ agentId: string }>(daemon.socket, { path: "/v1/status" });
    const resources = [
      { name: "disk", type: "SCALAR", scalar: { value: 1 }, reservations: [{ type: "DYNAMIC", role }] },
    ];
    const headers = login === undefined ? {} : { authorization: basic(login) };
    const body = `slaveId=${agentId}&resources=${encodeURIComponent(JSON.stringify(resources))}`;
    return (await request(daemon.http, { method: "POST", path: "/reserve", headers, body })).status;
  }

  function log(): Promise<string> {
    return readFile(file("daemon.log"), "utf8");
  }

  test("answers 401 to nobody, to strangers and to wrong secrets", async () => {
    const logins = [undefined, "stranger:plain:1", "ops:plain", "ops:", "dev:plain:1", `dev:${hushed}`];
    for (const login of logins) expect(await reserve(login, "ads"), login).toBe(401);
    const headers = { authorization: "Basic !" };
    expect((await request(daemon.http, { path: "/state", headers })).status).toBe(401);
  });

  test("answers 403 to who is known and may not", async () => {
    expect(await reserve("ops:plain:1", "web")).toBe(403);
    expect(await reserve("dev:hushed", "ads")).toBe(403);
  });

  test("lets plain and hashed secrets in", async () => {
    await put("acls.json", onlyReserve("dev", "ads"));
    await expect.poll(() => reserve("dev:hushed", "ads"), POLL).toBe(200);
    expect(await reserve("ops:plain:1", "ads")).toBe(403);
  });

  test("is open for who is at the agent socket", async () => {
    const { status } = await holdfast("reserve", "web", "--size", "1", "--socket", daemon.socket.socketPath);
    expect(status).toBe(0);
  });

  test("takes changed credentials while it runs, and forgets the old ones", async () => {
    await put("credentials.json", credentials({ ops: "new" }));
    await expect.poll(() => reserve("ops:new", "ads"), POLL).toBe(200);
    expect(await reserve("ops:plain:1", "ads")).toBe(401);
    expect(await reserve("dev:hushed", "ads")).toBe(401);
  });

  test("takes a file that is written in place", async () => {
    await writeFile(file("credentials.json"), JSON.stringify(credentials({ ops: "in place" })));
    await expect.poll(() => reserve("ops:in place", "ads"), POLL).toBe(200);
  });

  test("keeps the old credentials and ACLs while the files are broken, and says why", async () => {
    await put("credentials.json", '{"credentials": [{"principal": "ops", "secret": 7}]}');
    await put("acls.json", '{"permissive": maybe}');
    await expect
      .poll(log, POLL)
      .toContain("Cannot load the changed credentials, the old ones stay in force: Cannot use credentials");
    await expect
      .poll(log, POLL)
      .toContain("Cannot load the changed ACLs, the old ones stay in force: Cannot read ACLs");
    expect(await reserve("ops:plain:1", "ads")).toBe(200);
    expect(await reserve("ops:plain:1", "web")).toBe(403);
    expect(await reserve("stranger:x", "ads")).toBe(401);
  });

  describe("answers that go on", () => {
    const PROMPT = { timeout: 3_000, interval: 20 };
    const open: { close(): void }[] = [];

    afterEach(() => {
      for (const one of open.splice(0)) one.close();
    });

    function allow(...subscribers: readonly string[]) {
      const rule = { principals: { values: subscribers }, roles: { type: "ANY" } };
      return { ...onlyReserve("ops", "ads"), register_frameworks: [rule], view_roles: [rule] };
    }

    let puts = 0;

    /** Until they are in force, and no earlier ones may still come. */
    async function putAcls(acls: ReturnType<typeof allow>): Promise<void> {
      puts += 1;
      const [role, principals] = [`in-force-${puts}`, { values: ["ops"] }];
      const rule = { principals, roles: { values: [role] } };
      await put("acls.json", { ...acls, reserve_resources: [...acls.reserve_resources, rule] });
      await expect.poll(() => reserve("ops:plain:1", role), POLL).toBe(200);
    }

    async function follow(login: string, query = ""): Promise<EventClient & { hasEnded: boolean }> {
      const headers = { authorization: basic(login) };
      const client = await EventClient.open(daemon.http, `/v1/events/stream${query}`, headers);
      open.push(client);
      return watchEnd(client);
    }

    async function subscribe(login: string, id?: string): Promise<Framework & { hasEnded: boolean }> {
      const framework = await Framework.subscribe({ door: daemon.http, login, ...(id === undefined ? {} : { id }) });
      open.push({ close: () => framework.cut() });
      return watchEnd(framework);
    }

    function watchEnd<T extends { readonly ended: Promise<void> }>(stream: T): T & { hasEnded: boolean } {
      const watched = Object.assign(stream, { hasEnded: false });
      void stream.ended.then(() => {
        watched.hasEnded = true;
      });
      return watched;
    }

    test("end when the secret is another one or the principal is gone, and nobody else's", async () => {
      const all = { ops: "plain:1", dev: hushed, leaver: "l" };
      await put("credentials.json", credentials(all));
      await putAcls(allow("ops", "dev", "leaver"));
      await expect.poll(() => reserve("leaver:l", "ads"), POLL).toBe(403);
      await expect.poll(async () => (await subscribe("leaver:l")).events[0].type, POLL).toBe("SUBSCRIBED");
      const kept = [await follow("ops:plain:1"), await subscribe("ops:plain:1")];
      const [left, changed] = [await follow("leaver:l"), await follow("dev:hushed")];
      const [leftFramework, changedFramework] = [await subscribe("leaver:l"), await subscribe("dev:hushed")];

      await put("credentials.json", credentials({ ops: all.ops, dev: await hashed("other") }));
      await expect.poll(() => [left.hasEnded, changed.hasEnded], PROMPT).toEqual([true, true]);
      await expect.poll(() => [leftFramework.hasEnded, changedFramework.hasEnded], PROMPT).toEqual([true, true]);
      expect(left.refusal).toMatchObject({ code: "unauthenticated", message: expect.stringContaining("leaver") });
      expect(leftFramework.of("ERROR")).toEqual([{ message: expect.stringContaining("leaver") }]);
      const again = await subscribe("dev:other", changedFramework.id);
      expect(again.of("SUBSCRIBED")[0].framework_id.value).toBe(changedFramework.id);
      expect(kept.map(({ hasEnded }) => hasEnded)).toEqual([false, false]);
    });

    test("are nobody else's to take over by a framework's id, also when the daemon is another one", async () => {
      await putAcls(allow("ops", "dev"));
      await expect.poll(async () => (await subscribe("dev:hushed")).events[0].type, POLL).toBe("SUBSCRIBED");
      const { id } = await subscribe("dev:hushed");
      await daemon.kill9();
      await daemon.start();
      const thief = await subscribe("ops:plain:1", id);
      expect(thief.of("ERROR")).toEqual([{ message: "Changing framework's principal is not allowed" }]);
      expect((await subscribe("dev:hushed", id)).of("SUBSCRIBED")).toHaveLength(1);
    });

    test("end when the ACLs do not allow them any more, and nobody else's", async () => {
      await putAcls(allow("ops", "dev"));
      await expect.poll(async () => (await subscribe("dev:hushed")).events[0].type, POLL).toBe("SUBSCRIBED");
      const kept = [
        await follow("ops:plain:1", "?role=ads"),
        await subscribe("ops:plain:1"),
        await follow("dev:hushed"),
      ];
      const [denied, framework] = [await follow("dev:hushed", "?role=ads"), await subscribe("dev:hushed")];

      await put("acls.json", allow("ops"));
      await expect.poll(() => [denied.hasEnded, framework.hasEnded], PROMPT).toEqual([true, true]);
      expect(denied.refusal).toMatchObject({ code: "forbidden", message: expect.stringContaining("role ads") });
      expect(framework.of("ERROR")).toEqual([{ message: expect.stringContaining("register_frameworks to dev") }]);
      expect(kept.map(({ hasEnded }) => hasEnded)).toEqual([false, false, false]);
    });
  });

  test("writes no secret to its log", async () => {
    expect(await log()).not.toMatch(/plain:1|hushed|scrypt\$/);
  });
});

describe("a start", () => {
  beforeEach(async () => {
    place = await makePlace("access");
  });

  afterEach(() => place.remove());

  /** What the daemon said when it did not start, without its structured log. */
  async function refusal(...args: string[]): Promise<string> {
    const paths = ["--work-root", file("root"), "--socket", file("agent.sock"), "--listen", "127.0.0.1:0"];
    const { status, stderr } = await holdfast("daemon", ...paths, ...args);
    expect(status).toBe(1);
    return stderr
      .split("\n")
      .filter((line) => !line.startsWith("{"))
      .join("\n");
  }

  test.each([
    ["that do not exist", undefined, /: no such file or directory$/],
    ["that are no JSON", '{"credentials": [\n  {]}', /: line 2, column 4: .+$/],
    ["with an unknown key", '{"credentials": [], "x": 1}', /: the top has the unknown key "x"$/],
    ["with a principal twice", { credentials: [OPS, OPS] }, /: credentials\[1\]\.principal appears twice$/],
    ["with a bad hash", credentials({ a: "scrypt$x" }), /: credentials\[0\]\.secret is not a valid hash, expected /],
  ])("is refused with credentials %s", async (_, content, reason) => {
    if (content !== undefined) await put("c.json", content);
    const message = await refusal("--credentials", file("c.json"));
    expect(message).toMatch(reason);
    expect(message).toMatch(/^holdfast: Cannot (?:read|use) credentials \S+c\.json: [^\n]+$/);
  });

  test.each([
    ["that are no JSON", '{"permissive": false,}', /: line 1, column 22: .+$/],
    ["with an unknown action", '{"creat_volumes": []}', /creat_volumes/],
    ["with a rule of another form", '{"create_volumes": [{"principals": "ops"}]}', /create_volumes/],
  ])("is refused with ACLs %s", async (_, content, reason) => {
    const message = await refusal("--acls", await put("acls.json", content));
    expect(message).toMatch(reason);
    expect(message).toMatch(/^holdfast: Cannot (?:read|parse the) ACLs \S+acls\.json: [^\n]+$/);
  });

  test.each([
    ["that is no YAML", "workRoot: [", /: line 1, column 12: .+$/],
    ["with an unknown setting", "workroot: /data", /: "workroot" is not a setting, expected workRoot$/],
    ["with a wrong value", "gcDelay: soon", /: gcDelay is "soon", expected .+$/],
  ])("is refused with a configuration %s", async (_, content, reason) => {
    const message = await refusal("--config", await put("holdfast.yaml", content));
    expect(message).toMatch(reason);
    expect(message).toMatch(/^holdfast: Cannot (?:read|use) the configuration \S+holdfast\.yaml: [^\n]+$/);
  });

  test("is refused with a certificate that does not exist", async () => {
    const message = await refusal("--tls-cert", file("cert.pem"), "--tls-key", file("cert.pem"));
    expect(message).toMatch(/^holdfast: Cannot read the TLS file \S+cert\.pem: ENOENT[^\n]+$/);
  });
});

describe("the operator HTTP with TLS", () => {
  let program: Program | undefined;

  beforeEach(async () => {
    place = await makePlace("access");
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file("key.pem")];
    await run("openssl", "req", "-x509", ...key, "-out", file("cert.pem"), ...subject);
  });

  afterEach(async () => {
    await program?.end("SIGKILL");
    await place.remove();
  });

  /** Starts the daemon on a free port, which its log tells. */
  async function serve(): Promise<number> {
    const paths = ["--work-root", file("root"), "--socket", file("agent.sock"), "--listen", "127.0.0.1:0"];
    const tls = ["--tls-cert", file("cert.pem"), "--tls-key", file("key.pem")];
    program = await Program.start([HOLDFAST, "daemon", ...paths, ...tls], file("daemon.log"));
    const port = async () =>
      Number(/"port":(\d+).*"msg":"Serving"/.exec(await readFile(file("daemon.log"), "utf8"))?.[1]);
    await program.until(async () => (await port()) > 0);
    return port();
  }

  test("serves who trusts its certificate, and nobody in plain text", async () => {
    const url = `https://127.0.0.1:${await serve()}/healthz`;
    const curl = ["--silent", "--show-error", "--fail"];
    await run("curl", ...curl, "--cacert", file("cert.pem"), url);
    await expect(run("curl", ...curl, url)).rejects.toThrow("SSL certificate problem");
    await expect(run("curl", ...curl, url.replace("https", "http"))).rejects.toThrow("Command failed");
  });
});
