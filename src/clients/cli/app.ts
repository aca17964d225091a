import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError } from "commander";
import { readAppId } from "../../domain/app-id.ts";
import { HoldfastError, messageOf } from "../../domain/error.ts";
import type { AppJson, TaskJson } from "../../faces/agent-socket/wire.ts";
import { openAgent } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { counted } from "./counted.ts";
import { addJsonOptions, type JsonOptions } from "./options.ts";
import { parseInput } from "./stdin.ts";
import { type Column, renderFacts, renderTable } from "./table.ts";
import { printable, printableJson } from "./text.ts";

export const configureApp: Configure = (command, context) => {
  command.description(
    "Stateful apps: each instance of an app has volumes of its own, which wait for its next container. A container gets " +
      "an instance with holdfast attach --app ID.",
  );
  command.helpCommand(false);
  addCreate(command, context);
  addList(command, context);
  addShow(command, context);
  addScale(command, context);
  addDelete(command, context);
  addWipe(command, context);
  addExamples(
    command,
    "holdfast app list",
    "holdfast app show /sesame/samson",
    "holdfast app scale /sesame/samson 3",
    "holdfast attach --app /sesame/samson --container samson-1 --sandbox /srv/samson-1",
  );
};

/** `app create` */
function addCreate(parent: Command, context: CommandContext): void {
  const command = parent
    .command("create")
    .summary("make an app with reservation and volumes of every instance, or nothing")
    .description("Makes an app from Marathon's JSON: all its reservations and volumes, or nothing.")
    .argument("<FILE>", "the definition; - reads the standard input")
    .action(async (file: string, { socket, json }: JsonOptions) => {
      const text = file === "-" ? await context.readInput() : await readDefinition(file);
      const app = await openAgent(socket).createApp(parseInput(text, "the definition"));
      const volumes = counted(app.instances, "instance");
      context.print(
        json ? printableJson(app) : printable(`Created app ${app.id} with ${volumes} for role ${app.role}`),
      );
    });
  addJsonOptions(command, context);
  addExamples(command, "holdfast app create samson.json", "holdfast app create - < samson.json");
}

