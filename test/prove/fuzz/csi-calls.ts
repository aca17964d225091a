/** Strange calls of CSI: gRPC that is in order around strange fields, and gRPC that is not. */
import path from "node:path";
import { gzipSync } from "node:zlib";
import { CALLS } from "../../faces/csi/client.ts";
import type { Chance } from "../../simulation/chance.ts";
import { grpcMessage, makeBrokenBytes } from "./http2-frames.ts";
import { mutateBytes, mutateText } from "./mutate.ts";
import { NOTHING, NOWHERE, type Scene } from "./requests.ts";
import { NAMES } from "./samples.ts";

/** One call as it is sent. */
export interface CsiCall {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Whether gRPC itself may refuse it, with whatever status it has for that. */
  readonly isBroken: boolean;
  /** For people who look at a violation. */
  readonly shown: string;
}

const MIB = 2 ** 20;
const BROKEN_PERCENT = 50;
const STRANGE_PERCENT = 12;
/** How often a list repeats itself that is long: lists may lie in lists, and making them must not take the time of others. */
const TEXTS = 3_000;
const MESSAGES = 20;
/** More than a request may have, and not so much that to make it would take seconds. */
const LIST_BYTES = 4 * MIB;
const MISSING_PERCENT = 4;
const REQUEST_BYTES_MAX = 256 * 1024;
/** Paths of directories, which are strange by themselves; anything else could be a place that exists. */
const PATHS: readonly string[] = ["target_path", "volume_path", "volume_publish_path", "staging_target_path"];
const IDS = ["csi/one", "csi/two", "csi/snap", "web/db"] as const;
const HOSTILE = [
  "",
  "/",
  "csi/",
  "/one",
  "csi/..",
  "csi/../one",
  "../../etc/passwd",
  "csi/\0",
  "csi/a\0b",
  "csi/\ud800",
  "*/one",
  "csi/__proto__",
  "constructor",
  "csi/%2e%2e",
  "csi/line\nbreak",
  "\u202ecsi/one",
  "x".repeat(129),
  `csi/${"x".repeat(255)}`,
  "/".repeat(5_000),
  "й".repeat(100_000),
] as const;
/** Of 64 bits as text, because numbers cannot tell them exactly. */
const SIZES = [
  "0",
  "1",
  "-1",
  String(MIB),
  String(64 * MIB),
  "9007199254740993",
  "9223372036854775807",
  "-9223372036854775808",
] as const;
const NUMBERS = [0, 1, 2, 7, 8, 99, -1, 2 ** 31 - 1, -(2 ** 31)] as const;

const capability = (chance: Chance): object => ({
  ...(chance.percent(90) && { mount: { mount_flags: chance.some(["ro", "rw", "nodev", "suid"], 10) } }),
  ...(chance.percent(5) && { block: {} }),
  ...(chance.percent(95) && { access_mode: { mode: chance.pick([1, 1, 1, 2, 6, 7, 7, 5, 0]) } }),
});
const range = (chance: Chance): object => ({
  required_bytes: chance.pick([String(MIB), String(2 * MIB), ...SIZES]),
  limit_bytes: chance.pick(["0", "0", "0", ...SIZES]),
});
const target = ({ sandboxes }: Scene, chance: Chance): string =>
  path.join(chance.pick(sandboxes), chance.pick(["mount-1", "mount-2"]));
const id = (chance: Chance): string => chance.pick(IDS);

