/** The hook as an OCI configuration names it. */
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** An entry of `hooks` in a bundle's `config.json`, and the `hook` of a hooks.d file. */
export interface HookEntry {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly timeout: number;
}

/** The program gives up by itself before: with a reason. */
const TIMEOUT_S = 30;

/** Never empty: some runtimes would let the hook inherit their own. */
const ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"];

/** In a checkout and where it is installed. */
const SCRIPTS = resolve(import.meta.dirname, "../oci-hook");
const CHECKOUT_PROGRAM = resolve(import.meta.dirname, "../../../scripts/holdfast");
const INSTALLED = resolve(import.meta.dirname, "..");

/**
 * The quickest way that a machine has to tell the daemon: perl, curl, or this program.
 * @param socket absolute path
 * @param root of that machine, when it is an image that this program is installed in
 */
export function hookEntry(socket: string, root = "/"): HookEntry {
  const [path, ...args] = commandLine(socket, root);
  return { path, args: [path, ...args], env: ENVIRONMENT, timeout: TIMEOUT_S };
}

function commandLine(socket: string, root: string): readonly [string, ...string[]] {
  const scripts = seenFrom(root, lasting(SCRIPTS));
  const perl = find("perl", root);
  if (perl !== undefined) return [perl, "-f", `${scripts}/hook.pl`, socket];
  const curl = find("curl", root);
  if (curl !== undefined) return ["/bin/sh", `${scripts}/hook.sh`, curl, socket];
  return [seenFrom(root, program()), "hook", "createRuntime", "--socket", socket];
}

function program(): string {
  return existsSync(CHECKOUT_PROGRAM) ? CHECKOUT_PROGRAM : lasting(join(INSTALLED, "bin/holdfast"));
}

/** The same path by the symlink that leads to the version in force, which outlives an upgrade. */
function lasting(path: string): string {
  const current = join(dirname(INSTALLED), "current");
  if (!existsSync(current) || realpathSync(current) !== INSTALLED) return path;
  return current + path.slice(INSTALLED.length);
}

function seenFrom(root: string, path: string): string {
  return root === "/" || !path.startsWith(`${root}/`) ? path : path.slice(root.length);
}

function find(name: string, root: string): string | undefined {
  const places = ["/usr/bin", "/bin", "/usr/local/bin"].map((directory) => `${directory}/${name}`);
  return places.find((place) => isExecutable(join(root, place)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
