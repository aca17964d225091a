import { once } from "node:events";
import { InvalidArgumentError, Option } from "commander";
import { EVENT_TYPES, type EventType } from "../../domain/event.ts";
import { parseIncarnation, parseRole } from "../../domain/names.ts";
import type { Incarnation, Role } from "../../domain/units.ts";
import type { EventJson, EventsQuery } from "../../faces/agent-socket/wire.ts";
import { openAgent, queryText } from "./agent.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";
import { followEvents } from "./event-stream.ts";
import { addJsonOptions, asUsage, type JsonOptions, parseVolumeName, type VolumeName, volumeText } from "./options.ts";
import { printable, printableJson } from "./text.ts";

interface EventsOptions extends JsonOptions {
  readonly follow?: true;
  readonly volume?: VolumeName;
  readonly uuid?: Incarnation;
  readonly principal?: string;
  readonly role?: Role;
  readonly app?: string;
  readonly type?: EventType;
  readonly limit?: number;
}

const SHOWN = 100;
/** Before what happens from now on. */
const SHOWN_BEFORE = 10;
const LIMIT_MAX = 1_000;

export const configureEvents: Configure = (command, context) => {
  command
    .description(
      "Shows what happened on the node and who asked for it, newest last, as far as the audit trail goes back. With " +
        "--follow it goes on with what happens from now on, also when the daemon is restarted, until it is interrupted.",
    )
    .option("-f, --follow", "go on with what happens from now on")
    .option("--volume <ROLE/ID>", "only of volumes of this name", asUsage(parseVolumeName))
    .option("--uuid <UUID>", "only of this incarnation", asUsage(parseIncarnation))
    .option("--principal <NAME>", "only what this principal or peer asked for; holdfast is the daemon itself")
    .option("--role <ROLE>", "only of this role", asUsage(parseRole))
    .option("--app <ID>", "only of this app")
    .addOption(new Option("--type <TYPE>", "only events of this type").choices(EVENT_TYPES))
    .option(
      "--limit <NUMBER>",
      `at most so many of the past (default: ${SHOWN}, with --follow ${SHOWN_BEFORE})`,
      parseLimit,
    )
    .action((options: EventsOptions) => showEvents(options, context));
  addJsonOptions(command, context);
  addExamples(
    command,
    "holdfast events",
    "holdfast events --volume ads/db --type destroyed",
    "holdfast events --follow --role ads",
  );
};

function parseLimit(text: string): number {
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (limit <= LIMIT_MAX) return limit;
  throw new InvalidArgumentError(`Expected a number up to ${LIMIT_MAX}`);
}

async function showEvents(options: EventsOptions, context: CommandContext): Promise<void> {
  const { follow, json, limit = follow === true ? SHOWN_BEFORE : SHOWN } = options;
  const filter = filterOf(options);
  const answer = await openAgent(options.socket).events({ ...filter, limit });
  if (follow !== true) {
    if (json === true) return context.print(printableJson(answer));
    return context.print(answer.events.map(eventLine).join("\n") || "No events");
  }
  const print = (event: EventJson): void => context.print(json === true ? jsonLine(event) : eventLine(event));
  answer.events.forEach(print);
  await followEvents({
    socket: options.socket,
    query: queryText({ ...filter }),
    after: answer.last,
    signal: interrupted(),
    onEvent: print,
    onLost: () => context.complain("holdfast: the daemon is gone, waiting until it is back"),
  });
}

/** When somebody interrupts, or nobody reads any more. */
function interrupted(): AbortSignal {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  void once(process, "SIGINT").then(stop);
  process.stdout.once("error", stop);
  return stopping.signal;
}

function filterOf({ volume, uuid, principal, role, app, type }: EventsOptions): EventsQuery {
  return {
    ...(volume === undefined ? {} : { volume: volumeText(volume) }),
    ...(uuid === undefined ? {} : { uuid }),
    ...(principal === undefined ? {} : { principal }),
    ...(role === undefined ? {} : { role }),
    ...(app === undefined ? {} : { app }),
    ...(type === undefined ? {} : { type }),
  };
}

function jsonLine(event: EventJson): string {
  return printableJson(event).replace(/\n */g, " ");
}

/** `2026-01-02T03:04:05.678Z  attached  ads/db  container web-1  by ops: at data` */
function eventLine(event: EventJson): string {
  const { at, type, by, sizeMb, container, message } = event;
  const facts = [
    at,
    type,
    ...subjectOf(event),
    ...(sizeMb === undefined ? [] : [`${sizeMb} MB`]),
    ...(container === undefined ? [] : [`container ${container}`]),
    `by ${by}`,
  ];
  return printable(facts.join("  ") + (message === undefined ? "" : `: ${message}`));
}

function subjectOf({ role, id, uuid, app }: EventJson): readonly string[] {
  if (role !== undefined && id !== undefined) return [`${role}/${id}`];
  const name = app ?? (role === undefined ? uuid : `role ${role}`);
  return name === undefined ? [] : [name];
}
