import { execa } from "execa";
import { afterEach, beforeEach, expect, test } from "vitest";
import manifest from "../../../package.json" with { type: "json" };
import { CLIENT_COMMANDS } from "../../../src/clients/cli/program.ts";
import { answered, type FakeDaemon, refused, run, startFakeDaemon } from "./fake-daemon.ts";
import { VOLUME } from "./samples.ts";

const PROGRAM = `${import.meta.dirname}/../../../scripts/holdfast`;

let daemon: FakeDaemon;
beforeEach(async () => {
  daemon = await startFakeDaemon();
});
afterEach(() => daemon.stop());

/** Runs the real program, as a shell would. */
async function spawned(
  args: readonly string[],
  options: { readonly env?: Record<string, string>; readonly input?: string } = {},
) {
  const { exitCode, stdout, stderr } = await execa(PROGRAM, args, { reject: false, ...options });
  return { status: exitCode, stdout, stderr };
}

test("the program names the socket when no daemon runs", async () => {
  expect(await spawned(["status"], { env: { HOLDFAST_SOCKET: "/nowhere.sock" } })).toEqual({
    status: 1,
    stdout: "",
    stderr:
      "holdfast: Cannot reach the daemon at /nowhere.sock: there is no such socket, is the daemon running and is --socket right?",
  });
});

test("the program fails with the daemon's refusal", async () => {
  daemon.replies["GET /v1/volumes/ads/db"] = refused(404, "no_such_volume", "Cannot find volume ads/db");
  expect(await spawned(["destroy", "ads/db", "--socket", daemon.socket])).toEqual({
    status: 1,
    stdout: "",
    stderr: "holdfast: Cannot find volume ads/db",
  });
});

test.each([
  [["frobnicate"], "holdfast: Cannot run: unknown command 'frobnicate', see holdfast --help"],
  [
    ["list", "--jsno"],
    "holdfast: Cannot run list: unknown option '--jsno' (Did you mean --json?), see holdfast list --help",
  ],
  [["show"], "holdfast: Cannot run show: missing required argument 'ROLE/ID', see holdfast show --help"],
  [
    ["daemon", "--work-rot", "/x"],
    "holdfast: Cannot run daemon: unknown option '--work-rot' (Did you mean --work-root?), see holdfast daemon --help",
  ],
])("the program answers %j with status 2", async (args, stderr) => {
  expect(await spawned(args)).toEqual({ status: 2, stdout: "", stderr });
});

test("the program refuses a daemon's configuration that is not there", async () => {
  const outcome = await spawned(["daemon", "--config", "/nowhere.yaml"]);
  expect(outcome).toMatchObject({ status: 1, stdout: "" });
  expect(outcome.stderr).toMatch(/^holdfast: Cannot .*\/nowhere\.yaml.*$/);
});

test("the program takes the socket from the environment, and --socket before it", async () => {
  daemon.replies["GET /readyz"] = answered({ status: "ok" });
  const ready = { status: 0, stdout: "Ready", stderr: "" };
  expect(await spawned(["health"], { env: { HOLDFAST_SOCKET: daemon.socket } })).toEqual(ready);
  expect(await spawned(["health", "--socket", daemon.socket], { env: { HOLDFAST_SOCKET: "/nowhere.sock" } })).toEqual(
    ready,
  );
});

test("the program says its version", async () => {
  expect(await spawned(["--version"])).toEqual({ status: 0, stdout: manifest.version, stderr: "" });
});

test("the program lets its reader leave early", async () => {
  const volumes = Array.from({ length: 5000 }, () => VOLUME);
  daemon.replies["GET /v1/volumes?limit=10000"] = answered({ volumes });
  const command = `"${PROGRAM}" list --socket "${daemon.socket}" | head -1`;
  const { stdout, stderr } = await execa("sh", ["-c", command]);
  expect(stdout).toMatch(/^VOLUME /);
  expect(stderr).toBe("");
});

test("hash-secret refuses an empty stdin", async () => {
  expect(await spawned(["hash-secret"], { input: "" })).toEqual({
    status: 1,
    stdout: "",
    stderr: "holdfast: Cannot hash the secret: it is empty",
  });
});

test("hash-secret prints one line that is not the secret", async () => {
  const { status, stdout } = await spawned(["hash-secret"], { input: "s3cret\n" });
  expect(status).toBe(0);
  expect(stdout).toMatch(/^\S+$/);
  expect(stdout).not.toContain("s3cret");
});

test.each(["daemon", "dev", "rebuild", "doctor", "hash-secret"])(
  "the program explains %s with examples",
  async (name) => {
    const { status, stdout } = await spawned([name, "--help"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: holdfast ${name} `));
    expect(stdout).toContain(`\n  $ holdfast ${name}`);
  },
);

/** Examples of what has to be on this machine, before anybody is spoken to. */
const NEEDS_THE_MACHINE = /--mesos/;

/** All but those that other programs run, whose examples change the machine. */
const SPEAKING = Object.keys(CLIENT_COMMANDS).filter((name) => name !== "hook" && name !== "nomad-volume");

test.each(SPEAKING)("help explains %s with examples that it understands", async (name) => {
  const help = await run(daemon.socket, "help", name);
  expect(help).toMatchObject({ status: 0, stderr: "" });
  expect(help.stdout).toMatch(new RegExp(`^Usage: holdfast ${name} `));
  const examples = help.stdout.split("\n").filter((line) => line.startsWith(`  $ holdfast ${name}`));
  expect(examples.length).toBeGreaterThan(0);
  for (const example of examples.filter((line) => !NEEDS_THE_MACHINE.test(line))) {
    const [, , ...args] = example
      .trim()
      .replace(/ && .*/, "")
      .split(" ");
    expect(await run("/nowhere.sock", ...args)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("/nowhere.sock"),
    });
  }
});
