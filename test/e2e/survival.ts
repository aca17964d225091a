/**
 * What a volume is for: a real server writes to it, server and daemon are killed in the middle of it, both come back,
 * and every row that was acknowledged is there; and again after the volume was destroyed and restored.
 */
import { chown, lstat, mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon } from "./daemon.ts";
import type { DataServer, ServerPlace } from "./data-server.ts";
import { makePlace, type Place, type User } from "./place.ts";
import { isRoot, mayMount, NOBODY, underUser } from "./privileges.ts";
import type { CommandLine } from "./program.ts";
import { Volume } from "./volume.ts";

const ROWS_MIN = 200;
const WRITE_MS_MAX = 20_000;
const RESOURCES = ["--resources", "disk(*):2048"];

/** How daemon and server run. */
interface Setting {
  readonly daemonArgs: readonly string[];
  /** The daemon's user, where it is not the caller's. */
  readonly daemonUser?: User;
  readonly serverUser: User;
  within(commandLine: CommandLine): CommandLine;
}

/** The server sees its volume from a mount namespace of its own, as it would in a container. */
const asRoot: Setting = {
  daemonArgs: [...RESOURCES, "--mount-backend", "bind"],
  serverUser: NOBODY,
  within: (commandLine) => ["unshare", "--mount", "--propagation=slave", ...underUser(NOBODY, commandLine)],
};

const withoutRoot: Setting = isRoot
  ? {
      daemonArgs: [...RESOURCES, "--mount-backend", "symlink"],
      daemonUser: NOBODY,
      serverUser: NOBODY,
      within: (commandLine) => underUser(NOBODY, commandLine),
    }
  : {
      daemonArgs: [...RESOURCES, "--mount-backend", "symlink"],
      serverUser: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      within: (commandLine) => commandLine,
    };

/** Daemon, volume and server of one setting. */
interface Scene {
  readonly daemon: Daemon;
  readonly volume: Volume;
  readonly server: DataServer;
  readonly serverPlace: ServerPlace;
  readonly sandbox: string;
}

/** The facts of one kind of server; `installed` may be false only where root could not install it. */
export function describeSurvival(name: string, installed: boolean, make: (place: ServerPlace) => DataServer): void {
  describe.skipIf(!mayMount)(`${name} on a bind mount (needs root with CAP_SYS_ADMIN)`, () => facts(asRoot, make));
  const runnable = isRoot ? mayMount : installed;
  const title = `${name} on a symlink, without root (needs ${name}; as root also CAP_SYS_ADMIN)`;
  describe.skipIf(!runnable)(title, () => facts(withoutRoot, make));
}

function facts(setting: Setting, make: (place: ServerPlace) => DataServer): void {
  let place: Place;
  let scene: Scene;
  const acknowledged: number[] = [];

  beforeAll(async () => {
    place = await makePlace("e2e", setting.daemonUser);
    scene = await build(place, setting, make);
  });

  afterAll(async () => {
    await scene?.server.stop();
    await scene?.daemon.kill9();
    await place?.remove();
  });

  test("every acknowledged row survives kill -9 of server and daemon in the middle of writing", async () => {
    const { daemon, server, volume } = scene;
    const writing = server.write((row) => acknowledged.push(row));
    await enoughRows(acknowledged);
    await Promise.all([server.kill9(), daemon.kill9()]);
    await writing;
    await daemon.start();
    expect(await volume.state()).toBe("attached");
    await server.start();
    expect(missing(acknowledged, await server.rows())).toEqual([]);
  });

  test("every acknowledged row is there again after destroy and restore", async () => {
    const { sandbox, server, serverPlace, volume } = scene;
    await server.stop();
    await volume.detach();
    await expect(lstat(serverPlace.data)).rejects.toThrow("ENOENT");
    await volume.destroy();
    expect(await volume.state()).toBe("retained");
    await volume.restore();
    await volume.attach(sandbox, setting.serverUser);
    await server.start();
    expect(missing(acknowledged, await server.rows())).toEqual([]);
  });
}

async function build({ dir }: Place, setting: Setting, make: (place: ServerPlace) => DataServer): Promise<Scene> {
  const { daemonArgs: args, daemonUser, serverUser } = setting;
  const [sandbox, runDir] = [path.join(dir, "sandbox"), path.join(dir, "run")];
  for (const own of [sandbox, runDir]) {
    await mkdir(own);
    await chown(own, serverUser.uid, serverUser.gid);
  }
  const daemon = await Daemon.start({ dir, args, ...(daemonUser !== undefined && { user: daemonUser }) });
  const volume = await Volume.create(daemon);
  await volume.attach(sandbox, serverUser);
  const serverPlace = { data: path.join(sandbox, "data"), runDir, within: setting.within };
  const server = make(serverPlace);
  await server.initialise();
  return { daemon, volume, server, serverPlace, sandbox };
}

async function enoughRows(acknowledged: readonly number[]): Promise<void> {
  const deadline = performance.now() + WRITE_MS_MAX;
  while (acknowledged.length < ROWS_MIN) {
    if (performance.now() > deadline) throw new Error(`Only ${acknowledged.length} rows were acknowledged`);
    await sleep(5);
  }
}

function missing(acknowledged: readonly number[], found: ReadonlySet<number>): number[] {
  return acknowledged.filter((row) => !found.has(row));
}
