/**
 * What Docker and Podman send. The protocol is theirs, so fields that we do not know are let be; the options of a volume
 * are ours, so an unknown one is refused.
 */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { parseContainerId, parseContainerPath, parseRole } from "../../domain/names.ts";
import { oneOf, refuse, show } from "../../domain/refusal.ts";
import { parseHumanSize } from "../../domain/size.ts";
import type { ContainerId, ContainerPath, MilliMb, Role } from "../../domain/units.ts";
import { readText } from "../http/body.ts";
import { parseJson } from "../http/json.ts";
import { parseWith, text } from "../http/schema.ts";
import { type DockerName, parseDockerName } from "./names.ts";

/** What was said about a volume; what was not said is for the node to choose, or may be anything. */
export interface VolumeOptions {
  readonly size?: MilliMb;
  readonly role?: Role;
  readonly shared?: boolean;
  readonly path?: ContainerPath;
}

export interface CreateRequest {
  readonly name: DockerName;
  readonly options: VolumeOptions;
}

export interface MountRequest {
  readonly name: DockerName;
  readonly borrower: ContainerId;
  /** The engine that asks. */
  readonly runtime: string;
}

/** Podman counts its containers by itself, and calls all of them this. */
const PODMAN_ID = "2f73349cfc4630255319c6c8dfc1b46a8996ace9d14d8e07563b165915918ec2";

const PODMAN_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

const NAME = z.object({ Name: text });
const CREATE = NAME.extend({ Opts: z.record(z.string(), z.string()).nullish() });
const MOUNT = NAME.extend({ ID: text });

const OPTIONS: { readonly [Option in keyof Required<VolumeOptions>]: (value: string) => VolumeOptions[Option] } = {
  size: (value) => parseHumanSize(value, "option size"),
  role: (value) => parseRole(value, "option role"),
  shared: parseShared,
  path: (value) => parseContainerPath(value, "option path"),
};

export function readName(request: FastifyRequest): DockerName {
  return parseDockerName(parseWith(NAME, readBody(request), "the request").Name);
}

export function readCreate(request: FastifyRequest): CreateRequest {
  const { Name, Opts } = parseWith(CREATE, readBody(request), "the request");
  return { name: parseDockerName(Name), options: parseOptions(Opts ?? {}) };
}

export function readMount(request: FastifyRequest): MountRequest {
  const { Name, ID } = parseWith(MOUNT, readBody(request), "the request");
  return {
    name: parseDockerName(Name),
    borrower: parseContainerId(ID, "ID"),
    runtime: ID === PODMAN_ID ? "podman" : "docker",
  };
}

/** Says which names the asker takes: Podman, which sends no body here, fails over others than its own rule allows. */
export function readList(request: FastifyRequest): (name: string) => boolean {
  readNothing(request);
  return readText(request) === "" ? (name) => PODMAN_NAME.test(name) : () => true;
}

/** Requests without fields may come without a body. */
export function readNothing(request: FastifyRequest): void {
  parseWith(z.object({}), readBody(request), "the request");
}

function readBody(request: FastifyRequest): unknown {
  const body = readText(request);
  return body === "" ? {} : parseJson(body, "the request");
}

function parseOptions(values: Readonly<Record<string, string>>): VolumeOptions {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => {
      if (!isOption(name)) refuse("the options", show(name), `${oneOf(Object.keys(OPTIONS))}`);
      return [name, OPTIONS[name](value)];
    }),
  );
}

function isOption(name: string): name is keyof typeof OPTIONS {
  return Object.hasOwn(OPTIONS, name);
}

function parseShared(value: string): boolean {
  if (value !== "true" && value !== "false") {
    throw new HoldfastError("invalid", `Cannot parse option shared: it is ${show(value)}, expected true or false`);
  }
  return value === "true";
}
