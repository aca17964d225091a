/**
 * The command line: one file a command, loaded only when that command runs, so that each starts quickly. A command
 * translates human arguments into one request to the daemon's agent socket (or a look-up and a request) and its answer
 * into lines for people; it has no rules of its own.
 *
 * Exit status: 0 done, 1 refused or failed, 2 wrong usage; every failure is one line on stderr.
 */
import { Command, CommanderError } from "commander";
import { messageOf } from "../../domain/error.ts";
import type { CommandContext, CommandTable } from "./command.ts";
import { printable } from "./text.ts";

const DISK = "Disk and volumes:";
const CONTAINERS = "Containers:";
const NODE = "The node:";

/** The commands that speak to a running daemon. */
export const CLIENT_COMMANDS: CommandTable = {
  reserve: {
    group: DISK,
    summary: "reserve disk for a role",
    load: async () => (await import("./reserve.ts")).configureReserve,
  },
  unreserve: {
    group: DISK,
    summary: "give reserved disk back",
    load: async () => (await import("./unreserve.ts")).configureUnreserve,
  },
  create: {
    group: DISK,
    summary: "create a volume on reserved disk",
    load: async () => (await import("./create.ts")).configureCreate,
  },
  destroy: {
    group: DISK,
    summary: "destroy a volume; its content is retained until it is collected",
    load: async () => (await import("./destroy.ts")).configureDestroy,
  },
  grow: {
    group: DISK,
    summary: "make a volume larger",
    load: async () => (await import("./resize.ts")).configureGrow,
  },
  shrink: {
    group: DISK,
    summary: "make a volume smaller",
    load: async () => (await import("./resize.ts")).configureShrink,
  },
  restore: {
    group: DISK,
    summary: "bring a destroyed volume back with its content",
    load: async () => (await import("./restore.ts")).configureRestore,
  },
  copy: {
    group: DISK,
    summary: "make a volume with the content of another one, or of a snapshot",
    load: async () => (await import("./copy.ts")).configureCopy,
  },
  snapshot: {
    group: DISK,
    summary: "keep the content of a volume as it is now",
    load: async () => (await import("./copy.ts")).configureSnapshot,
  },
  adopt: {
    group: DISK,
    summary: "make existing directories volumes, also those of a Mesos agent",
    load: async () => (await import("./adopt.ts")).configureAdopt,
  },
  protect: {
    group: DISK,
    summary: "keep a volume from being destroyed",
    load: async () => (await import("./mark.ts")).configureProtect,
  },
  unprotect: {
    group: DISK,
    summary: "let a volume be destroyed again",
    load: async () => (await import("./mark.ts")).configureUnprotect,
  },
  pin: {
    group: DISK,
    summary: "keep a destroyed volume's content from being collected",
    load: async () => (await import("./mark.ts")).configurePin,
  },
  unpin: {
    group: DISK,
    summary: "let a destroyed volume's content be collected again",
    load: async () => (await import("./mark.ts")).configureUnpin,
  },
  describe: {
    group: DISK,
    summary: "say what a volume is for, and label it",
    load: async () => (await import("./describe.ts")).configureDescribe,
  },
  gc: {
    group: DISK,
    summary: "delete destroyed volumes and old sandboxes for good, or say what would be",
    load: async () => (await import("./gc.ts")).configureGc,
  },
  list: {
    group: DISK,
    summary: "list volumes, destroyed ones that are retained too",
    load: async () => (await import("./list.ts")).configureList,
  },
  show: {
    group: DISK,
    summary: "show everything about one volume",
    load: async () => (await import("./show.ts")).configureShow,
  },
  attach: {
    group: CONTAINERS,
    summary: "make volumes appear in a container's sandbox",
    load: async () => (await import("./attach.ts")).configureAttach,
  },
  detach: {
    group: CONTAINERS,
    summary: "take volumes away from a container",
    load: async () => (await import("./detach.ts")).configureDetach,
  },
  containers: {
    group: CONTAINERS,
    summary: "list who has which volume, and where",
    load: async () => (await import("./containers.ts")).configureContainers,
  },
  app: {
    group: CONTAINERS,
    summary: "make and manage stateful apps, by Marathon's definitions",
    load: async () => (await import("./app.ts")).configureApp,
  },
  hook: {
    group: CONTAINERS,
    summary: "be the hook of a containerizer, or install it",
    load: async () => (await import("./hook.ts")).configureHook,
  },
  "nomad-volume": {
    group: CONTAINERS,
    summary: "be Nomad's plugin for dynamic host volumes",
    load: async () => (await import("./nomad-volume.ts")).configureNomadVolume,
  },
  status: {
    group: NODE,
    summary: "show the state of the node and what needs attention",
    load: async () => (await import("./status.ts")).configureStatus,
  },
  events: {
    group: NODE,
    summary: "show what happened and who asked for it, or follow it",
    load: async () => (await import("./events.ts")).configureEvents,
  },
  health: {
    group: NODE,
    summary: "exit with 0 when the daemon is ready to serve",
    load: async () => (await import("./health.ts")).configureHealth,
  },
};

export interface CommandLine {
  readonly version: string;
  /** Without the program's own name. */
  readonly args: readonly string[];
  readonly commands: CommandTable;
  readonly context: CommandContext;
}

/** Runs one command line to its exit status; what failed has been told on stderr. */
export async function runCommandLine(line: CommandLine): Promise<0 | 1 | 2> {
  const args = line.args[0] === "help" ? [...line.args.slice(1), "--help"] : line.args;
  try {
    await buildProgram(line).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      complain(line.context, messageOf(error));
      return 1;
    }
    if (error.exitCode === 0) return 0;
    if (error.code !== "commander.help") complain(line.context, usageMessage(error, line));
    return 2;
  }
}

function buildProgram({ version, commands, context }: CommandLine): Command {
  const program = new Command("holdfast")
    .description("Keeps a node's data in place while containers come and go.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => context.print(text.trimEnd()), outputError: () => {} })
    .addHelpText("after", PROGRAM_HELP);
  for (const [name, { group, summary }] of Object.entries(commands)) {
    program.command(name).summary(summary).helpGroup(group);
  }
  program.hook("preSubcommand", async (_, command) => {
    const entry = commands[command.name()];
    const configure = await entry?.load();
    await configure?.(command, context);
  });
  return program;
}

const PROGRAM_HELP = `
holdfast help COMMAND, or holdfast COMMAND --help, says what a command takes and gives examples.
Sizes are MB (MiB) or carry a unit: 512, 512M, 1.5G. A volume is named ROLE/ID: ads/db, eng/frontend/cache.

Examples:
  $ holdfast reserve ads --size 2G
  $ holdfast create ads/db --size 512M --path data
  $ holdfast attach ads/db --sandbox /srv/web-1 --container web-1
  $ holdfast status`;

function usageMessage(error: CommanderError, { args, commands }: CommandLine): string {
  const name = args[0] !== undefined && Object.hasOwn(commands, args[0]) ? args[0] : undefined;
  const reason = error.message.replace(/^error: /, "");
  return name === undefined
    ? `Cannot run: ${reason}, see holdfast --help`
    : `Cannot run ${name}: ${reason}, see holdfast ${name} --help`;
}

function complain(context: CommandContext, message: string): void {
  context.complain(`holdfast: ${printable(message.replace(/\s*\n\s*/g, " "))}`);
}
