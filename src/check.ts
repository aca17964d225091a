/**
 * `holdfast daemon --check`: whether the daemon would start with these settings, as far as that can be known without
 * starting it. Changes nothing.
 */
import { accessSync, constants, existsSync, lstatSync, realpathSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { getSystemErrorMessage } from "node:util";
import { readAclsFile } from "./auth/acls-file.ts";
import { readCredentialsFile } from "./auth/credentials.ts";
import type { ListenAddress } from "./config/fields.ts";
import type { Settings } from "./config/settings.ts";
import { nodeIdOf, readTls } from "./daemon.ts";
import { isFree } from "./doctor.ts";
import { parseDeclaredResources, requireApart } from "./domain/declared.ts";
import { HoldfastError, messageOf } from "./domain/error.ts";
import { fileSystemTypeOf, whyVolatile } from "./host/file-system.ts";
import { realPathOf } from "./host/real-path.ts";
import { isPortOfServiceManager } from "./host/systemd.ts";

/**
 * Prints the settings that a service manager must know too, one a line: the work root, the operator HTTP's address, the
 * agent socket, and the Docker plugin's and CSI's if there are any.
 * @throws the reason why the daemon would not start
 */
export async function runCheck(settings: Settings): Promise<void> {
  const { credentialsFile, aclsFile, tls, resources, workRoot, socket, dockerPlugin, csi, listen } = settings;
  if (resources !== undefined) requireApart(parseDeclaredResources(resources).disks, workRoot, realPathOf);
  if (credentialsFile !== undefined) await readCredentialsFile(credentialsFile);
  if (aclsFile !== undefined) await readAclsFile(aclsFile);
  if (tls !== undefined) readTls(tls);
  checkWorkRoot(workRoot);
  if (csi !== undefined) nodeIdOf(csi);
  for (const path of [socket, dockerPlugin?.path, csi?.path]) if (path !== undefined) checkSocket(path);
  // A daemon that runs, or the service manager in its place, has the address already.
  if ((!existsSync(workRoot) || isFree(workRoot)) && !isPortOfServiceManager(listen.port)) await checkFree(listen);
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  const lines = [`workRoot: ${workRoot}`, `listen: ${host}:${listen.port}`, `socket: ${socket}`];
  if (dockerPlugin !== undefined) lines.push(`dockerPlugin: ${dockerPlugin.path}`);
  if (csi !== undefined) lines.push(`csi: ${csi.path}`);
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** The work root, or where it would be made. */
function checkWorkRoot(root: string): void {
  const place = existing(root);
  const refuse = (reason: string): never => {
    const where = place === root ? "it" : `it would be made in ${place}, which`;
    throw new HoldfastError("unsupported", `Cannot use work root ${root}: ${where} ${reason}`);
  };
  if (!lstatSync(realpathSync(place)).isDirectory()) refuse("is not a directory");
  const type = fileSystemTypeOf(place);
  const volatile = whyVolatile(type);
  if (volatile !== undefined) refuse(`is on ${type}, and ${volatile}`);
  try {
    accessSync(place, constants.W_OK);
  } catch (error) {
    refuse(`cannot be written (${reasonOf(error)})`);
  }
}

/** The path itself, or the nearest above it that exists. */
function existing(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existing(dirname(path));
}

function checkSocket(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isSocket()) return;
  throw new HoldfastError("conflict", `Cannot listen on ${path}: something else is there`);
}

function checkFree({ host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (cause) => {
      const reason = `Cannot listen on ${host}:${port}: ${reasonOf(cause)}`;
      reject(new HoldfastError("unavailable", reason, { cause }));
    });
    probe.listen({ host, port }, () => probe.close(() => resolve()));
  });
}

function reasonOf(error: unknown): string {
  return error instanceof Error && "errno" in error ? getSystemErrorMessage(Number(error.errno)) : messageOf(error);
}
