/** The programs that a runtime runs, as it runs them: with a state on stdin and next to nothing in the environment. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createPlainServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const SCRIPTS = resolve(import.meta.dirname, "../../../src/clients/oci-hook");

const PROGRAMS = [
  { name: "hook.pl", needs: "/usr/bin/perl", args: ["/usr/bin/perl", "-f", `${SCRIPTS}/hook.pl`] },
  { name: "hook.sh", needs: "/usr/bin/curl", args: ["/bin/sh", `${SCRIPTS}/hook.sh`, "/usr/bin/curl"] },
];

const STATE = {
  ociVersion: "1.0.2",
  id: "web-1",
  status: "creating",
  pid: 42,
  bundle: "/b\u00fcndel \\ 'x' \"y\"",
  annotations: { "io.holdfast.volumes": '[{"role":"ads","id":"db"}]', other: " two  spaces " },
};
const UNASKED = { ...STATE, annotations: { other: "x" } };

/** One line as runc writes it, or as crun does; with and without a newline in the end. */
const FORMS = [JSON.stringify(STATE), `${JSON.stringify(STATE)}\n`, JSON.stringify(STATE, null, 4)];

/** Accepts nobody for a while, with a full queue; then answers everybody who says something. */
const BUSY_DAEMON = `
use Socket;
my ($daemon, $first);
socket($daemon, AF_UNIX, SOCK_STREAM, 0) && bind($daemon, sockaddr_un($ARGV[0])) && listen($daemon, 0) or die $!;
socket($first, AF_UNIX, SOCK_STREAM, 0) && connect($first, sockaddr_un($ARGV[0])) or die $!;
shutdown($first, 1);
syswrite(STDOUT, "full");
select(undef, undef, undef, 0.3);
while (accept(my $client, $daemon)) {
    sysread($client, my $request, 65536) and syswrite($client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}
`;

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

