/** `holdfast dev`: the daemon in a temporary directory, with credentials made up and commands to paste. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ensureDirSync, removeSync } from "fs-extra/esm";
import { loadSettings } from "./config/settings.ts";
import { type Daemon, startDaemon, stopSignal } from "./daemon.ts";
import { HoldfastError } from "./domain/error.ts";
import type { Actor } from "./domain/operation.ts";
import { readMountTable } from "./host/mount-table.ts";
import { detectDiskMb } from "./host/work-root.ts";
import { createLog, type FlushableLog } from "./observe/log.ts";

const PORT = 5055;
const PRINCIPAL = "ops";
/** The work root in the directory, by which one of an earlier run is known. */
const WORK = "work";
const OWNER: Actor = { kind: "peer", uid: process.getuid?.() ?? 0 };

export interface DevOptions {
  /** A directory that is kept; default: a temporary one that is removed at the end. */
  readonly dir?: string;
}

/** Runs until SIGTERM, SIGINT or the end of its terminal. */
export async function runDev({ dir }: DevOptions): Promise<void> {
  const log = createLog({ level: "warn" });
  // From here on, so that a signal during the start leaves nothing behind either.
  const stopped = stopSignal(log);
  process.once("SIGHUP", () => process.kill(process.pid, "SIGTERM"));
  const directory = dir === undefined ? realpathSync(mkdtempSync(join(tmpdir(), "holdfast-"))) : keptDirectory(dir);
  try {
    await serve({ directory, kept: dir !== undefined, log, stopped });
  } finally {
    if (dir === undefined) removeUnmounted(directory);
  }
}

interface Serving {
  readonly directory: string;
  readonly kept: boolean;
  readonly log: FlushableLog;
  readonly stopped: Promise<void>;
}

async function serve({ directory, kept, log, stopped }: Serving): Promise<void> {
  const credentials = join(directory, "credentials.json");
  const secret = secretIn(credentials);
  ensureDirSync(join(directory, "sandbox"));
  const settings = loadSettings({
    flags: {
      workRoot: join(directory, WORK),
      listen: `127.0.0.1:${(await isFree(PORT)) ? PORT : 0}`,
      socket: join(directory, "holdfast.sock"),
      credentials,
    },
  });
  const daemon = await startDaemon(settings, { allowVolatile: true, log });
  try {
    process.stdout.write(welcome(daemon, directory, secret, kept));
    await stopped;
    if (!kept) await detachEverything(daemon);
  } finally {
    await daemon.stop();
  }
}

/** A new directory, or one of an earlier run: nobody else's, and nothing of other use. */
function keptDirectory(dir: string): string {
  ensureDirSync(resolve(dir), { mode: 0o700 });
  const directory = realpathSync(dir);
  const { uid, mode } = statSync(directory);
  const names = readdirSync(directory);
  if (uid !== process.geteuid?.()) throw unusable(directory, `it belongs to uid ${uid}, expected one of your own`);
  if ((mode & 0o022) !== 0) throw unusable(directory, "others may write there, expected mode 0700");
  if (names.length > 0 && !names.includes(WORK)) {
    throw unusable(directory, "there is something else in it, expected an empty directory or one of an earlier run");
  }
  ensureDirSync(join(directory, WORK), { mode: 0o700 });
  return directory;
}

/** The secret of an earlier run stays, so that what it printed stays true. */
function secretIn(file: string): string {
  if (existsSync(file)) return readSecret(file);
  const secret = randomBytes(9).toString("base64url");
  const credentials = [{ principal: PRINCIPAL, secret }];
  writeFileSync(file, JSON.stringify({ credentials }), { mode: 0o600, flag: "wx" });
  return secret;
}

function readSecret(file: string): string {
  try {
    const { credentials } = JSON.parse(readFileSync(file, "utf8"));
    const { secret } = credentials.find(({ principal }: { principal: unknown }) => principal === PRINCIPAL);
    return String(secret);
  } catch (cause) {
    throw new HoldfastError("invalid", `Cannot use credentials ${file}: expected a secret of ${PRINCIPAL}`, { cause });
  }
}

function unusable(directory: string, reason: string): HoldfastError {
  return new HoldfastError("conflict", `Cannot use directory ${directory}: ${reason}`);
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

/** Never deletes through a mount: what somebody mounted over the directory or below it is theirs. */
function removeUnmounted(directory: string): void {
  const mounted = readMountTable("self").find(({ mountPoint }) => `${mountPoint}/`.startsWith(`${directory}/`));
  if (mounted === undefined) removeSync(directory);
  else process.stderr.write(`holdfast: Kept ${directory}: ${mounted.mountPoint} is a mount, unmount it first\n`);
}

function welcome(daemon: Daemon, directory: string, secret: string, kept: boolean): string {
  const url = `http://${daemon.address.host}:${daemon.address.port}`;
  const appearance =
    daemon.mountBackend === "bind" ? "bind mounts" : "symlinks, because this process may not make mounts";
  return `Holdfast serves ${url} for ${PRINCIPAL}:${secret}
  console       ${url}/ui/
  agent id      ${daemon.agentId}
  agent socket  ${join(directory, "holdfast.sock")}
  directory     ${directory} (${kept ? "kept" : "removed at the end"})
  volumes       appear as ${appearance}

Paste into another terminal:

${commands(`${PRINCIPAL}:${secret} -d slaveId=${daemon.agentId}`, url, directory)}
Ctrl-C stops it.
`;
}

/** The way of one volume, as much as the disk has room for. */
function commands(login: string, url: string, directory: string): string {
  const reservedMb = Math.min(2048, detectDiskMb(directory));
  const reservation = `"reservations":[{"type":"DYNAMIC","role":"ads"}]`;
  const disk = (mb: number) => `"name":"disk","type":"SCALAR","scalar":{"value":${mb}},${reservation}`;
  const persistence = `"persistence":{"id":"db"},"volume":{"mode":"RW","container_path":"data"}`;
  const volume = `{${disk(Math.min(512, reservedMb))},"disk":{${persistence}}}`;
  const curl = `curl -i -u ${login}`;
  const holdfast = quoted(launcher());
  const sandbox = join(directory, "sandbox");
  return `  # reserve ${reservedMb} MB for the role ads, and create the volume ads/db on it
  ${curl} -d resources='[{${disk(reservedMb)}}]' ${url}/reserve
  ${curl} -d volumes='[${volume}]' ${url}/create-volumes

  # put it into a sandbox, and write
  export HOLDFAST_SOCKET=${quoted(join(directory, "holdfast.sock"))}
  ${holdfast} attach ads/db --sandbox ${quoted(sandbox)} --container web-1
  echo hello > ${quoted(join(sandbox, "data/greeting"))}
  ${holdfast} list

  # take it out, destroy it, and take it back
  ${holdfast} detach web-1
  ${curl} -d volumes='[${volume}]' ${url}/destroy-volumes
  ${holdfast} restore ads/db
`;
}

/** What runs this program: in a checkout, or where it is installed. */
function launcher(): string {
  const places = ["../scripts/holdfast", "../bin/holdfast"].map((place) => join(import.meta.dirname, place));
  return places.find((place) => existsSync(place)) ?? "holdfast";
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w/.,:@%+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