async function readDefinition(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new HoldfastError("invalid", `Cannot read the definition ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** `app list` */
function addList(parent: Command, context: CommandContext): void {
  const command = parent
    .command("list")
    .summary("list apps")
    .description("Lists the apps of this node.")
    .action(async ({ socket, json }: JsonOptions) => {
      const answer = await openAgent(socket).apps();
      if (json) return context.print(printableJson(answer));
      context.print(answer.apps.length === 0 ? "No apps" : renderTable(APPS, answer.apps));
    });
  addJsonOptions(command, context);
}

/** `app show` */
function addShow(parent: Command, context: CommandContext): void {
  const command = appCommand(parent, "show")
    .summary("show an app with its instances")
    .description("Shows an app, its instances, and who has their volumes.")
    .action(async (id: string, { socket, json }: JsonOptions) => {
      const answer = await openAgent(socket).app(id);
      context.print(json ? printableJson(answer) : describe(answer.app));
    });
  addJsonOptions(command, context);
  addExamples(command, "holdfast app show /sesame/samson");
}

/** `app scale` */
function addScale(parent: Command, context: CommandContext): void {
  const command = appCommand(parent, "scale")
    .summary("let an app have so many instances")
    .description(
      "Lets an app have so many instances. Fewer: unused ones are kept, suspended, and those in use go on until their " +
        "containers end. More: suspended ones come first.",
    )
    .argument("<INSTANCES>", "how many", parseCount)
    .action(async (id: string, instances: number, { socket, json }: JsonOptions) => {
      const answer = await openAgent(socket).changeApp(id, { instances });
      context.print(json ? printableJson(answer) : printable(`App ${id} has ${counted(instances, "instance")} now`));
    });
  addJsonOptions(command, context);
  addExamples(command, "holdfast app scale /sesame/samson 3");
}

interface ForceOptions extends JsonOptions {
  readonly force?: true;
}

/** `app delete` */
function addDelete(parent: Command, context: CommandContext): void {
  const command = appCommand(parent, "delete")
    .summary("destroy an app with its volumes, whose content is retained")
    .description(
      "Destroys an app with all its volumes and reservations. The content is retained until it is collected.",
    )
    .option("--force", FORCE)
    .action(async (id: string, { socket, json, force }: ForceOptions) => {
      const answer = await openAgent(socket).deleteApp(id, { force: force === true });
      context.print(json ? printableJson(answer) : printable(`Deleted app ${id}, what its volumes held is retained`));
    });
  addJsonOptions(command, context);
  addExamples(command, "holdfast app delete /sesame/samson");
}

/** `app wipe` */
function addWipe(parent: Command, context: CommandContext): void {
  const command = appCommand(parent, "wipe")
    .summary("destroy the volumes of single instances, whose content is retained")
    .description(
      "Destroys the volumes of single instances; the content is retained until it is collected. Where the app wants as " +
        "many instances as before, suspended ones take their place, else fresh ones.",
    )
    .argument("<TASK...>", "instances, as holdfast app show names them")
    .option("--force", FORCE)
    .action(async (id: string, tasks: readonly string[], { socket, json, force }: ForceOptions) => {
      const agent = openAgent(socket);
      requireOwn(command, await agent.app(id), tasks);
      const answer = await agent.wipeTasks(tasks, { force: force === true });
      const wiped = counted(answer.tasks.length, "instance");
      context.print(json ? printableJson(answer) : printable(`Wiped ${wiped} of app ${id}`));
    });
  addJsonOptions(command, context);
  addExamples(command, "holdfast app wipe /sesame/samson sesame_samson.53ab8733-fd96-41e5-8e70-76a1c19f8c3d");
}

const FORCE = "take all volumes away from the containers that have some, also from under their processes";

function appCommand(parent: Command, name: string): Command {
  return parent.command(name).argument("<ID>", "the app: /sesame/samson", parseId);
}

function parseId(text: string): string {
  const read = readAppId(text);
  if ("id" in read) return read.id;
  throw new InvalidArgumentError("Expected an app's id, for example /sesame/samson");
}

function parseCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a number, 0 or more");
}

/** The daemon finds the app by the instance: a slip must not wipe another app's. */
function requireOwn(command: Command, { app }: { readonly app: AppJson }, tasks: readonly string[]): void {
  const other = tasks.find((task) => app.tasks?.some(({ id }) => id === task) !== true);
  if (other !== undefined) command.error(`error: ${other} is no instance of ${app.id}`);
}

const APPS: readonly Column<AppJson>[] = [
  { title: "ID", value: ({ id }) => id },
  { title: "ROLE", value: ({ role }) => role },
  { title: "INSTANCES", value: ({ instances }) => String(instances), align: "right" },
  { title: "RUNNING", value: ({ tasksRunning }) => String(tasksRunning), align: "right" },
  { title: "WHEN LOST", value: ({ residency }) => residency.taskLostBehavior },
  { title: "CHANGED", value: ({ version }) => version },
];

interface Row {
  readonly task: TaskJson;
  readonly volume: TaskJson["localVolumes"][number];
}

const VOLUMES: readonly Column<Row>[] = [
  { title: "INSTANCE", value: ({ task }) => task.id },
  { title: "STATE", value: ({ task }) => stateText(task) },
  { title: "CONTAINER", value: ({ task }) => task.containers.join(", ") },
  { title: "VOLUME", value: ({ volume }) => volume.persistenceId },
  { title: "PATH", value: ({ volume }) => volume.containerPath },
];

function describe(app: AppJson): string {
  const { taskLostBehavior, relaunchEscalationTimeoutSeconds } = app.residency;
  const isTimed = taskLostBehavior === "RELAUNCH_AFTER_TIMEOUT";
  const facts = renderFacts([
    ["App", app.id],
    ["Role", app.role],
    ["Instances", `${app.instances}, ${app.tasksRunning} running`],
    ["When lost", isTimed ? `${taskLostBehavior}, ${relaunchEscalationTimeoutSeconds} s` : taskLostBehavior],
    ["Changed", app.version],
  ]);
  const rows = (app.tasks ?? []).flatMap((task) => task.localVolumes.map((volume) => ({ task, volume })));
  return rows.length === 0 ? facts : `${facts}\n\n${renderTable(VOLUMES, rows)}`;
}

/** In Marathon's words for volumes, with what its own list leaves out. */
function stateText({ state, suspended, lostSince }: TaskJson): string {
  if (state === "TASK_RUNNING") return "attached";
  const why = suspended === true ? ", suspended" : "";
  return lostSince === undefined ? `detached${why}` : `lost since ${lostSince}${why}`;
}
