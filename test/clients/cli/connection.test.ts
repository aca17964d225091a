import { link } from "node:fs/promises";
import { createServer } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { askDaemon } from "../../../src/clients/cli/connection.ts";
import { answered, type FakeDaemon, refused, startFakeDaemon } from "./fake-daemon.ts";

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

const STATUS = { method: "GET", path: "/v1/status" } as const;

test("askDaemon names a socket that is not there", async () => {
  await expect(askDaemon("/nowhere/holdfast.sock", STATUS)).rejects.toMatchObject({
    code: "unavailable",
    message:
      "Cannot reach the daemon at /nowhere/holdfast.sock: there is no such socket, is the daemon running and is --socket right?",
  });
});

test("askDaemon names a path that is too long for a socket", async () => {
  await expect(askDaemon(`/${"x".repeat(120)}`, STATUS)).rejects.toThrow("the path is too long for a socket");
});

test("askDaemon says that nobody listens on a socket that was left behind", async () => {
  const path = await leaveSocketBehind(daemon.socket);
  await expect(askDaemon(path, STATUS)).rejects.toThrow("nobody listens there, the daemon is not running");
});

test("askDaemon says that the daemon ended before it answered", async () => {
  const path = `${daemon.socket}.rude`;
  const rude = createServer((socket) => socket.once("data", () => socket.destroy()));
  await new Promise<void>((resolve) => rude.listen(path, resolve));
  await expect(askDaemon(path, STATUS)).rejects.toThrow("it ended before it answered, see the daemon's log");
  rude.close();
});

test("askDaemon passes a refusal on word for word", async () => {
  daemon.replies["GET /v1/status"] = refused(503, "unavailable", "Cannot answer: recovering");
  await expect(askDaemon(daemon.socket, STATUS)).rejects.toMatchObject({
    code: "unavailable",
    message: "Cannot answer: recovering",
  });
});

test("askDaemon takes a code of a newer daemon for internal", async () => {
  daemon.replies["GET /v1/status"] = refused(418, "teapot", "Cannot brew");
  await expect(askDaemon(daemon.socket, STATUS)).rejects.toMatchObject({ code: "internal", message: "Cannot brew" });
});

test.each([
  [502, "<html>", "status 502 without JSON"],
  [500, {}, "status 500 without a reason"],
])("askDaemon does not understand status %i with %j", async (status, body, reason) => {
  daemon.replies["GET /v1/status"] = { status, body };
  await expect(askDaemon(daemon.socket, STATUS)).rejects.toThrow(
    `Cannot understand the answer of ${daemon.socket}: ${reason}`,
  );
});

test("askDaemon sends the body as JSON and parses the answer", async () => {
  daemon.replies["PUT /v1/containers/web-1"] = answered({ id: "web-1" });
  const body = { sandbox: "/srv" };
  const answer = await askDaemon(daemon.socket, { method: "PUT", path: "/v1/containers/web-1", body });
  expect(answer).toEqual({ id: "web-1" });
  expect(daemon.seen).toEqual([{ line: "PUT /v1/containers/web-1", body }]);
});

/** A second name of a socket, which stays when its server ends. */
async function leaveSocketBehind(beside: string): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${beside}.bound`, resolve));
  await link(`${beside}.bound`, `${beside}.left`);
  await new Promise((resolve) => server.close(resolve));
  return `${beside}.left`;
}
