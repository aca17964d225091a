/** Strange requests for the doors of a daemon: HTTP that is in order around strange contents, and bytes that are not. */
import type { Chance } from "../../simulation/chance.ts";
import { mutateBytes, mutateText, mutateValue, strangeValue } from "./mutate.ts";
import { FORMS, HEADERS, NAMES, OPERATIONS, RESERVED, STATES, VOLUME } from "./samples.ts";

export type DoorName = "operator HTTP" | "agent socket" | "Docker plugin";

interface Route {
  readonly method: string;
  readonly path: string;
  /** Makes a body; none when it is absent. */
  readonly body?: (chance: Chance, scene: Scene) => object | string;
  readonly type?: string;
}

/** What is really there, for requests that get further. */
export interface Scene {
  readonly agentId: string;
  /** Directories that containers may be given; requests name no other ones that exist. */
  readonly sandboxes: readonly string[];
  readonly bundle: string;
}

const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";
/** So long that no few edits make an existing path of it. */
export const NOTHING = `/nonexistent-${"x".repeat(200)}`;
export const NOWHERE = [
  "",
  NOTHING,
  "relative",
  `${NOTHING}/../x`,
  `${NOTHING}\0`,
  `/${"x/".repeat(3_000)}`,
  `/proc/self${NOTHING}`,
] as const;
const PIDS = [0, -1, 1.5, 2 ** 22, 2 ** 22 + 1, 1e300, "1", null] as const;
const TYPES = [
  JSON_TYPE,
  FORM_TYPE,
  "text/plain",
  "application/json; charset=utf-16",
  "",
  "\u00ff",
  ";;",
  "application/vnd.docker.plugins.v1.2+json",
] as const;
const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] as const;
/** Fields that name directories and processes. */
const KEPT: readonly string[] = ["sandbox", "pid", "bundle", "path", "paths", "adoptions"];
const UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
/** What a request line can carry. */
const UNSENDABLE_IN_HEADERS = /[\r\n\0\u0100-\uffff]/g;
const UNSENDABLE = /[^\x21-\x7e]/g;

const which = (chance: Chance): object => chance.pick([{ role: "web", id: "db" }, { uuid: UUID }]);
const operations = (chance: Chance): object => ({
  operations: [chance.pick(OPERATIONS)],
  ...(chance.percent(30) && { id: "one" }),
  ...(chance.percent(20) && { dryRun: true }),
});

const COMMON: readonly Route[] = [
  ...[
    "/healthz",
    "/readyz",
    "/v1/status",
    "/v1/resources",
    "/v1/volumes",
    `/v1/volumes?role=web&state=live&limit=3&after=${UUID}`,
    "/v1/volumes/web/db",
    "/v1/containers",
    "/v1/operations",
    "/v1/operations/one",
  ].map((path) => ({ method: "GET", path })),
  { method: "POST", path: "/v1/operations", body: operations },
  { method: "POST", path: "/v1/operations", body: operations },
  { method: "POST", path: "/v1/gc", body: () => ({ dryRun: true, uuids: [UUID] }) },
  ...["restore", "protect", "unprotect", "pin", "unpin"].map((verb) => ({
    method: "POST",
    path: `/v1/volumes/${verb}`,
    body: which,
  })),
];

const ROUTES: Readonly<Record<DoorName, readonly Route[]>> = {
  "operator HTTP": [
    ...COMMON,
    ...["/state", "/master/state", "/slave(1)/state", "/slaves", "/metrics"].map((path) => ({ method: "GET", path })),
    ...["/reserve", "/master/unreserve", "/create-volumes", "/destroy-volumes"].map((path) => ({
      method: "POST",
      path,
      type: FORM_TYPE,
      body: form,
    })),
    { method: "POST", path: "/api/v1", body: mesosCall },
    {
      method: "POST",
      path: "/api/v1",
      body: (chance) => ({ type: chance.pick(["GET_AGENTS", "GET_OPERATIONS", "GET_HEALTH", "GET_VERSION"]) }),
    },
  ],
  "agent socket": [
    ...COMMON,
    { method: "PUT", path: "/v1/containers/c1", body: container },
    { method: "DELETE", path: "/v1/containers/c1?force=true" },
    { method: "POST", path: "/v1/hooks/createRuntime", body: hook },
    {
      method: "POST",
      path: "/v1/adopt",
      body: (chance) => ({
        adoptions: [{ directory: chance.pick(NOWHERE), role: "web", id: "db", sizeMb: 1 }],
        dryRun: chance.percent(50),
      }),
    },
    { method: "GET", path: "/v1/sandboxes" },
    ...["/v1/sandboxes", "/v1/sandboxes/keep", "/v1/sandboxes/gc"].map((path) => ({
      method: "POST",
      path,
      body: (chance: Chance) =>
        path.endsWith("gc") ? { paths: [chance.pick(NOWHERE)] } : { path: chance.pick(NOWHERE) },
    })),
  ],
  "Docker plugin": [
    { method: "POST", path: "/Plugin.Activate" },
    ...["Capabilities", "List"].map((name) => ({ method: "POST", path: `/VolumeDriver.${name}` })),
    ...["Get", "Path", "Remove"].map((name) => ({ method: "POST", path: `/VolumeDriver.${name}`, body: dockerName })),
    {
      method: "POST",
      path: "/VolumeDriver.Create",
      body: (chance) => ({ ...dockerName(chance), Opts: { size: "1M", ...(chance.percent(30) && { role: "web" }) } }),
    },
    ...["Mount", "Unmount"].map((name) => ({
      method: "POST",
      path: `/VolumeDriver.${name}`,
      body: (chance: Chance) => ({ ...dockerName(chance), ID: "e".repeat(64) }),
    })),
  ],
};

