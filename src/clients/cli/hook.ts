import { resolve } from "node:path";
import type { Command } from "commander";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { cleanUp, prepare } from "./containerizer-hook.ts";
import { hookEntry } from "./hook-entry.ts";
import { HOOKS_DIR, installHook } from "./hook-install.ts";
import { addSocketOption, parsePath, type SocketOptions } from "./options.ts";
import { parseInput } from "./stdin.ts";
import { printable, printableJson } from "./text.ts";

export const configureHook: Configure = (command, context) => {
  command.description("What a containerizer runs when it starts and ends a container.");
  command.helpCommand(false).addHelpText("after", HELP);
  addConfig(command, context);
  addInstall(command, context);
  addCreateRuntime(command, context);
  addContainerizerStages(command, context);
};

const OCI = "For OCI runtimes (runc, crun, podman, CRI-O):";
/** What a container that wants volumes has among its annotations. */
const ASKING = ["io.holdfast.volumes", "io.holdfast.app"];
const MESOS = "For an agent that manages sandboxes itself:";

/** `hook config` */
function addConfig(parent: Command, context: CommandContext): void {
  const command = subcommand(parent, "config", OCI)
    .summary("print the hooks object for a bundle's config.json")
    .description("Prints the hooks object that a bundle's config.json needs.")
    .action(({ socket }: SocketOptions) => {
      context.print(printableJson({ createRuntime: [hookEntry(socketPath(command, socket))] }));
    });
  addSocketOption(command, context);
  addExamples(command, "holdfast hook config", "holdfast hook config --socket /run/holdfast/holdfast.sock");
}

interface InstallOptions extends SocketOptions {
  readonly hooksDir: string;
  readonly root: string;
}

/** `hook install` */
function addInstall(parent: Command, context: CommandContext): void {
  const command = subcommand(parent, "install", OCI)
    .summary("write the hooks.d file for podman and CRI-O")
    .description("Writes holdfast.json, which podman and CRI-O read for every container. Repeating it changes nothing.")
    .option("--hooks-dir <DIR>", "where they look for hooks; made if it is missing", parsePath, HOOKS_DIR)
    .option("--root <DIR>", "image of the machine that it is for, with this program installed in it", parsePath, "/")
    .action(async ({ hooksDir, root, socket }: InstallOptions) => {
      const place = { hooksDir, socket: socketPath(command, socket), root: resolve(root) };
      const { path, changed } = await installHook(place);
      context.print(printable(changed ? `Wrote ${path}` : `${path} is as it should be already`));
    });
  addSocketOption(command, context);
  addExamples(command, "holdfast hook install", "holdfast hook install --hooks-dir /usr/share/containers/oci/hooks.d");
}

/** What fits into a socket's address, without its final NUL. */
const SOCKET_BYTES_MAX = 107;

/** Where the hook will look for the daemon, from any directory. */
function socketPath(command: Command, socket: string): string {
  const path = resolve(socket);
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_BYTES_MAX) return path;
  return command.error(`error: the socket ${path} has ${bytes} bytes, expected at most ${SOCKET_BYTES_MAX}`);
}

/** `hook createRuntime`: what the scripts beside this program do faster. */
function addCreateRuntime(parent: Command, context: CommandContext): void {
  const command = subcommand(parent, "createRuntime", OCI)
    .summary("the hook itself, for nodes with neither perl nor curl")
    .description("Attaches the volumes of the container whose OCI state is on the standard input.")
    .action(async ({ socket }: SocketOptions) => {
      const state = await context.readInput();
      // A container that asks for no volume never waits for the daemon.
      if (ASKING.some((key) => state.includes(key))) await openAgent(socket).hook(parseInput(state, "the state"));
    });
  addSocketOption(command, context);
}

/** `hook prepare`, `hook update`, `hook cleanup` */
function addContainerizerStages(parent: Command, context: CommandContext): void {
  const stages = [
    ["prepare", "make a container's volumes present before it starts", prepare],
    ["update", "make these volumes present, and no others", prepare],
    ["cleanup", "take all volumes of a container away", cleanUp],
  ] as const;
  for (const [name, summary, act] of stages) {
    const command = subcommand(parent, name, MESOS)
      .summary(summary)
      .description(`Reads JSON from the standard input: ${summary}. holdfast hook --help says what to write there.`)
      .action(async ({ socket }: SocketOptions) => {
        const answer = await act(openAgent(socket), parseInput(await context.readInput(), "the input"));
        context.print(printableJson(answer));
      });
    addSocketOption(command, context);
  }
}

function subcommand(parent: Command, name: string, group: string): Command {
  return parent.command(name).helpGroup(group);
}

const HELP = `
OCI runtimes. The container asks by annotation, the hook attaches before its first process runs, and the end of the
container, however it ends, detaches. A volume that cannot be attached stops the container with the reason.
  io.holdfast.volumes   [{"role":"ads","id":"db","containerPath":"data","mode":"RW"}], path and mode may be left out
  io.holdfast.app       /sesame/samson, for the volumes of one free instance of that app
  io.holdfast.sandbox   the directory inside the container that containerPath starts from (default /)

  $ holdfast hook install
  $ podman run --annotation '"io.holdfast.volumes=[{""role"":""ads"",""id"":""db""}]"' IMAGE ls /data
(Podman 4 reads annotations as CSV, hence the quotes; later ones may take them as they are.)

An agent that manages sandboxes. Resources are Mesos's, in any of its forms; those with disk.persistence are the
container's volumes, others are ignored. Path and mode are those of disk.volume. user owns the top of an empty volume.
All or nothing; a volume that a process sits in is not taken away by update, and lingers after cleanup.
The answer is the container as JSON, or one line on stderr and exit status 1.

  $ holdfast hook prepare <<END
    {"containerId": "c1", "sandbox": "/var/lib/agent/sandboxes/c1", "user": "www-data", "resources": [
      {"name": "disk", "type": "SCALAR", "scalar": {"value": 512}, "role": "ads", "reservation": {},
       "disk": {"persistence": {"id": "db"}, "volume": {"mode": "RW", "container_path": "data"}}}]}
    END
  $ echo '{"containerId": "c1"}' | holdfast hook cleanup`;
