/** Addresses and queries of `/v2`: an app's id is a path, and what is asked about the app stands behind it. */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { readAppId } from "../../domain/app-id.ts";
import { HoldfastError } from "../../domain/error.ts";
import type { AppId, InstanceId } from "../../domain/units.ts";
import { parseQuery, parseWith, text } from "../http/schema.ts";

/** `/v2/apps/ID`, `/v2/apps/ID/tasks` or `/v2/apps/ID/tasks/TASK`. */
export interface AppAddress {
  readonly app: AppId;
  readonly about: "app" | "tasks";
  readonly task?: InstanceId;
}

const FLAG = z.enum(["true", "false"]).optional();
const QUERY = z.looseObject({ force: FLAG, wipe: FLAG, scale: FLAG, host: text.optional() });
const IDS = z.strictObject({ ids: z.array(text).min(1) });

/** @throws `not_found` what names no app */
export function parseAddress(rest: string): AppAddress {
  const steps = rest.split("/").filter((step) => step !== "");
  if (steps.at(-1) === "tasks") return { app: parseApp(steps.slice(0, -1)), about: "tasks" };
  if (steps.length > 2 && steps.at(-2) === "tasks") {
    return { app: parseApp(steps.slice(0, -2)), about: "tasks", task: steps.at(-1) as InstanceId };
  }
  return { app: parseApp(steps), about: "app" };
}

function parseApp(steps: readonly string[]): AppId {
  const read = readAppId(steps.join("/"));
  if ("id" in read) return read.id;
  throw new HoldfastError("not_found", `Cannot find this address: the app's id ${read.error}`);
}

export interface TaskQuery {
  readonly force: boolean;
  /** Only what is on this node. */
  readonly host?: string;
}

export function parseForce(request: FastifyRequest): boolean {
  return parseQuery(QUERY, request).force === "true";
}

/** @throws `invalid` for anything but wiping: there are no tasks to kill */
export function parseWipe(request: FastifyRequest): TaskQuery {
  const { force, wipe, scale, host } = parseQuery(QUERY, request);
  if (wipe === "true" && scale === "true") {
    throw new HoldfastError("invalid", "You cannot use scale and wipe at the same time.");
  }
  if (wipe !== "true") {
    throw new HoldfastError(
      "invalid",
      "Cannot kill a task: containers are their runtime's, stop it there, or ask with wipe=true to destroy its volumes",
    );
  }
  return { force: force === "true", ...(host === undefined ? {} : { host }) };
}

/** The app and the instance that a task's id names: `sesame_samson.<uuid>`. */
export function parseTaskIds(body: unknown): readonly InstanceId[] {
  return parseWith(IDS, body, "the body").ids as InstanceId[];
}