function form(chance: Chance, { agentId }: Scene): string {
  return chance.pick(FORMS).replace(/slaveId=[^&;]*/, `slaveId=${agentId}`);
}

function mesosCall(chance: Chance, { agentId }: Scene): object {
  const type = chance.pick(["RESERVE_RESOURCES", "UNRESERVE_RESOURCES", "CREATE_VOLUMES", "DESTROY_VOLUMES"]);
  return { type, [type.toLowerCase()]: { agent_id: { value: agentId }, resources: [RESERVED], volumes: [VOLUME] } };
}

function container(chance: Chance, { sandboxes }: Scene): object {
  const volumes = [
    { role: "web", id: chance.pick(["db", ...NAMES]), containerPath: "data", mode: chance.pick(["RW", "RO"]) },
  ];
  return {
    sandbox: chance.pick([...sandboxes, ...NOWHERE]),
    volumes,
    ...(chance.percent(20) && { pid: chance.pick(PIDS) }),
    ...(chance.percent(20) && { uid: 1, gid: 1 }),
  };
}

function hook(chance: Chance, { bundle }: Scene): object {
  return { ...STATES[0], pid: chance.pick(PIDS), bundle: chance.pick([bundle, ...NOWHERE]) };
}

function dockerName(chance: Chance): { readonly Name: string } {
  return { Name: chance.pick(["db", "web/db", "other", ...NAMES]) };
}

/** A request that can be told from the next one. */
export function makeRequest(door: DoorName, chance: Chance, scene: Scene): Buffer {
  const route = chance.pick(ROUTES[door]);
  const path = chance.percent(20)
    ? mutateText(route.path, [], chance)
        .replaceAll(UNSENDABLE, (character) => encodeCharacter(character))
        .slice(0, 8_000)
    : route.path;
  const method = chance.percent(3) ? chance.pick(METHODS) : route.method;
  const body = bodyOf(route, chance, scene);
  const headers = [`Host: ${chance.percent(3) ? headerText(chance) : "localhost"}`, `Content-Length: ${body.length}`];
  if (body.length > 0 || chance.percent(10))
    headers.push(`Content-Type: ${chance.percent(8) ? chance.pick(TYPES) : (route.type ?? JSON_TYPE)}`);
  if (chance.percent(5))
    headers.push(
      `${chance.pick(["Authorization", "Accept", "Origin", "X-Strange", "Cookie", "If-None-Match"])}: ${headerText(chance)}`,
    );
  const head = `${method} ${path === "" ? "/" : path} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

function bodyOf({ body }: Route, chance: Chance, scene: Scene): Buffer {
  if (body === undefined) {
    return chance.percent(90) ? Buffer.alloc(0) : Buffer.from(JSON.stringify(strangeValue(chance)) ?? "");
  }
  const kind = chance.below(10);
  // Where single bytes change, a path could become another one that exists.
  const valid = body(chance, kind === 9 ? hide(scene) : scene);
  const changed =
    kind < 3 ? valid : typeof valid === "string" ? mutateText(valid, FORMS, chance) : keepPaths(valid, chance);
  const bytes = Buffer.from(typeof changed === "string" ? changed : (JSON.stringify(changed) ?? ""));
  return kind === 9 ? mutateBytes(bytes, chance) : bytes;
}

function hide(scene: Scene): Scene {
  return { ...scene, sandboxes: [NOTHING], bundle: NOTHING };
}

/** Strange, but it names no directories and processes that it should not know. */
function keepPaths(valid: object, chance: Chance): unknown {
  const changed = mutateValue(valid, chance);
  if (typeof changed !== "object" || changed === null || Array.isArray(changed)) return changed;
  const kept = Object.entries(valid).filter(([key]) => KEPT.includes(key));
  return { ...changed, ...Object.fromEntries(kept) };
}

/** Bytes that begin like a request. */
export function makeJunk(door: DoorName, chance: Chance, scene: Scene): Buffer {
  const request = makeRequest(door, chance, hide(scene));
  const text = request.toString("latin1");
  const kind = chance.below(4);
  if (kind === 0) return mutateBytes(request, chance);
  if (kind === 1) return Buffer.from(mutateText(text, [], chance), "latin1");
  if (kind === 2) return Buffer.from(chance.pick(BREAKS)(text), "latin1");
  return request.subarray(0, chance.below(request.length + 1));
}

const BREAKS: readonly ((text: string) => string)[] = [
  (text) => text.replace("Content-Length: ", "Content-Length: 1"),
  (text) => text.replace("Content-Length: ", "Transfer-Encoding: chunked\r\nContent-Length: "),
  (text) => text.replace(/Content-Length: \d+/, "Transfer-Encoding: chunked"),
  (text) => text.replace("\r\n", "\n"),
  (text) => text.replace("HTTP/1.1", "HTTP/2.0"),
  (text) => text.replace("Host: ", `X: ${"y".repeat(20_000)}\r\nHost: `),
  (text) => text.replace("Host: ", `${"X: y\r\n".repeat(3_000)}Host: `),
  (text) => text.replace("Host: ", "Expect: 100-continue\r\nHost: "),
  (text) => text.replace("Host: ", "Upgrade: websocket\r\nConnection: Upgrade\r\nHost: "),
  (text) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${text}`,
  (text) => `\u0016\u0003\u0001\u0002\u0000${text}`,
  (text) => `CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n${text}`,
  (text) => text.replace(" /", " http://localhost/"),
];

function headerText(chance: Chance): string {
  return mutateText(chance.pick(HEADERS), HEADERS, chance).replaceAll(UNSENDABLE_IN_HEADERS, "").slice(0, 4_000);
}

function encodeCharacter(character: string): string {
  return character.isWellFormed() ? encodeURIComponent(character) : "%ED%A0%80";
}
