/** Requests of the model as they go over the wire, by one of the doors, and the answers back. */
import { type Answer, ask as askDoor, type Question, type Where } from "../../faces/ask.ts";
import type { AskedOperation, AskedVolume } from "./operations.ts";
import type { Level, Stack, Who } from "./reference.ts";
import { type Ask, callerOf } from "./request.ts";

export interface Doors {
  readonly operator: Where;
  readonly agent: Where;
  readonly docker: Where;
  readonly agentId: string;
}

/** How something is said that can be said in several ways. */
export interface Manner {
  /** Of a single operation without an id, by an operator: a form, a call, or a list. */
  readonly way: "form" | "call" | "list";
  /** Resources as before reservation refinement, where that can say them. */
  readonly old: boolean;
}

/** What came back: `done` or the code of the refusal. Docker's plugin has no codes: `refused` or `invalid`. */
export interface Got {
  readonly code: string;
  readonly answer: Answer;
}

/** By code, as the README has it. */
const STATUS: Readonly<Record<string, number>> = {
  done: 200,
  invalid: 400,
  unknown_agent: 400,
  no_such_volume: 400,
  duplicate_volume: 400,
  unauthenticated: 401,
  forbidden: 403,
  no_such_container: 404,
  no_such_operation: 404,
  no_such_process: 404,
  insufficient: 409,
  in_use: 409,
  protected: 409,
  busy: 409,
  conflict: 409,
  unsupported: 409,
  damaged: 409,
  operation_id_reused: 409,
};

const FORMS = { RESERVE: "/reserve", UNRESERVE: "/unreserve", CREATE: "/create-volumes", DESTROY: "/destroy-volumes" };
const CALLS = {
  RESERVE: "RESERVE_RESOURCES",
  UNRESERVE: "UNRESERVE_RESOURCES",
  CREATE: "CREATE_VOLUMES",
  DESTROY: "DESTROY_VOLUMES",
  GROW_VOLUME: "GROW_VOLUME",
  SHRINK_VOLUME: "SHRINK_VOLUME",
};
const JSON_TYPE = { "content-type": "application/json" };

/** @throws an answer whose status does not fit its code */
export async function send(doors: Doors, request: Ask, manner: Manner): Promise<Got> {
  const { where, path, question } = wireOf(doors, request, manner);
  const answer = await askDoor(where, path, question);
  const isDocker = where === doors.docker;
  const code = isDocker ? dockerCode(answer) : codeIn(answer);
  const status = isDocker ? answer.status : STATUS[code];
  if (status !== answer.status) throw new Error(`The status of ${code} is ${answer.status}: ${answer.text}`);
  return { code, answer };
}

/** What the docker plugin says instead of a code. */
export function dockerCodeOf(code: string): string {
  return code === "done" || code === "invalid" ? code : "refused";
}

function codeIn({ status, json }: Answer): string {
  if (status === 200) return "done";
  return (json as { error?: { code?: string } } | undefined)?.error?.code ?? "nothing";
}

function dockerCode({ status, text }: Answer): string {
  const refusal = (JSON.parse(text) as { Err?: string }).Err ?? "nothing at all";
  if (status === 200) return refusal === "" ? "done" : "a refusal that looks like success";
  return status === 400 ? "invalid" : "refused";
}

interface Wire {
  readonly where: Where;
  readonly path: string;
  readonly question: Question;
}

function wireOf(doors: Doors, request: Ask, manner: Manner): Wire {
  const by = callerOf(request);
  const post = (path: string, body: object, from = by): Wire => ({
    where: from === "root" ? doors.agent : doors.operator,
    path,
    question: { method: "POST", headers: { ...JSON_TYPE, ...credentials(from) }, body: JSON.stringify(body) },
  });
  const docker = (call: string, body: object): Wire => ({
    where: doors.docker,
    path: `/VolumeDriver.${call}`,
    question: { method: "POST", body: JSON.stringify(body) },
  });
  switch (request.ask) {
    case "operations":
      return operationsWire(doors, request.list, manner, post);
    case "outcome": {
      const { where } = post("", {});
      return { where, path: `/v1/operations/${request.id}`, question: { headers: credentials(by) } };
    }
    case "restore":
      return post("/v1/volumes/restore", { ...request.which, ...(request.as === undefined ? {} : { as: request.as }) });
    case "mark":
      return post(`/v1/volumes/${request.mark}`, request.which);
    case "gc":
      return post("/v1/gc", {
        dryRun: request.dryRun,
        ...(request.uuids === undefined ? {} : { uuids: request.uuids }),
      });
    case "attach": {
      const { container, sandbox, pid, volumes } = request.wanted;
      const list = volumes.map(({ path, ...one }) => ({
        ...one,
        ...(path === undefined ? {} : { containerPath: path }),
      }));
      const body = JSON.stringify({ sandbox, volumes: list, ...(pid === undefined ? {} : { pid }) });
      return {
        where: doors.agent,
        path: `/v1/containers/${container}`,
        question: { method: "PUT", headers: JSON_TYPE, body },
      };
    }
    case "detach": {
      const path = `/v1/containers/${request.container}${request.force ? "?force=true" : ""}`;
      return { where: doors.agent, path, question: { method: "DELETE" } };
    }
    case "docker create": {
      const { name, sizeMb, role, shared, path } = request.wanted;
      const Opts = {
        ...(sizeMb === undefined ? {} : { size: `${sizeMb}M` }),
        ...(role === undefined ? {} : { role }),
        ...(shared === undefined ? {} : { shared: String(shared) }),
        ...(path === undefined ? {} : { path }),
      };
      return docker("Create", { Name: name, Opts });
    }
    case "docker remove":
      return docker("Remove", { Name: request.name });
    case "docker get":
      return docker("Get", { Name: request.name });
    case "docker mount":
      return docker("Mount", { Name: request.name, ID: request.borrower });
    case "docker unmount":
      return docker("Unmount", { Name: request.name, ID: request.borrower });
  }
}

