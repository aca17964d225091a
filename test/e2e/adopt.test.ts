/** Directories that are there become volumes of a real daemon, all or none, whatever happens in between. */
import { chown, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startResident } from "../support/resident.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount, NOBODY } from "./privileges.ts";
import { request, requestJson } from "./request.ts";

const HOLDFAST = path.resolve(import.meta.dirname, "../../scripts/holdfast");

interface Listed {
  readonly volumes: readonly { readonly role: string; readonly id: string; readonly state: string }[];
}

describe.runIf(mayMount)("adopting", () => {
  let place: Place;
  let daemon: Daemon;
  let srv: string;

  beforeEach(async () => {
    place = await makePlace("adopt");
    srv = path.join(place.dir, "srv");
    await mkdir(path.join(place.dir, "sandbox"));
    daemon = await Daemon.start({ dir: place.dir, args: ["--resources", "disk:1024", "--reconcile-interval", "1s"] });
  });
  afterEach(async () => {
    await daemon?.kill9();
    await place?.remove();
  });

  /** A directory with one file, which says where it was made. */
  async function make(directory: string): Promise<string> {
    await mkdir(directory, { recursive: true });
    await writeFile(path.join(directory, "file"), directory);
    return directory;
  }

  async function holdfast(...args: readonly string[]) {
    const options = { reject: false, cwd: place.dir, stdin: "ignore", timeout: 30_000 } as const;
    const { exitCode, stdout, stderr } = await execa(
      HOLDFAST,
      [...args, "--socket", daemon.socket.socketPath],
      options,
    );
    return { exitCode, stdout, stderr };
  }

  async function volumes(): Promise<readonly string[]> {
    const { volumes: listed } = await requestJson<Listed>(daemon.socket, { path: "/v1/volumes" });
    return listed.map(({ role, id, state }) => `${role}/${id} ${state}`);
  }

  test("of what a process has, by whatever mount, is refused with its pid", async () => {
    const directory = await make(path.join(srv, "db"));
    const script = `mkdir -p ${place.dir}/view; mount --bind ${srv} ${place.dir}/view; cd ${place.dir}/view/db`;
    const resident = await startResident(script, { ownNamespace: true });
    try {
      const body = { adoptions: [{ directory, role: "ads", id: "db" }] };
      const answer = await request(daemon.socket, { method: "POST", path: "/v1/adopt", body });
      expect(answer.status).toBe(409);
      expect(JSON.parse(answer.text)).toMatchObject({ error: { code: "in_use", pids: [resident.pid], index: 0 } });
      expect(await readdir(srv)).toEqual(["db"]);
    } finally {
      await resident.stop();
    }
  });

  test("through a symlink is refused, and says where the directory really is", async () => {
    const directory = await make(path.join(srv, "db"));
    await symlink(srv, path.join(place.dir, "link"));
    const { exitCode, stderr } = await holdfast("adopt", "link/db", "ads/db");
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`${path.join(place.dir, "link")} is a symlink; use ${directory}`);
    expect(await volumes()).toEqual([]);
  });

  test("a directory makes it a volume with its content and owner, which a container gets", async () => {
    const directory = await make(path.join(srv, "db"));
    await chown(directory, NOBODY.uid, NOBODY.gid);
    const { ino } = await stat(directory);
    const adopted = await holdfast("adopt", "srv/db", "ads/db", "--size", "8M");
    expect(adopted).toMatchObject({ exitCode: 0, stdout: `Adopted ${directory} as ads/db (8 MB)` });
    expect(await readdir(srv)).toEqual([]);
    expect(await volumes()).toEqual(["ads/db detached"]);
    const sandbox = path.join(place.dir, "sandbox");
    const body = { sandbox, volumes: [{ role: "ads", id: "db" }] };
    await requestJson(daemon.socket, { method: "PUT", path: "/v1/containers/web-1", body });
    expect(await readFile(path.join(sandbox, "data/file"), "utf8")).toBe(directory);
    expect(await stat(path.join(sandbox, "data"))).toMatchObject({ ino, uid: NOBODY.uid, gid: NOBODY.gid });
    await requestJson(daemon.socket, { method: "DELETE", path: "/v1/containers/web-1" });
    await daemon.kill9();
    await daemon.start();
    expect(await volumes()).toEqual(["ads/db detached"]);
  });

  test("a Mesos agent's volumes adopts all, after a dry run that changes nothing", async () => {
    const roles = path.join(place.dir, "mesos/volumes/roles");
    const ids = ["postgres#pgdata#53ab8732-7c1f-11ee-b962-0242ac120002", "cache"];
    for (const role of ["ads", "eng frontend"]) for (const id of ids) await make(path.join(roles, role, id));
    await symlink("/etc", path.join(roles, "ads", "etc"));
    await writeFile(path.join(roles, "ads", ids[1] ?? "", "large"), Buffer.alloc(3 * 2 ** 20, 1));

    const sitting = await startResident("true", { cwd: path.join(roles, "ads", "cache") });
    const blocked = await holdfast("adopt", "--mesos", "mesos", "--dry-run");
    expect(blocked.exitCode).toBe(1);
    expect(blocked.stderr).toContain(`process ${sitting.pid}, cat`);
    expect((await holdfast("adopt", "--mesos", "mesos")).exitCode).toBe(1);
    await sitting.stop();

    const dry = await holdfast("adopt", "--mesos", "mesos", "--dry-run");
    expect(dry.exitCode, dry.stderr).toBe(0);
    expect(dry.stderr).toContain(`Left out ${roles}/ads/etc: it is a symlink`);
    expect(dry.stdout.match(/would be adopted/g)).toHaveLength(4);
    expect(dry.stdout).toMatch(/ads\/cache +3\.\d +4 +root/);
    expect(await volumes()).toEqual([]);

    const adopted = await holdfast("adopt", "--mesos", "mesos");
    expect(adopted.exitCode, adopted.stderr).toBe(0);
    expect(await volumes()).toEqual([
      "ads/cache detached",
      `ads/${ids[0]} detached`,
      "eng/frontend/cache detached",
      `eng/frontend/${ids[0]} detached`,
    ]);
    expect(await readdir(path.join(roles, "ads"))).toEqual(["etc"]);
    const link = path.join(daemon.workRoot, "volumes/roles/eng frontend/cache/file");
    expect(await readFile(link, "utf8")).toBe(path.join(roles, "eng frontend/cache"));
  });

  test("that a kill interrupts leaves all directories where they were, or all of them volumes", async () => {
    const names = Array.from({ length: 60 }, (_, index) => `v${index}`);
    const outcomes = new Set<string>();
    for (let round = 0; round < 8; round += 1) {
      const role = `r${round}`;
      const adoptions = names.map((id) => ({ directory: path.join(srv, role, id), role, id, sizeMb: 1 }));
      for (const { directory } of adoptions) await make(directory);
      const asking = request(daemon.socket, { method: "POST", path: "/v1/adopt", body: { adoptions } }).catch(
        () => undefined,
      );
      await sleepUntilMoved(path.join(srv, role), names.length - round * 9);
      await daemon.kill9();
      const answered = (await asking)?.status === 200;
      await daemon.start();
      const left = (await readdir(path.join(srv, role))).length;
      const there = (await volumes()).filter((line) => line.startsWith(`${role}/`));
      expect([left, there.length]).toEqual(answered || there.length > 0 ? [0, names.length] : [names.length, 0]);
      expect(there.filter((line) => !line.endsWith(" detached"))).toEqual([]);
      for (const { directory, id } of adoptions) {
        const content = left > 0 ? directory : path.join(daemon.workRoot, "volumes/roles", role, id);
        expect(await readFile(path.join(content, "file"), "utf8")).toBe(directory);
      }
      outcomes.add(left > 0 ? "none" : "all");
    }
    expect(outcomes).toContain("none");
    const { problems } = await requestJson<{ problems: readonly string[] }>(daemon.socket, { path: "/v1/status" });
    expect(problems).toEqual([]);
  });

  /** Until so few directories are left, or none goes any more. */
  async function sleepUntilMoved(directory: string, left: number): Promise<void> {
    for (let waits = 0; waits < 5_000; waits += 1) {
      if ((await readdir(directory)).length <= Math.max(0, left)) return;
      await sleep(1);
    }
  }
});
