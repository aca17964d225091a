/**
 * The program: argv and environment become one command. Everything a command needs is imported when it runs, so that
 * short commands start quickly.
 */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import manifest from "../package.json" with { type: "json" };
import { addExamples, type CommandTable, type Configure } from "./clients/cli/command.ts";
import { CLIENT_COMMANDS, runCommandLine } from "./clients/cli/program.ts";
import { DAEMON_OPTIONS, type DaemonOption, resolvePathFlags } from "./config/options.ts";
import type { Settings } from "./config/settings.ts";
import { codeOf } from "./domain/error.ts";

const DAEMON = "The daemon:";

/**
 * Tells a service manager that the daemon would not start before somebody has changed its configuration: EX_CONFIG of
 * sysexits.h. Everybody else gets 1, as from every command that is refused.
 */
const EXIT_CONFIGURATION = 78;

const DAEMON_COMMANDS: CommandTable = {
  daemon: {
    group: DAEMON,
    summary: "run the daemon in the foreground",
    load: async () => configureDaemon,
  },
  dev: {
    group: DAEMON,
    summary: "run the daemon in a temporary directory, also without root",
    load: async () => configureDev,
  },
  rebuild: {
    group: DAEMON,
    summary: "recover the checkpoint from the labels on disk",
    load: async () => configureRebuild,
  },
  doctor: {
    group: DAEMON,
    summary: "examine everything, change nothing",
    load: async () => configureDoctor,
  },
  "hash-secret": {
    group: DAEMON,
    summary: "hash a secret for the credentials file",
    load: async () => (await import("./clients/cli/hash-secret.ts")).hashSecretCommand(hashSecret),
  },
};

const configureDaemon: Configure = (command) => {
  command
    .description("Runs the daemon in the foreground, with JSON logs on stderr. Stopping it never unmounts a volume.")
    .option("--check", "say whether it would start, change nothing, and end")
    .action(async ({ check, ...flags }: Flags & { readonly check?: true }) => {
      if (check === true) return (await import("./check.ts")).runCheck(await settingsOf(flags));
      const isManaged = process.env["NOTIFY_SOCKET"] !== undefined;
      try {
        await serve(flags);
      } catch (error) {
        if (isManaged && codeOf(error) === "invalid") process.exitCode = EXIT_CONFIGURATION;
        throw error;
      }
    });
  addDaemonOptions(command);
  addExamples(
    command,
    "holdfast daemon --config /etc/holdfast/holdfast.yaml",
    "holdfast daemon --config /etc/holdfast/holdfast.yaml --check",
    "holdfast daemon --work-root /data",
  );
};

async function serve(flags: Flags): Promise<void> {
  const settings = await settingsOf(flags);
  const [{ runDaemon }, { takeServiceManager }] = await Promise.all([
    import("./daemon.ts"),
    import("./host/systemd.ts"),
  ]);
  const manager = takeServiceManager(process.env, process.pid);
  const { config } = flags;
  const configuration =
    config === undefined ? {} : { configuration: { path: resolve(config), load: () => settingsOf(flags) } };
  await runDaemon(settings, { manager, ...configuration });
}

const configureDev: Configure = (command) => {
  command
    .description(
      "Runs the daemon in a temporary directory that is removed at the end, and prints the address, the credentials " +
        "and commands to paste. Where it may not mount, volumes appear as symlinks.",
    )
    .option("--dir <DIR>", "use this directory, and keep it")
    .action(async ({ dir }: { readonly dir?: string }) => {
      const { runDev } = await import("./dev.ts");
      await runDev(dir === undefined ? {} : { dir });
    });
  addExamples(command, "holdfast dev", "holdfast dev --dir /tmp/holdfast");
};

const configureRebuild: Configure = (command) => {
  command
    .description("Makes the checkpoint anew from the labels on disk, while no daemon runs. Takes the daemon's options.")
    .action(async (flags: Flags) => {
      const settings = await settingsOf(flags);
      const { runRebuild } = await import("./rebuild.ts");
      await runRebuild(settings);
    });
  addDaemonOptions(command);
  addExamples(command, "holdfast rebuild --config /etc/holdfast/holdfast.yaml");
};

const configureDoctor: Configure = (command) => {
  command
    .description("Examines the node, every volume and every mount, and changes nothing. Takes the daemon's options.")
    .option("--json", "print the findings as JSON")
    .action(async ({ json, ...flags }: Flags & { readonly json?: true }) => {
      const settings = await settingsOf(flags);
      const { runDoctor } = await import("./doctor.ts");
      await runDoctor(settings, { json: json === true });
    });
  addDaemonOptions(command);
  addExamples(command, "holdfast doctor", "holdfast doctor --config /etc/holdfast/holdfast.yaml --json");
};

/** Option values by the names of `DAEMON_OPTIONS`, and the file with the others. */
type Flags = Readonly<Record<string, unknown>> & { readonly config?: string };

async function settingsOf({ config, ...flags }: Flags): Promise<Settings> {
  const { loadSettings } = await import("./config/settings.ts");
  return loadSettings({ file: config, flags: resolvePathFlags(flags, process.cwd()) });
}

function addDaemonOptions(command: Command): void {
  command.option("--config <FILE>", "YAML file with any of these options, workRoot for --work-root; flags win");
  for (const option of DAEMON_OPTIONS) command.addOption(daemonOption(option));
}

/** Commander knows no default, because one would win over the configuration file. */
function daemonOption({ flag, argument, help, repeatable, ...rest }: DaemonOption): Option {
  const notes = [
    ...(rest.default === undefined ? [] : [`default: ${rest.default}`]),
    ...(repeatable ? ["repeatable"] : []),
  ];
  const description = notes.length === 0 ? help : `${help} (${notes.join(", ")})`;
  const option = new Option(`${flag} <${argument}>`, description);
  return repeatable ? option.argParser((value, before: string[] = []) => [...before, value]) : option;
}

async function hashSecret(secret: string): Promise<string> {
  const scrypt = await import("./auth/scrypt.ts");
  return scrypt.hashSecret(secret);
}

/** A reader that has seen enough (`holdfast list | head -1`) is no failure. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

/** Nomad runs a plugin with an operation alone, and says the same in the environment. */
function argumentsOf([first, ...rest]: readonly string[]): readonly string[] {
  const isNomad = first !== undefined && rest.length === 0 && first === process.env["DHV_OPERATION"];
  return first === undefined ? [] : [...(isNomad ? ["nomad-volume"] : []), first, ...rest];
}

const status = await runCommandLine({
  version: manifest.version,
  args: argumentsOf(process.argv.slice(2)),
  commands: { ...CLIENT_COMMANDS, ...DAEMON_COMMANDS },
  context: {
    defaultSocket: process.env["HOLDFAST_SOCKET"] || "/run/holdfast/holdfast.sock",
    print: (text) => void process.stdout.write(`${text}\n`),
    complain: (line) => void process.stderr.write(`${line}\n`),
    readInput: async () => (await import("node:stream/consumers")).text(process.stdin),
    environment: process.env,
  },
});
// A command that failed in a way of its own has said so already.
if (status !== 0) process.exitCode ??= status;