export function credentials(who: Who): Record<string, string> {
  return who === "root" ? {} : { authorization: `Basic ${Buffer.from(`${who}:secret`).toString("base64")}` };
}

function operationsWire(
  { agentId, operator }: Doors,
  { by, operations, id, dryRun, foreign }: Extract<Ask, { ask: "operations" }>["list"],
  { way, old }: Manner,
  post: (path: string, body: object) => Wire,
): Wire {
  const [first] = operations;
  const agent = foreign === true ? "3f5b2c7e-0d1a-4a7e-9d35-0d6a8f1c2b44" : agentId;
  if (way !== "list" && first !== undefined) {
    const isForm = way === "form" && first.type !== "GROW_VOLUME" && first.type !== "SHRINK_VOLUME";
    if (!isForm) {
      const type = CALLS[first.type];
      return post("/api/v1", { type, [type.toLowerCase()]: { agent_id: { value: agent }, ...messageOf(first, old) } });
    }
    const fields = Object.entries(messageOf(first, old)).map(([name, value]): [string, string] => [
      name,
      JSON.stringify(value),
    ]);
    const body = new URLSearchParams([["slaveId", agent], ...fields]).toString();
    return { where: operator, path: FORMS[first.type], question: { method: "POST", headers: credentials(by), body } };
  }
  const list = operations.map((one) => ({ type: one.type, [one.type.toLowerCase()]: messageOf(one, old) }));
  return post("/v1/operations", {
    operations: list,
    ...(id === undefined ? {} : { id }),
    ...(dryRun === undefined ? {} : { dryRun }),
  });
}

/** The fields of Mesos's message. */
function messageOf(operation: AskedOperation, old: boolean): object {
  switch (operation.type) {
    case "RESERVE":
    case "UNRESERVE":
      return { resources: operation.items.map(({ sizeMb, stack }) => diskOf(sizeMb, stack, old)) };
    case "CREATE":
    case "DESTROY":
      return { volumes: operation.volumes.map((one) => volumeOf(one, old)) };
    case "GROW_VOLUME":
      return { volume: volumeOf(operation.volume, old), addition: diskOf(operation.byMb, operation.volume.stack, old) };
    case "SHRINK_VOLUME":
      return { volume: volumeOf(operation.volume, old), subtract: { value: operation.byMb } };
  }
}

function volumeOf({ id, sizeMb, stack, path, shared, principal }: AskedVolume, old: boolean): object {
  return {
    ...diskOf(sizeMb, stack, old),
    disk: {
      persistence: { id, ...(principal === undefined ? {} : { principal }) },
      volume: { mode: "RW", container_path: path },
    },
    ...(shared ? { shared: {} } : {}),
  };
}

function diskOf(sizeMb: number, stack: Stack, old: boolean): object {
  const [only] = stack;
  const disk = { name: "disk", type: "SCALAR", scalar: { value: sizeMb } };
  if (old && stack.length === 1 && only !== undefined) {
    const { role, type } = only;
    return { ...disk, role, ...(type === "STATIC" ? {} : { reservation: reserverOf(only) }) };
  }
  const reservations = stack.map((level) => ({ type: level.type, role: level.role, ...reserverOf(level) }));
  return { ...disk, ...(stack.length === 0 ? {} : { reservations }) };
}

function reserverOf({ principal, label }: Level): object {
  return {
    ...(principal === undefined ? {} : { principal }),
    ...(label === undefined ? {} : { labels: { labels: [{ key: "io.holdfast.docker", value: label }] } }),
  };
}
