/** `holdfast dev`: the commands that it prints, taken from its output and pasted into a shell, and what it leaves. */
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { holdfast } from "./command.ts";
import { makePlace, type Place, type User } from "./place.ts";
import { isRoot, mayMount, NOBODY, underUser } from "./privileges.ts";
import { type CommandLine, Program } from "./program.ts";
import { run } from "./run.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");
/** Anybody but `nobody`, whom the agent socket does not know. */
const SOMEBODY: User = { uid: 54321, gid: 54321 };
const POLL = { timeout: 10_000, interval: 10 };

let place: Place;
let program: Program | undefined;

afterEach(async () => {
  await program?.end("SIGKILL");
  program = undefined;
  await place?.remove();
});

/** Starts it with its temporary directories in the place; `user` sees the repository at a place of its own. */
async function launch(args: readonly string[] = [], user?: User): Promise<Program> {
  const environment = ["env", `TMPDIR=${place.dir}`, `HOME=${place.dir}`] as const;
  const shown = path.join(place.dir, "program");
  const bind = 'mount --rbind "$0" "$1" && cd / && shift && exec "$@"';
  const commandLine: CommandLine =
    user === undefined
      ? [...environment, path.join(REPOSITORY, "scripts/holdfast"), "dev", ...args]
      : ["unshare", "--mount", "sh", "-c", bind, REPOSITORY, shown, ...environment, ...underUser(user, inside(shown))];
  if (user !== undefined) await mkdir(shown);
  program = await Program.start(commandLine, logFile());
  return program;
}

function inside(repository: string): readonly string[] {
  return [path.join(repository, "scripts/holdfast"), "dev"];
}

function logFile(): string {
  return path.join(place.dir, "dev.log");
}

/** Starts it and returns what it says once it serves. */
async function serve(args: readonly string[] = [], user?: User): Promise<string> {
  const before = (await readFile(logFile(), "utf8").catch(() => "")).length;
  const dev = await launch(args, user);
  const said = async () => (await readFile(logFile(), "utf8")).slice(before);
  await dev.until(async () => (await said()).includes("Ctrl-C stops it."));
  return said();
}