const REQUESTS: Readonly<Record<string, (chance: Chance, scene: Scene) => object>> = {
  GetPluginInfo: () => ({}),
  Probe: () => ({}),
  CreateVolume: (chance) => ({
    name: chance.pick(["one", "two"]),
    capacity_range: range(chance),
    volume_capabilities: [capability(chance), ...chance.some([capability(chance)], 20)],
    parameters: chance.pick<object>([{}, {}, {}, { role: "csi" }, { role: "*" }, { disk: NOTHING }, { x: "y" }]),
    secrets: { token: "secret" },
    ...(chance.percent(20) && { volume_content_source: { volume: { volume_id: id(chance) } } }),
    ...(chance.percent(5) && { volume_content_source: { snapshot: { snapshot_id: id(chance) } } }),
    ...(chance.percent(10) && {
      accessibility_requirements: { requisite: [{ segments: { "csi.holdfast.dev/node": "elsewhere" } }] },
    }),
  }),
  DeleteVolume: (chance) => ({ volume_id: id(chance) }),
  ControllerPublishVolume: (chance) => ({ volume_id: id(chance), node_id: "node" }),
  ValidateVolumeCapabilities: (chance) => ({ volume_id: id(chance), volume_capabilities: [capability(chance)] }),
  ListVolumes: (chance) => ({ max_entries: chance.pick(NUMBERS), starting_token: chance.pick(["", "", id(chance)]) }),
  GetCapacity: (chance) => ({ volume_capabilities: chance.some([capability(chance)]), parameters: {} }),
  CreateSnapshot: (chance) => ({ source_volume_id: id(chance), name: "snap", parameters: {} }),
  DeleteSnapshot: () => ({ snapshot_id: "csi/snap" }),
  ListSnapshots: (chance) => ({
    max_entries: chance.pick(NUMBERS),
    ...(chance.percent(30) && { source_volume_id: id(chance) }),
    ...(chance.percent(30) && { snapshot_id: id(chance) }),
  }),
  GetSnapshot: () => ({ snapshot_id: "csi/snap" }),
  ControllerExpandVolume: (chance) => ({ volume_id: id(chance), capacity_range: range(chance) }),
  ControllerGetVolume: (chance) => ({ volume_id: id(chance) }),
  NodePublishVolume: (chance, scene) => ({
    volume_id: id(chance),
    target_path: target(scene, chance),
    volume_capability: capability(chance),
    readonly: chance.percent(20),
    volume_context: chance.percent(20) ? { "csi.storage.k8s.io/ephemeral": "true", size: "1Mi" } : {},
  }),
  NodeUnpublishVolume: (chance, scene) => ({ volume_id: id(chance), target_path: target(scene, chance) }),
  NodeGetVolumeStats: (chance, scene) => ({ volume_id: id(chance), volume_path: target(scene, chance) }),
  NodeGetVolumeHealth: (chance, scene) => ({ volume_id: id(chance), volume_publish_path: target(scene, chance) }),
  NodeExpandVolume: (chance, scene) => ({
    volume_id: id(chance),
    volume_path: target(scene, chance),
    capacity_range: range(chance),
  }),
  NodeGetInfo: () => ({}),
  NodeGetStorageHealth: () => ({}),
};

/** A call, mostly with strange fields. */
export function makeCall(chance: Chance, scene: Scene): CsiCall {
  const name = chance.pick(Object.keys(REQUESTS));
  const fields = chance.percent(20)
    ? (REQUESTS[name]?.(chance, scene) ?? {})
    : changed(REQUESTS[name]?.(chance, scene) ?? {}, chance);
  return callOf(name, fields as object);
}

/** A call that gRPC itself may not be able to read. */
export function makeBrokenCall(chance: Chance, scene: Scene): CsiCall {
  const call = makeCall(chance, scene);
  return chance.percent(BROKEN_PERCENT) ? { ...chance.pick(BREAKS)(call, chance), isBroken: true } : call;
}

function callOf(name: string, fields: object): CsiCall {
  const definition = CALLS.get(name);
  if (definition === undefined || !("requestSerialize" in definition)) throw new Error(`CSI has no call ${name}`);
  const body = grpcMessage(definition.requestSerialize(fields));
  const shown = `${name} ${JSON.stringify(fields)}`;
  // What is too large is refused unread.
  return { path: definition.path, headers: {}, body, isBroken: body.length > REQUEST_BYTES_MAX, shown };
}

/** Bytes for a connection of their own; they name no place that exists. */
export function makeCsiJunk(chance: Chance, scene: Scene): Buffer {
  const { path: where, body } = callOf("NodeUnpublishVolume", { volume_id: id(chance), target_path: NOTHING });
  const call = chance.percent(50) ? { path: where, body } : makeCall(chance, { ...scene, sandboxes: [NOTHING] });
  const kind = chance.below(8);
  if (kind === 0) return mutateBytes(call.body, chance);
  if (kind === 1) return Buffer.from("GET /v1/volumes HTTP/1.1\r\nHost: localhost\r\n\r\n");
  return makeBrokenBytes(call.path.slice(0, 8_000), call.body.subarray(0, 8_000), chance);
}

