/** `holdfast dev`: the daemon in a temporary directory, with credentials made up and commands to paste. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ensureDirSync, removeSync } from "fs-extra/esm";
import { loadSettings } from "./config/settings.ts";
import { type Daemon, startDaemon, stopSignal } from "./daemon.ts";
import type { Actor } from "./domain/operation.ts";
import { readMountTable } from "./host/mount-table.ts";
import { createLog } from "./observe/log.ts";

const PORT = 5055;
const PRINCIPAL = "ops";
const OWNER: Actor = { kind: "peer", uid: process.getuid?.() ?? 0 };

export interface DevOptions {
  /** A directory that is kept; default: a temporary one that is removed at the end. */
  readonly dir?: string;
}

/** Runs until SIGTERM or SIGINT. */
export async function runDev({ dir }: DevOptions): Promise<void> {
  const directory = dir === undefined ? realpathSync(mkdtempSync(join(tmpdir(), "holdfast-"))) : keptDirectory(dir);
  try {
    await serve(directory, dir !== undefined);
  } finally {
    if (dir === undefined) removeUnmounted(directory);
  }
}

async function serve(directory: string, kept: boolean): Promise<void> {
  const secret = randomBytes(9).toString("base64url");
  const credentials = join(directory, "credentials.json");
  writeFileSync(credentials, JSON.stringify({ credentials: [{ principal: PRINCIPAL, secret }] }), { mode: 0o600 });
  ensureDirSync(join(directory, "sandbox"));
  const log = createLog({ level: "warn" });
  const settings = loadSettings({
    flags: {
      workRoot: join(directory, "work"),
      listen: `127.0.0.1:${(await isFree(PORT)) ? PORT : 0}`,
      socket: join(directory, "holdfast.sock"),
      credentials,
    },
  });
  const daemon = await startDaemon(settings, { allowVolatile: true, log });
  try {
    process.stdout.write(welcome(daemon, directory, secret, kept));
    await stopSignal(log);
    if (!kept) await detachEverything(daemon);
  } finally {
    await daemon.stop();
  }
}

function keptDirectory(dir: string): string {
  ensureDirSync(resolve(dir), { mode: 0o700 });
  return realpathSync(dir);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once("error", () => done(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => done(true)));
  });
}

/** The volumes are about to go, so nothing may show them any more. */
async function detachEverything({ engine, log }: Daemon): Promise<void> {
  for (const { container } of await engine.containers(OWNER)) {
    try {
      await engine.detach(OWNER, container.id, { force: true });
    } catch (error) {
      log.error({ error, container: container.id }, "Cannot detach a container");
    }
  }
}

/** Never deletes through a mount: what somebody mounted below the directory is theirs. */
function removeUnmounted(directory: string): void {
  const mounted = readMountTable("self").find(({ mountPoint }) => String(mountPoint).startsWith(`${directory}/`));
  if (mounted === undefined) removeSync(directory);
  else process.stderr.write(`holdfast: Kept ${directory}: ${mounted.mountPoint} is a mount, unmount it first\n`);
}

function welcome(daemon: Daemon, directory: string, secret: string, kept: boolean): string {
  const url = `http://${daemon.address.host}:${daemon.address.port}`;
  const curl = `curl -i -u ${PRINCIPAL}:${secret} -d slaveId=${daemon.agentId}`;
  const socket = join(directory, "holdfast.sock");
  const sandbox = join(directory, "sandbox");
  const reservation = `"reservations":[{"type":"DYNAMIC","role":"ads"}]`;
  const disk = (mb: number) => `"name":"disk","type":"SCALAR","scalar":{"value":${mb}},${reservation}`;
  const volume = `{${disk(512)},"disk":{"persistence":{"id":"db"},"volume":{"mode":"RW","container_path":"data"}}}`;
  const appearance =
    daemon.mountBackend === "bind" ? "bind mounts" : "symlinks, because this process may not make mounts";
  return `Holdfast serves ${url} for ${PRINCIPAL}:${secret}
  agent id      ${daemon.agentId}
  agent socket  ${socket}
  directory     ${directory} (${kept ? "kept" : "removed at the end"})
  volumes       appear as ${appearance}

Paste into another terminal, in this directory:

  # reserve 2048 MB for the role ads, and create the volume ads/db on it
  ${curl} -d resources='[{${disk(2048)}}]' ${url}/reserve
  ${curl} -d volumes='[${volume}]' ${url}/create-volumes

  # put it into a sandbox, and write
  export HOLDFAST_SOCKET=${socket}
  scripts/holdfast attach ads/db --sandbox ${sandbox} --container web-1
  echo hello > ${sandbox}/data/greeting
  scripts/holdfast list

  # take it out, destroy it, and take it back
  scripts/holdfast detach web-1
  ${curl} -d volumes='[${volume}]' ${url}/destroy-volumes
  scripts/holdfast restore ads/db

Ctrl-C stops it.
`;
}
