/** The hook as an OCI configuration names it. */
import { accessSync, constants } from "node:fs";
import { resolve } from "node:path";

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

const SCRIPTS = resolve(import.meta.dirname, "../oci-hook");
const HOLDFAST = resolve(import.meta.dirname, "../../../scripts/holdfast");

/**
 * The quickest way that this node has to tell the daemon: perl, curl, or this program.
 * @param socket absolute path
 */
export function hookEntry(socket: string): HookEntry {
  const [path, ...args] = commandLine(socket);
  return { path, args: [path, ...args], env: ENVIRONMENT, timeout: TIMEOUT_S };
}

function commandLine(socket: string): readonly [string, ...string[]] {
  const perl = find("perl");
  if (perl !== undefined) return [perl, "-f", `${SCRIPTS}/hook.pl`, socket];
  const curl = find("curl");
  if (curl !== undefined) return ["/bin/sh", `${SCRIPTS}/hook.sh`, curl, socket];
  return [HOLDFAST, "hook", "createRuntime", "--socket", socket];
}

function find(program: string): string | undefined {
  return ["/usr/bin", "/bin", "/usr/local/bin"].map((directory) => `${directory}/${program}`).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