/** The lines to paste, without comments, up to the first one that contains `end`. */
function commands(said: string, end?: string): string {
  const lines = said.slice(said.indexOf("Paste into")).split("\n");
  const indented = lines.flatMap((line) => (/^ {2}[^ #]/.test(line) ? [line.trim()] : []));
  return indented.slice(0, end === undefined ? undefined : indented.findIndex((line) => line.includes(end))).join("\n");
}

function paste(text: string): Promise<string> {
  return run("bash", "-e", "-c", text);
}

function statusesIn(output: string): string[] {
  return [...output.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status ?? "");
}

/** The temporary directories that it made. */
async function temporary(): Promise<string[]> {
  return (await readdir(place.dir)).filter((name) => name.startsWith("holdfast-"));
}

function directoryIn(said: string): string {
  return /^ {2}directory +(.*) \(/m.exec(said)?.[1] ?? "";
}

describe("dev", () => {
  beforeEach(async () => {
    place = await makePlace("dev");
  });

  test("prints commands that work as printed, from any directory", async () => {
    const output = await run("env", "--chdir=/", "bash", "-e", "-c", commands(await serve()));
    expect(statusesIn(output)).toEqual(["200", "200", "200"]);
    expect(output).toMatch(/^Restored ads\/db /m);
  });

  test("removes its directory at SIGINT, with a volume attached", async () => {
    const said = await serve();
    await paste(commands(said, " detach "));
    expect(await temporary()).toHaveLength(1);
    await program?.end("SIGINT");
    expect(await temporary()).toEqual([]);
  });

  test("removes its directory when its terminal goes away", async () => {
    await serve();
    await program?.end("SIGHUP");
    expect(await temporary()).toEqual([]);
  });

  test("removes its directory at a SIGINT during the start", async () => {
    const dev = await launch();
    await expect.poll(temporary, { ...POLL, interval: 1 }).toHaveLength(1);
    await dev.end("SIGINT");
    expect(await temporary()).toEqual([]);
  });

  test.runIf(mayMount)("deletes nothing through a mount below its directory", async () => {
    const directory = directoryIn(await serve());
    const foreign = path.join(place.dir, "foreign");
    await mkdir(foreign);
    await writeFile(path.join(foreign, "content"), "theirs");
    const mountPoint = path.join(directory, "sandbox/foreign");
    await mkdir(mountPoint);
    await run("mount", "--bind", foreign, mountPoint);
    await program?.end("SIGINT");
    expect(await readFile(path.join(foreign, "content"), "utf8")).toBe("theirs");
    expect(await program?.said()).toContain(`Kept ${directory}: ${mountPoint} is a mount, unmount it first`);
  });

  test.runIf(mayMount)("deletes nothing through a mount over its directory", async () => {
    const directory = directoryIn(await serve());
    const foreign = path.join(place.dir, "foreign");
    await mkdir(foreign);
    await writeFile(path.join(foreign, "content"), "theirs");
    await run("mount", "--bind", foreign, directory);
    await program?.end("SIGINT");
    expect(await readFile(path.join(foreign, "content"), "utf8")).toBe("theirs");
  });
});

describe.runIf(mayMount)("dev without root", () => {
  test("prints commands that work as printed, and removes its directory at SIGINT", async () => {
    place = await makePlace("dev", SOMEBODY);
    const said = await serve([], SOMEBODY);
    expect(said).toContain("appear as symlinks");
    const { pid } = program as Program;
    const nobody = underUser(SOMEBODY, ["bash", "-e", "-c", commands(said)]);
    const output = await run("nsenter", "--mount", `--target=${pid}`, "--", ...nobody);
    expect(statusesIn(output)).toEqual(["200", "200", "200"]);
    expect(output).toMatch(/^Restored ads\/db /m);
    await program?.end("SIGINT");
    expect(await temporary()).toEqual([]);
  });
});

describe("dev --dir", () => {
  let dir: string;

  beforeEach(async () => {
    place = await makePlace("dev");
    dir = path.join(place.dir, "it's kept");
  });

  test("refuses a directory that holds something else, and leaves it alone", async () => {
    await mkdir(dir, { mode: 0o700 });
    await writeFile(path.join(dir, "credentials.json"), "mine");
    const { status, stderr } = await holdfast("dev", "--dir", dir);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^holdfast: Cannot use directory .*: there is something else in it, expected an empty /);
    expect(await readdir(dir)).toEqual(["credentials.json"]);
    expect(await readFile(path.join(dir, "credentials.json"), "utf8")).toBe("mine");
  });

  test("refuses a directory where others may write", async () => {
    await mkdir(dir);
    await run("chmod", "777", dir);
    expect((await holdfast("dev", "--dir", dir)).stderr).toContain("others may write there, expected mode 0700");
    expect(await readdir(dir)).toEqual([]);
  });

  test.runIf(isRoot)("refuses a directory of somebody else, whatever symlinks lie in it", async () => {
    const victim = path.join(place.dir, "victim");
    await mkdir(dir, { mode: 0o700 });
    await symlink(victim, path.join(dir, "credentials.json"));
    await run("chown", String(NOBODY.uid), dir);
    expect((await holdfast("dev", "--dir", dir)).stderr).toContain(`it belongs to uid ${NOBODY.uid}`);
    await expect(stat(victim)).rejects.toThrow("ENOENT");
  });

  test("keeps its directory, and finds volume, content and secret at the next start", async () => {
    const first = await serve(["--dir", dir]);
    await paste(commands(first, " detach "));
    await program?.end("SIGINT");

    const again = await serve(["--dir", dir]);
    const login = /ops:\S+/.exec(first)?.[0];
    expect(again).toContain(login);
    const output = await paste(
      commands(again).replaceAll(/^curl .*\/(?:reserve|create-volumes)$|^.* attach .*$/gm, ""),
    );
    expect(output).toMatch(/^ads\/db +.*attached/m);
    expect(statusesIn(output)).toEqual(["200"]);
    expect(output).toMatch(/^Restored ads\/db /m);
  });

  test("refuses a second one in the same directory, and the first one goes on as printed", async () => {
    const first = await serve(["--dir", dir]);
    const { status, stderr } = await holdfast("dev", "--dir", dir);
    expect(status).toBe(1);
    expect(stderr).toContain(`process ${program?.pid} has it`);
    expect(statusesIn(await paste(commands(first, "export")))).toEqual(["200", "200"]);
  });
});
