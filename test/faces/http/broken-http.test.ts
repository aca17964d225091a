import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ask, codeIn, sendRaw } from "../ask.ts";
import { openAgentDoor, openOperatorDoor } from "../doors.ts";

const MEGABYTE = 1024 * 1024;

describe.each([
  ["operator HTTP", openOperatorDoor],
  ["agent socket", openAgentDoor],
])("%s", (_name, open) => {
  let door: Awaited<ReturnType<typeof open>>;
  beforeAll(async () => {
    door = await open();
  });
  beforeEach(() => {
    door.engine.calls.length = 0;
    door.errors.length = 0;
  });
  afterAll(() => door.close());

  it.each([
    ["what is not HTTP", "hello\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
    ["a header without colon", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nbroken\r\n\r\n"],
    ["a header with NUL", "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n"],
    ["a missing Host", "GET /v1/status HTTP/1.1\r\n\r\n"],
    ["a negative length", "POST /reserve HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"],
    ["two lengths", "POST /reserve HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    [
      "length and chunks",
      "POST /reserve HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    [
      "a broken chunk",
      "POST /v1/operations HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    ],
  ])("answers %s with 400 and closes", async (_what, bytes) => {
    const received = await sendRaw(door.where, bytes);
    expect(received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(received.toLowerCase()).toContain("connection: close");
    expect(door.engine.calls).toEqual([]);
    expect(door.errors).toEqual([]);
  });

  it("answers 16 KiB of headers with 431 and closes", async () => {
    const received = await sendRaw(
      door.where,
      `GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(17_000)}\r\n\r\n`,
    );
    expect(received).toMatch(/^HTTP\/1\.1 431 /);
  });

  it("refuses a body of more than 1 MiB, declared or in chunks", async () => {
    const body = "x".repeat(MEGABYTE + 1);
    const post = { method: "POST", headers: { "content-type": "application/json" } };
    const declared = await ask(door.where, "/v1/operations", { ...post, body });
    const chunked = await ask(door.where, "/v1/operations", {
      ...post,
      headers: { ...post.headers, "transfer-encoding": "chunked" },
      body,
    });
    expect([declared.status, codeIn(declared)]).toEqual([413, "too_large"]);
    expect([chunked.status, codeIn(chunked)]).toEqual([413, "too_large"]);
  });

  it("reads a body of 1 MiB", async () => {
    const body = `{"operations":[],"${"x".repeat(MEGABYTE - 22)}":1}`;
    const answer = await ask(door.where, "/v1/operations", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    expect(answer.status).toBe(400);
  });

  it("refuses a body that is not UTF-8", async () => {
    const answer = await ask(door.where, "/v1/operations", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: Buffer.from([0x22, 0xff, 0x22]),
    });
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
  });

  it.each(["/v1/volumes/%", "/v1/volumes/ads/%zz", "/v1/volumes/ads/%ff", "/v1/volumes?role=%ff"])(
    "refuses the address %s",
    async (path) => {
      const answer = await ask(door.where, path);
      expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    },
  );

  it("answers a client that goes away in the middle of a body with nothing, and logs nothing", async () => {
    await new Promise<void>((resolve) => {
      const socket = "port" in door.where ? connect(door.where.port, "127.0.0.1") : connect(door.where.socketPath);
      socket.on("close", () => resolve());
      socket.write("POST /v1/operations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", () =>
        socket.destroy(),
      );
    });
    expect((await ask(door.where, "/healthz")).status).toBe(200);
    expect(door.errors).toEqual([]);
  });

  it("does not answer a broken request before the whole one that came first", async () => {
    const received = await sendRaw(door.where, "GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\nbroken\r\n\r\n");
    expect(received).not.toMatch(/^HTTP\/1\.1 400/);
  });

  it.each([
    ["/nowhere", "GET", 404],
    ["/v1", "GET", 404],
    ["/v1/volumes/ads", "GET", 404],
    ["/v1/volumes/ads/db/more", "GET", 404],
    ["/v1/volumes/", "POST", 404],
    ["/nowhere", "PROPFIND", 404],
  ])("answers %s to %s with %i", async (path, method, status) => {
    const answer = await ask(door.where, path, { method });
    expect([answer.status, codeIn(answer)]).toEqual([status, "not_found"]);
  });

  it.each([
    ["/v1/volumes", "POST", "GET, HEAD"],
    ["/v1/volumes/ads/db", "DELETE", "GET, HEAD"],
    ["/v1/volumes/eng%2Fweb/db", "PUT", "GET, HEAD"],
    ["/v1/operations", "PUT", "GET, HEAD, POST"],
    ["/v1/volumes/restore", "GET", "POST"],
    ["/v1/status", "OPTIONS", "GET, HEAD"],
    ["/v1/status", "TRACE", "GET, HEAD"],
    ["/v1/status", "PROPFIND", "GET, HEAD"],
    ["/healthz", "POST", "GET, HEAD"],
  ])("refuses %s to %s and names what it takes", async (path, method, allow) => {
    const answer = await ask(door.where, path, { method });
    expect([answer.status, codeIn(answer), answer.headers["allow"]]).toEqual([405, "method_not_allowed", allow]);
  });
});
