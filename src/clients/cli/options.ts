/** The arguments and options that several commands share, with the parsers that turn human text into domain values. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { HoldfastError } from "../../domain/error.ts";
import { parseRole, parseVolumeId } from "../../domain/names.ts";
import type { Label } from "../../domain/resource.ts";
import { parseHumanSize } from "../../domain/size.ts";
import type { Role, VolumeId } from "../../domain/units.ts";
import type { CommandContext } from "./command.ts";

export interface SocketOptions {
  readonly socket: string;
}

export interface JsonOptions extends SocketOptions {
  readonly json?: true;
}

/** `--socket`, which every command has that speaks to the daemon. */
export function addSocketOption(command: Command, context: CommandContext): Command {
  return command.option(
    "--socket <PATH>",
    "the daemon's agent socket (environment: HOLDFAST_SOCKET)",
    parsePath,
    context.defaultSocket,
  );
}

/** `--json` and `--socket`: the daemon's answer as it came, for programs. */
export function addJsonOptions(command: Command, context: CommandContext): Command {
  return addSocketOption(command.option("--json", "print the daemon's answer as JSON"), context);
}

/** A size option such as `--size 512M`. */
export function sizeOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(asUsage(parseHumanSize));
}

/** An option that may be repeated: `--label key=value`. */
export function labelOption(): Option {
  return new Option("--label <KEY=VALUE>", "a label of the reservation (repeatable)").argParser(collected(parseLabel));
}

function parseLabel(text: string): Label {
  const [key = "", ...rest] = text.split("=");
  if (key === "") throw new InvalidArgumentError("Expected KEY or KEY=VALUE");
  return rest.length === 0 ? { key } : { key, value: rest.join("=") };
}

/** A path as it was given: an empty one would mean the working directory. */
export function parsePath(text: string): string {
  if (text === "") throw new InvalidArgumentError("Expected a path");
  return text;
}

export interface VolumeName {
  readonly role: Role;
  readonly id: VolumeId;
}

/** Splits ROLE/ID at the last slash, because a role may have slashes itself. */
export function parseVolumeName(text: string): VolumeName {
  const slash = text.lastIndexOf("/");
  if (slash < 0) throw new HoldfastError("invalid", "Expected ROLE/ID, for example ads/db");
  return { role: parseRole(text.slice(0, slash)), id: parseVolumeId(text.slice(slash + 1)) };
}

export function volumeText({ role, id }: { readonly role: string; readonly id: string }): string {
  return `${role}/${id}`;
}

/** Makes a parser's refusal wrong usage: one of the command line, not of the daemon. */
export function asUsage<Value>(parse: (text: string) => Value): (text: string) => Value {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof HoldfastError) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

/** Makes a parser of one the parser of an argument that may be repeated. */
export function collected<Value>(parse: (text: string) => Value): (text: string, before?: readonly Value[]) => Value[] {
  return (text, before = []) => [...before, parse(text)];
}