function runHook(args: readonly string[], input: string): Promise<Ended> {
  const [program = "", ...rest] = args;
  const started = performance.now();
  const child = spawn(program, rest, { env: { PATH: "/usr/bin:/bin", HOME: "", http_proxy: "http://nowhere:1" } });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (said.stdout += chunk));
  child.stderr.on("data", (chunk) => (said.stderr += chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((done) =>
    child.on("close", (status) => done({ status, ...said, ms: performance.now() - started })),
  );
}

describe.each(PROGRAMS)("$name", ({ needs, args }) => {
  let directory: string;
  let socket: string;
  const servers: { close(): unknown }[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "holdfast-hook-"));
    socket = join(directory, "holdfast.sock");
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
    rmSync(directory, { recursive: true });
  });

  const hook = (input: string, ...more: string[]) => runHook([...args, socket, ...more], input);

  async function serve(status: number, body: string): Promise<{ request?: IncomingMessage; body: string }[]> {
    const seen: { request?: IncomingMessage; body: string }[] = [];
    const server: Server = createServer((request, response) => {
      const one = { request, body: "" };
      seen.push(one);
      request.setEncoding("utf8").on("data", (chunk) => (one.body += chunk));
      request.on("end", () => response.writeHead(status, { "content-type": "text/plain" }).end(body));
    });
    await new Promise<void>((done) => server.listen(socket, done));
    servers.push({ close: () => server.closeAllConnections() }, server);
    return seen;
  }

  test("is readable by what this machine has", () => expect(existsSync(needs)).toBe(true));

  test("lets a container without the annotation through while there is no daemon", async () => {
    expect(await hook(JSON.stringify(UNASKED))).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });

  test("does not ask for a container without the annotation", async () => {
    const seen = await serve(500, "");
    expect((await hook(JSON.stringify(UNASKED))).status).toBe(0);
    expect(seen).toEqual([]);
  });

  test("says within a second at which socket nobody listens", async () => {
    const { status, stderr, ms } = await hook(JSON.stringify(STATE));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^holdfast: cannot reach the daemon at [^\n]*holdfast\.sock: [^\n]+\n$/);
    expect(ms).toBeLessThan(1000);
  });

  test("gives up on a daemon that does not answer", async () => {
    const server = createPlainServer(() => {});
    await new Promise<void>((done) => server.listen(socket, done));
    servers.push(server);
    const { status, stderr } = await hook(JSON.stringify(STATE), "1");
    expect([status, stderr]).toEqual([1, `holdfast: the daemon at ${socket} does not answer\n`]);
  });

  /** Breaks the first `broken` connections once they have said something, answers the others. */
  async function serveAfter(broken: number): Promise<{ connections: number }> {
    const seen = { connections: 0 };
    const server = createPlainServer((connection) => {
      seen.connections += 1;
      const breaks = seen.connections <= broken;
      connection.on("error", () => {});
      connection.once("data", () => (breaks ? connection.destroy() : connection.end(answer)));
    });
    const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    await new Promise<void>((done) => server.listen(socket, done));
    servers.push(server);
    return seen;
  }

  test("gives up on a daemon that ends twice before it answers", async () => {
    const seen = await serveAfter(9);
    const { status, stderr } = await hook(JSON.stringify(STATE));
    expect([status, stderr]).toEqual([1, `holdfast: the daemon at ${socket} ended before it answered\n`]);
    expect(seen.connections).toBe(2);
  });

  test("tries once more when the connection broke before an answer came", async () => {
    const seen = await serveAfter(1);
    expect(await hook(JSON.stringify(STATE))).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(seen.connections).toBe(2);
  });

  test("does not try again when an answer broke off", async () => {
    let connections = 0;
    const server = createPlainServer((connection) => {
      connections += 1;
      connection.on("error", () => {});
      connection.once("data", () => connection.end("HTTP/1.1 409 Conflict\r\nContent-Length: 99\r\n\r\nCannot"));
    });
    await new Promise<void>((done) => server.listen(socket, done));
    servers.push(server);
    expect((await hook(JSON.stringify(STATE))).status).toBe(1);
    expect(connections).toBe(1);
  });

  test("takes no longer for both tries than it may", async () => {
    let connections = 0;
    const server = createPlainServer((connection) => {
      connections += 1;
      connection.on("error", () => {});
      if (connections === 1) connection.once("data", () => setTimeout(() => connection.destroy(), 1500));
    });
    await new Promise<void>((done) => server.listen(socket, done));
    servers.push(server);
    const { status, stderr, ms } = await hook(JSON.stringify(STATE), "3");
    expect([status, stderr]).toEqual([1, `holdfast: the daemon at ${socket} does not answer\n`]);
    expect(connections).toBe(2);
    expect(ms).toBeLessThan(3900);
  });

  test("gets through when more clients wait than the daemon's queue holds", async () => {
    const server = spawn("/usr/bin/perl", ["-e", BUSY_DAEMON, socket], { stdio: ["ignore", "pipe", "inherit"] });
    servers.push({ close: () => server.kill() });
    await once(server.stdout, "data");
    expect(await hook(JSON.stringify(STATE))).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });

  test.each([400, 409, 503])("says in one line why the daemon refuses with %d", async (status) => {
    await serve(status, "Cannot attach volume ads/db: attached to container web-2\n");
    expect(await hook(JSON.stringify(STATE))).toMatchObject({
      status: 1,
      stdout: "",
      stderr: "holdfast: Cannot attach volume ads/db: attached to container web-2\n",
    });
  });

  test("speaks through its parent's standard error where its own is thrown away", async () => {
    // Not through a socket, which is what Node gives its children, and which nobody can open.
    const child = 'exec 2>/dev/null; exec "$@"';
    const parent = 'exec 2>"$1"; shift; sh -c "$0" sh "$@"; exit $?';
    const file = join(directory, "stderr");
    const { status } = await runHook(["/bin/sh", "-c", parent, child, file, ...args, socket], JSON.stringify(STATE));
    expect(status).toBe(1);
    expect(readFileSync(file, "utf8")).toMatch(/^holdfast: cannot reach the daemon at [^\n]+\n$/);
  });

  test.each(FORMS)("sends the whole state, however it is written (%#)", async (text) => {
    const seen = await serve(200, "{}");
    expect(await hook(text)).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.request).toMatchObject({ method: "POST", url: "/v1/hooks/createRuntime" });
    expect(seen[0]?.request?.headers.accept).toBe("text/plain");
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual(STATE);
  });

  test("sends a state of half a megabyte", async () => {
    const seen = await serve(200, "{}");
    const large = { ...STATE, annotations: { ...STATE.annotations, large: "x".repeat(512 * 1024) } };
    expect((await hook(JSON.stringify(large))).status).toBe(0);
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual(large);
  });
});