type Break = (call: CsiCall, chance: Chance) => CsiCall;

const withBody = (call: CsiCall, body: Buffer): CsiCall => ({ ...call, body });
const message = ({ body }: CsiCall): Buffer => body.subarray(5);

const BREAKS: readonly Break[] = [
  (call, chance) => withBody(call, call.body.subarray(0, chance.below(call.body.length + 1))),
  (call, chance) => withBody(call, Buffer.concat([call.body.subarray(0, 5), noPath(message(call), chance)])),
  (call) => withBody(call, Buffer.concat([call.body, call.body])),
  (call, chance) => withBody(call, grpcMessage(message(call), { says: chance.pick([0, 1, 2 ** 31, 2 ** 32 - 1]) })),
  (call) => withBody(call, grpcMessage(message(call), { flag: 1 })),
  (call, chance) => withBody(call, grpcMessage(message(call), { flag: 2 + chance.below(254) })),
  (call) => withBody(call, grpcMessage(Buffer.alloc(REQUEST_BYTES_MAX + 1))),
  (call) => gzipped(call, message(call)),
  (call) => gzipped(call, Buffer.alloc(16 * MIB)),
  (call, chance) => ({ ...call, path: strangePath(call.path, chance) }),
  (call, chance) => ({ ...call, headers: { "grpc-timeout": chance.pick(["x", "-1S", "0n", "99999999999H", "1n"]) } }),
  (call, chance) => ({ ...call, headers: { "grpc-encoding": chance.pick(["deflate", "gzip", "x"]) } }),
  (call, chance) => ({ ...call, headers: { "content-type": chance.pick(["text/plain", "application/grpc+json"]) } }),
  (call, chance) => ({ ...call, headers: { "x-bin": chance.pick(["%", "AAAA,,", "\u00e9"]) } }),
];

function gzipped(call: CsiCall, bytes: Buffer): CsiCall {
  const body = grpcMessage(gzipSync(bytes), { flag: 1 });
  return { ...call, body, headers: { "grpc-encoding": "gzip" } };
}

/** Where single bytes change, a path could become another one that exists. */
function noPath(bytes: Buffer, chance: Chance): Buffer {
  return bytes.includes("/tmp/") ? bytes.subarray(0, chance.below(20)) : mutateBytes(bytes, chance);
}

function strangePath(where: string, chance: Chance): string {
  return chance.pick(["", "/", `${where}/`, `/${where}`, where.toLowerCase(), `${where}s`, `/${"x/".repeat(1_000)}`]);
}

/** Strange in places, but it names no directories that it should not know. */
function changed(value: unknown, chance: Chance, key = ""): unknown {
  if (PATHS.includes(key)) return chance.percent(STRANGE_PERCENT) ? chance.pick(NOWHERE) : value;
  if (typeof value === "string") return chance.percent(STRANGE_PERCENT) ? strangeText(value, chance) : value;
  if (typeof value === "number") return chance.percent(STRANGE_PERCENT) ? chance.pick(NUMBERS) : value;
  if (Array.isArray(value)) return changedList(value, chance);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(() => !chance.percent(MISSING_PERCENT))
      .map(([name, item]) => [name, changed(item, chance, name)]),
  );
}

/** A size is text of digits, and stays a number of 64 bits. */
function strangeText(text: string, chance: Chance): string {
  if (/^-?\d+$/.test(text)) return chance.pick(SIZES);
  return chance.percent(60) ? chance.pick([...HOSTILE, ...NAMES]) : mutateText(text, [], chance);
}

function changedList(list: readonly unknown[], chance: Chance): unknown[] {
  const items = list.map((item) => changed(item, chance));
  if (chance.percent(3)) {
    const times =
      typeof items[0] === "string" ? Math.min(TEXTS, Math.ceil(LIST_BYTES / items.join("").length)) : MESSAGES;
    return Array.from({ length: times }, () => items).flat();
  }
  return chance.percent(STRANGE_PERCENT) ? [...items, ...items] : items;
}
