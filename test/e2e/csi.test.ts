/** The specification's table: every call with every answer that it must give, ten times, by a real daemon on its socket. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Answer } from "../faces/csi/client.ts";
import { CsiScene, capability, MIB, MODE } from "./csi-scene.ts";
import { mayMount } from "./privileges.ts";
import { run } from "./run.ts";

const TIMES = 10;
const INT64_MAX = "9223372036854775807";
const HOSTILE = [
  "../../etc",
  "csi/../x",
  "csi/..",
  "/",
  "csi/",
  "/csi",
  "csi/a\u0000b",
  "csi/a\\b",
  "csi/\u001b[31m",
  "nothing",
  "*/x",
];

/** A call, and what it must be answered. */
interface Row {
  readonly what: string;
  readonly call: string;
  readonly request: (scene: CsiScene) => object | Promise<object>;
  readonly status: string;
  readonly message?: RegExp;
  readonly value?: object;
}

let scene: CsiScene;
/** Published at `at("db")`, `csi/db`, and `csi/shared` likewise; `csi/free` is nowhere. */
const at = (name: string): string => scene.target(name);

function row(
  call: string,
  what: string,
  status: string,
  request: Row["request"] | object,
  rest: Partial<Row> = {},
): Row {
  return {
    what,
    call,
    status,
    request: typeof request === "function" ? (request as Row["request"]) : () => request,
    ...rest,
  };
}

const ONE = { required_bytes: 4 * MIB };
const creating = (rest: object = {}) => ({
  name: "db",
  capacity_range: ONE,
  volume_capabilities: [capability()],
  ...rest,
});
const publishing =
  (rest: object = {}, target = "db") =>
  () => ({ volume_id: "csi/db", target_path: at(target), volume_capability: capability(), ...rest });

/** What every call with a capability must refuse. */
const BROKEN_CAPABILITIES: readonly (readonly [what: string, capability: object])[] = [
  ["block", { block: {}, access_mode: { mode: MODE.SINGLE_NODE_WRITER } }],
  ["block and mount", { block: {}, ...capability() }],
  ["neither block nor mount", { access_mode: { mode: MODE.SINGLE_NODE_WRITER } }],
  ["no access mode", { mount: {} }],
  ["an access mode that is UNKNOWN", { mount: {}, access_mode: { mode: 0 } }],
  ["an access mode that is none", { mount: {}, access_mode: { mode: 99 } }],
  ["MULTI_NODE_READER_ONLY", capability("MULTI_NODE_READER_ONLY")],
  ["MULTI_NODE_SINGLE_WRITER", capability("MULTI_NODE_SINGLE_WRITER")],
  ["MULTI_NODE_MULTI_WRITER", capability("MULTI_NODE_MULTI_WRITER")],
  ["another file system", capability("SINGLE_NODE_WRITER", { fs_type: "ntfs" })],
  ["a mount flag that we do not set", capability("SINGLE_NODE_WRITER", { mount_flags: ["noexec"] })],
  ["ro and rw", capability("SINGLE_NODE_WRITER", { mount_flags: ["ro", "rw"] })],
  ["a group that is no number", capability("SINGLE_NODE_WRITER", { volume_mount_group: "wheel" })],
  ["a group beyond all", capability("SINGLE_NODE_WRITER", { volume_mount_group: "4294967295" })],
  ["more mount flags than fit", capability("SINGLE_NODE_WRITER", { mount_flags: ["x".repeat(5000)] })],
];

const IDENTITY: readonly Row[] = [
  row(
    "GetPluginInfo",
    "says who it is",
    "OK",
    {},
    { value: { name: "csi.holdfast.dev", vendor_version: expect.stringMatching(/^\d+\.\d+\.\d+/) } },
  ),
  row(
    "GetPluginCapabilities",
    "says what it can",
    "OK",
    {},
    {
      value: { capabilities: [{ service: { type: 1 } }, { service: { type: 2 } }, { volume_expansion: { type: 1 } }] },
    },
  ),
  row("Probe", "is ready", "OK", {}, { value: { ready: { value: true } } }),
];

const CREATE: readonly Row[] = [
  row("CreateVolume", "the same again", "OK", creating(), {
    value: {
      volume: {
        volume_id: "csi/db",
        capacity_bytes: String(4 * MIB),
        accessible_topology: [{ segments: { "csi.holdfast.dev/node": "node-1" } }],
      },
    },
  }),
  row("CreateVolume", "the same again without a size", "OK", creating({ capacity_range: undefined })),
  row(
    "CreateVolume",
    "the same, within a wider range",
    "OK",
    creating({ capacity_range: { required_bytes: 1, limit_bytes: 9 * MIB } }),
  ),
  row(
    "CreateVolume",
    "the same, with what Kubernetes' sidecar adds",
    "OK",
    creating({ parameters: { "csi.storage.k8s.io/pvc/name": "x" } }),
  ),
  row(
    "CreateVolume",
    "the same, for this node among others",
    "OK",
    creating({ accessibility_requirements: topology("node-2", "node-1") }),
  ),
  row("CreateVolume", "no name", "INVALID_ARGUMENT", creating({ name: "" }), {
    message: /name is wrong, expected a value/,
  }),
  row("CreateVolume", "a name that is too long", "INVALID_ARGUMENT", creating({ name: "n".repeat(129) }), {
    message: /at most 128 bytes/,
  }),
  row("CreateVolume", "a name with a control character", "INVALID_ARGUMENT", creating({ name: "a\u0000b" }), {
    message: /control/,
  }),
  row("CreateVolume", "no capabilities", "INVALID_ARGUMENT", creating({ volume_capabilities: [] }), {
    message: /at least one/,
  }),
  ...BROKEN_CAPABILITIES.map(([what, broken]) =>
    row(
      "CreateVolume",
      what,
      "INVALID_ARGUMENT",
      creating({ name: "other", volume_capabilities: [capability(), broken] }),
    ),
  ),
  row("CreateVolume", "an unknown parameter", "INVALID_ARGUMENT", creating({ parameters: { speed: "high" } }), {
    message: /"speed"/,
  }),
  row("CreateVolume", "a role that is none", "INVALID_ARGUMENT", creating({ parameters: { role: "../x" } }), {
    message: /role/,
  }),
  row(
    "CreateVolume",
    "a container path that is none",
    "INVALID_ARGUMENT",
    creating({ parameters: { containerPath: "a/b" } }),
  ),
  row(
    "CreateVolume",
    "a disk that is not there",
    "INVALID_ARGUMENT",
    creating({ name: "other", parameters: { disk: "/nowhere" } }),
  ),
  row(
    "CreateVolume",
    "parameters beyond 4 KiB",
    "INVALID_ARGUMENT",
    creating({ parameters: { "csi.storage.k8s.io/x": "x".repeat(5000) } }),
  ),
  row("CreateVolume", "a mutable parameter", "INVALID_ARGUMENT", creating({ mutable_parameters: { iops: "1" } })),
  row("CreateVolume", "a size below nothing", "INVALID_ARGUMENT", creating({ capacity_range: { required_bytes: -1 } })),
  ...["9223372036854775808", "18446744073709551615"].map((required_bytes) =>
    row(
      "CreateVolume",
      `${required_bytes} bytes, which no 64 bits hold`,
      "INVALID_ARGUMENT",
      creating({ name: "other", capacity_range: { required_bytes } }),
    ),
  ),
  row("CreateVolume", "a range that says nothing", "INVALID_ARGUMENT", creating({ capacity_range: {} })),
  row("CreateVolume", "a source that is none", "INVALID_ARGUMENT", creating({ volume_content_source: {} })),
  row("CreateVolume", "another size", "ALREADY_EXISTS", creating({ capacity_range: { required_bytes: 5 * MIB } })),
  row("CreateVolume", "a limit below it", "ALREADY_EXISTS", creating({ capacity_range: { limit_bytes: 3 * MIB } })),
  row(
    "CreateVolume",
    "sharing where it is not shared",
    "ALREADY_EXISTS",
    creating({ volume_capabilities: [capability("SINGLE_NODE_MULTI_WRITER")] }),
  ),
  row("CreateVolume", "another container path", "ALREADY_EXISTS", creating({ parameters: { containerPath: "else" } })),
  row("CreateVolume", "another role under the same name", "ALREADY_EXISTS", creating({ parameters: { role: "ads" } })),
  row(
    "CreateVolume",
    "a source where it has none",
    "ALREADY_EXISTS",
    creating({ volume_content_source: { volume: { volume_id: "csi/free" } } }),
  ),
  row("CreateVolume", "the name of a snapshot", "ALREADY_EXISTS", creating({ name: "snap" })),
  row(
    "CreateVolume",
    "more than there is",
    "RESOURCE_EXHAUSTED",
    creating({ name: "other", capacity_range: { required_bytes: 2 ** 43 } }),
  ),
  row(
    "CreateVolume",
    "as much as a number can say",
    "RESOURCE_EXHAUSTED",
    creating({ name: "other", capacity_range: { required_bytes: INT64_MAX } }),
  ),
  row(
    "CreateVolume",
    "another node",
    "RESOURCE_EXHAUSTED",
    creating({ name: "other", accessibility_requirements: topology("node-2") }),
  ),
  row(
    "CreateVolume",
    "a limit below what is required",
    "OUT_OF_RANGE",
    creating({ name: "other", capacity_range: { required_bytes: 9, limit_bytes: 8 } }),
  ),
  row(
    "CreateVolume",
    "a limit below a MiB",
    "OUT_OF_RANGE",
    creating({ name: "other", capacity_range: { limit_bytes: 1000 } }),
  ),
  row(
    "CreateVolume",
    "a size between two MiB",
    "OUT_OF_RANGE",
    creating({ name: "other", capacity_range: { required_bytes: MIB + 1, limit_bytes: MIB + 2 } }),
  ),
  row(
    "CreateVolume",
    "a source that is not there",
    "NOT_FOUND",
    creating({ name: "other", volume_content_source: { volume: { volume_id: "csi/no" } } }),
  ),
  row(
    "CreateVolume",
    "a snapshot that is not there",
    "NOT_FOUND",
    creating({ name: "other", volume_content_source: { snapshot: { snapshot_id: "csi/db" } } }),
  ),
  row(
    "CreateVolume",
    "a volume that is a snapshot",
    "NOT_FOUND",
    creating({ name: "other", volume_content_source: { volume: { volume_id: "csi/snap" } } }),
  ),
  row(
    "CreateVolume",
    "less than its source",
    "OUT_OF_RANGE",
    creating({
      name: "other",
      capacity_range: { limit_bytes: MIB },
      volume_content_source: { snapshot: { snapshot_id: "csi/snap" } },
    }),
  ),
];

const CONTROLLER: readonly Row[] = [
  row("DeleteVolume", "no id", "INVALID_ARGUMENT", {}),
  row("DeleteVolume", "an id that is too long", "INVALID_ARGUMENT", { volume_id: `csi/${"n".repeat(128)}` }),
  row(
    "DeleteVolume",
    "one that is published",
    "FAILED_PRECONDITION",
    { volume_id: "csi/db" },
    { message: /attached to container csi-/ },
  ),
  row("DeleteVolume", "one that is not there", "OK", { volume_id: "csi/nothing" }),
  row("DeleteVolume", "a snapshot's id, which stays", "OK", { volume_id: "csi/snap" }),
  ...HOSTILE.map((volume_id) => row("DeleteVolume", JSON.stringify(volume_id), "OK", { volume_id })),

  row("ValidateVolumeCapabilities", "no id", "INVALID_ARGUMENT", { volume_capabilities: [capability()] }),
  row("ValidateVolumeCapabilities", "no capabilities", "INVALID_ARGUMENT", { volume_id: "csi/db" }),
  row("ValidateVolumeCapabilities", "one that is not there", "NOT_FOUND", {
    volume_id: "csi/nothing",
    volume_capabilities: [capability()],
  }),
  row("ValidateVolumeCapabilities", "a capability that contradicts itself", "INVALID_ARGUMENT", {
    volume_id: "csi/db",
    volume_capabilities: [{ block: {}, ...capability() }],
  }),
  row(
    "ValidateVolumeCapabilities",
    "what it can",
    "OK",
    { volume_id: "csi/db", volume_capabilities: [capability()], volume_context: { a: "b" } },
    {
      value: { confirmed: { volume_capabilities: [capability()], volume_context: { a: "b" } }, message: "" },
    },
  ),
  ...(["MULTI_NODE_MULTI_WRITER", "SINGLE_NODE_MULTI_WRITER"] as const).map((mode) =>
    row(
      "ValidateVolumeCapabilities",
      `${mode} is not confirmed`,
      "OK",
      { volume_id: "csi/db", volume_capabilities: [capability(), capability(mode)] },
      {
        value: { confirmed: null, message: expect.stringMatching(/./) },
      },
    ),
  ),
  row(
    "ValidateVolumeCapabilities",
    "a parameter that is unknown is not confirmed",
    "OK",
    { volume_id: "csi/db", volume_capabilities: [capability()], parameters: { x: "y" } },
    {
      value: { confirmed: null, message: expect.stringMatching(/"x"/) },
    },
  ),

  row("GetCapacity", "says what there is", "OK", {}, { value: { minimum_volume_size: { value: String(MIB) } } }),
  row(
    "GetCapacity",
    "elsewhere there is none",
    "OK",
    { accessible_topology: { segments: { "csi.holdfast.dev/node": "node-2" } } },
    { value: { available_capacity: "0" } },
  ),
  row(
    "GetCapacity",
    "for what cannot be there is none",
    "OK",
    { volume_capabilities: [capability("MULTI_NODE_MULTI_WRITER")] },
    { value: { available_capacity: "0" } },
  ),
  row("GetCapacity", "an unknown parameter", "INVALID_ARGUMENT", { parameters: { x: "y" } }),

  row("ListVolumes", "fewer than none", "INVALID_ARGUMENT", { max_entries: -1 }),
  row("ListVolumes", "a token that nobody gave", "ABORTED", { starting_token: "token" }),
  row(
    "ListVolumes",
    "all, without the snapshot",
    "OK",
    {},
    {
      value: {
        entries: ["csi/db", "csi/free", "csi/shared"].map((volume_id) => ({
          volume: { volume_id },
          status: { volume_condition: { abnormal: false } },
        })),
        next_token: "",
      },
    },
  ),
  row(
    "ListVolumes",
    "one by one",
    "OK",
    { max_entries: 1, starting_token: "csi/db" },
    { value: { entries: [{ volume: { volume_id: "csi/free" } }], next_token: "csi/free" } },
  ),
  row(
    "ListVolumes",
    "behind one that is gone",
    "OK",
    { starting_token: "csi/gone" },
    { value: { entries: [{ volume: { volume_id: "csi/shared" } }] } },
  ),
  row("ControllerGetVolume", "no id", "INVALID_ARGUMENT", {}),
  row("ControllerGetVolume", "one that is not there", "NOT_FOUND", { volume_id: "csi/nothing" }),
  row(
    "ControllerGetVolume",
    "one that is",
    "OK",
    { volume_id: "csi/db" },
    { value: { volume: { volume_id: "csi/db" }, status: { volume_condition: { abnormal: false } } } },
  ),

  row("ControllerExpandVolume", "no id", "INVALID_ARGUMENT", { capacity_range: ONE }),
  row("ControllerExpandVolume", "no range", "INVALID_ARGUMENT", { volume_id: "csi/db" }),
  row("ControllerExpandVolume", "a range that says nothing", "INVALID_ARGUMENT", {
    volume_id: "csi/db",
    capacity_range: {},
  }),
  row("ControllerExpandVolume", "a range below nothing", "INVALID_ARGUMENT", {
    volume_id: "csi/db",
    capacity_range: { limit_bytes: -5 },
  }),
  row("ControllerExpandVolume", "a capability that it cannot have", "INVALID_ARGUMENT", {
    volume_id: "csi/db",
    capacity_range: ONE,
    volume_capability: capability("MULTI_NODE_MULTI_WRITER"),
  }),
  row("ControllerExpandVolume", "one that is not there", "NOT_FOUND", {
    volume_id: "csi/nothing",
    capacity_range: ONE,
  }),
  row("ControllerExpandVolume", "a limit below what it has", "OUT_OF_RANGE", {
    volume_id: "csi/db",
    capacity_range: { limit_bytes: MIB },
  }),
  row("ControllerExpandVolume", "a limit below what is required", "OUT_OF_RANGE", {
    volume_id: "csi/db",
    capacity_range: { required_bytes: 9 * MIB, limit_bytes: 8 * MIB },
  }),
  row("ControllerExpandVolume", "more than there is", "RESOURCE_EXHAUSTED", {
    volume_id: "csi/db",
    capacity_range: { required_bytes: INT64_MAX },
  }),
  row(
    "ControllerExpandVolume",
    "what it has",
    "OK",
    { volume_id: "csi/db", capacity_range: ONE },
    { value: { capacity_bytes: String(4 * MIB), node_expansion_required: false } },
  ),
  row(
    "ControllerExpandVolume",
    "more, in use",
    "OK",
    { volume_id: "csi/free", capacity_range: { required_bytes: 6 * MIB } },
    { value: { capacity_bytes: String(6 * MIB) } },
  ),
  row(
    "ControllerExpandVolume",
    "more of a shared one, in use",
    "OK",
    { volume_id: "csi/shared", capacity_range: { required_bytes: 6 * MIB } },
    { value: { capacity_bytes: String(6 * MIB) } },
  ),

  row("CreateSnapshot", "no source", "INVALID_ARGUMENT", { name: "snap" }),
  row("CreateSnapshot", "no name", "INVALID_ARGUMENT", { source_volume_id: "csi/db" }),
  row("CreateSnapshot", "an unknown parameter", "INVALID_ARGUMENT", {
    source_volume_id: "csi/db",
    name: "snap",
    parameters: { x: "y" },
  }),
  row("CreateSnapshot", "a source that is not there", "NOT_FOUND", { source_volume_id: "csi/nothing", name: "other" }),
  row("CreateSnapshot", "a source that is a snapshot", "NOT_FOUND", { source_volume_id: "csi/snap", name: "other" }),
  row("CreateSnapshot", "the name of another volume's", "ALREADY_EXISTS", {
    source_volume_id: "csi/free",
    name: "snap",
  }),
  row("CreateSnapshot", "the name of a volume", "ALREADY_EXISTS", { source_volume_id: "csi/free", name: "db" }),
  row(
    "CreateSnapshot",
    "the same again",
    "OK",
    { source_volume_id: "csi/db", name: "snap" },
    { value: { snapshot: { snapshot_id: "csi/snap", source_volume_id: "csi/db", ready_to_use: true } } },
  ),
  row("DeleteSnapshot", "no id", "INVALID_ARGUMENT", {}),
  row("DeleteSnapshot", "one that is not there", "OK", { snapshot_id: "csi/nothing" }),
  row("DeleteSnapshot", "a volume's id, which stays", "OK", { snapshot_id: "csi/db" }),
  ...HOSTILE.map((snapshot_id) => row("DeleteSnapshot", JSON.stringify(snapshot_id), "OK", { snapshot_id })),
  row("ListSnapshots", "fewer than none", "INVALID_ARGUMENT", { max_entries: -1 }),
  row("ListSnapshots", "a token that nobody gave", "ABORTED", { starting_token: "token" }),
  row(
    "ListSnapshots",
    "all",
    "OK",
    {},
    { value: { entries: [{ snapshot: { snapshot_id: "csi/snap" } }], next_token: "" } },
  ),
  row(
    "ListSnapshots",
    "by its id",
    "OK",
    { snapshot_id: "csi/snap" },
    { value: { entries: [{ snapshot: { snapshot_id: "csi/snap" } }] } },
  ),
  row("ListSnapshots", "by an id that is not there", "OK", { snapshot_id: "csi/nothing" }, { value: { entries: [] } }),
  row(
    "ListSnapshots",
    "by its source",
    "OK",
    { source_volume_id: "csi/db" },
    { value: { entries: [{ snapshot: { snapshot_id: "csi/snap" } }] } },
  ),
  row("ListSnapshots", "by a source that has none", "OK", { source_volume_id: "csi/free" }, { value: { entries: [] } }),
  row("GetSnapshot", "no id", "INVALID_ARGUMENT", {}),
  row("GetSnapshot", "one that is not there", "NOT_FOUND", { snapshot_id: "csi/db" }),
  row(
    "GetSnapshot",
    "one that is",
    "OK",
    { snapshot_id: "csi/snap" },
    { value: { snapshot: { snapshot_id: "csi/snap" } } },
  ),
  ...["ControllerPublishVolume", "ControllerUnpublishVolume", "ControllerModifyVolume"].map((call) =>
    row(call, "is not served", "UNIMPLEMENTED", { volume_id: "csi/db" }),
  ),
];

const NODE: readonly Row[] = [
  row(
    "NodeGetInfo",
    "says where it is",
    "OK",
    {},
    { value: { node_id: "node-1", accessible_topology: { segments: { "csi.holdfast.dev/node": "node-1" } } } },
  ),
  row("NodePublishVolume", "the same again", "OK", publishing()),
  row(
    "NodePublishVolume",
    "the same, with what Kubernetes adds",
    "OK",
    publishing({ volume_context: { "csi.storage.k8s.io/pod.name": "x" } }),
  ),
  row("NodePublishVolume", "no id", "INVALID_ARGUMENT", publishing({ volume_id: "" })),
  row("NodePublishVolume", "no capability", "INVALID_ARGUMENT", publishing({ volume_capability: undefined })),
  ...BROKEN_CAPABILITIES.map(([what, broken]) =>
    row("NodePublishVolume", what, "INVALID_ARGUMENT", publishing({ volume_capability: broken }, "elsewhere")),
  ),
  ...["", "relative/path", "/", "/a/../b", "/a/./b", "/a\u0000b", `/${"x".repeat(4096)}`].map((target_path) =>
    row(
      "NodePublishVolume",
      `the target ${JSON.stringify(target_path).slice(0, 20)}`,
      "INVALID_ARGUMENT",
      publishing({ target_path }),
    ),
  ),
  row("NodePublishVolume", "a name that no file has", "INVALID_ARGUMENT", () => ({
    ...publishing({ volume_id: "csi/free" })(),
    target_path: `${path.dirname(at("long"))}/${"x".repeat(300)}`,
  })),
  ...["csi/nothing", ...HOSTILE].map((volume_id) =>
    row(
      "NodePublishVolume",
      `the volume ${JSON.stringify(volume_id)}`,
      "NOT_FOUND",
      publishing({ volume_id }, "elsewhere"),
    ),
  ),
  row("NodePublishVolume", "a snapshot", "NOT_FOUND", publishing({ volume_id: "csi/snap" }, "elsewhere")),
  row("NodePublishVolume", "read-only where it is not", "ALREADY_EXISTS", publishing({ readonly: true })),
  row(
    "NodePublishVolume",
    "SINGLE_NODE_READER_ONLY where it is not",
    "ALREADY_EXISTS",
    publishing({ volume_capability: capability("SINGLE_NODE_READER_ONLY") }),
  ),
  row("NodePublishVolume", "another volume at the same path", "ALREADY_EXISTS", publishing({ volume_id: "csi/free" })),
  row("NodePublishVolume", "an exclusive one at another path", "FAILED_PRECONDITION", publishing({}, "elsewhere")),
  row(
    "NodePublishVolume",
    "an exclusive one at another path as MULTI_WRITER",
    "FAILED_PRECONDITION",
    publishing({ volume_capability: capability("SINGLE_NODE_MULTI_WRITER") }, "elsewhere"),
  ),
  ...(["SINGLE_NODE_WRITER", "SINGLE_NODE_SINGLE_WRITER", "SINGLE_NODE_READER_ONLY"] as const).map((mode) =>
    row(
      "NodePublishVolume",
      `a shared one at another path as ${mode}`,
      "FAILED_PRECONDITION",
      publishing({ volume_id: "csi/shared", volume_capability: capability(mode) }, "elsewhere"),
    ),
  ),
  row(
    "NodePublishVolume",
    "a shared one at another path as SINGLE_NODE_MULTI_WRITER",
    "OK",
    publishing({ volume_id: "csi/shared", volume_capability: capability("SINGLE_NODE_MULTI_WRITER") }, "second"),
  ),
  row(
    "NodePublishVolume",
    "a target whose directory is not there",
    "FAILED_PRECONDITION",
    publishing({ volume_id: "csi/free", target_path: "/nowhere/at/all" }),
  ),
  row(
    "NodePublishVolume",
    "a target that is a file",
    "FAILED_PRECONDITION",
    occupied("file", (target) => writeFileSync(target, "mine")),
    { message: /a file is in its place/ },
  ),
  row(
    "NodePublishVolume",
    "a target that is a symlink",
    "FAILED_PRECONDITION",
    occupied("symlink", (target) => symlinkSync("/tmp", target)),
    { message: /a symlink is in its place/ },
  ),
  row(
    "NodePublishVolume",
    "a target where the kernel makes nothing",
    "FAILED_PRECONDITION",
    () => ({ ...publishing({ volume_id: "csi/free" })(), target_path: `/proc/${process.pid}/x` }),
    { message: /takes nothing/ },
  ),
  row("NodePublishVolume", "a target below a file", "INVALID_ARGUMENT", () => ({
    ...publishing({ volume_id: "csi/free" })(),
    target_path: `${scene.daemon.workRoot}/../daemon.log/x`.replace("root/../", ""),
  })),

  row("NodeUnpublishVolume", "no id", "INVALID_ARGUMENT", () => ({ target_path: at("db") })),
  row("NodeUnpublishVolume", "no target", "INVALID_ARGUMENT", { volume_id: "csi/db" }),
  row("NodeUnpublishVolume", "a relative target", "INVALID_ARGUMENT", { volume_id: "csi/db", target_path: "a" }),
  row("NodeUnpublishVolume", "one that is not there", "OK", () => ({
    volume_id: "csi/nothing",
    target_path: at("elsewhere"),
  })),
  row("NodeUnpublishVolume", "one that is not published", "OK", () => ({
    volume_id: "csi/free",
    target_path: at("elsewhere"),
  })),
  row(
    "NodeUnpublishVolume",
    "another one than is published there",
    "NOT_FOUND",
    () => ({ volume_id: "csi/free", target_path: at("db") }),
    { message: /no mount point/ },
  ),
  ...HOSTILE.map((volume_id) =>
    row("NodeUnpublishVolume", JSON.stringify(volume_id), "OK", () => ({ volume_id, target_path: at("elsewhere") })),
  ),

  row("NodeGetVolumeStats", "no id", "INVALID_ARGUMENT", () => ({ volume_path: at("db") })),
  row("NodeGetVolumeStats", "no path", "INVALID_ARGUMENT", { volume_id: "csi/db" }),
  row("NodeGetVolumeStats", "one that is not there", "NOT_FOUND", () => ({
    volume_id: "csi/nothing",
    volume_path: at("db"),
  })),
  row("NodeGetVolumeStats", "a path where it is not", "NOT_FOUND", () => ({
    volume_id: "csi/db",
    volume_path: at("elsewhere"),
  })),
  row("NodeGetVolumeStats", "a path where another one is", "NOT_FOUND", () => ({
    volume_id: "csi/free",
    volume_path: at("db"),
  })),
  row("NodeGetVolumeStats", "one that is well", "OK", () => ({ volume_id: "csi/db", volume_path: at("db") }), {
    value: { volume_condition: { abnormal: false } },
  }),
  row("NodeGetVolumeHealth", "no id", "INVALID_ARGUMENT", {}),
  row("NodeGetVolumeHealth", "one that is not there", "NOT_FOUND", { volume_id: "csi/nothing" }),
  row("NodeGetVolumeHealth", "one that is well", "OK", () => ({ volume_id: "csi/db", volume_publish_path: at("db") }), {
    value: { volume_health: { volume_id: "csi/db", health_statuses: [] } },
  }),
  row("NodeGetStorageHealth", "a node that is well", "OK", {}, { value: { backend_health: [] } }),

  row("NodeExpandVolume", "no id", "INVALID_ARGUMENT", () => ({ volume_path: at("db") })),
  row("NodeExpandVolume", "no path", "INVALID_ARGUMENT", { volume_id: "csi/db" }),
  row("NodeExpandVolume", "one that is not there", "NOT_FOUND", () => ({
    volume_id: "csi/nothing",
    volume_path: at("db"),
  })),
  row("NodeExpandVolume", "a path where it is not", "NOT_FOUND", () => ({
    volume_id: "csi/db",
    volume_path: at("elsewhere"),
  })),
  row("NodeExpandVolume", "a limit below what it has", "OUT_OF_RANGE", () => ({
    volume_id: "csi/db",
    volume_path: at("db"),
    capacity_range: { limit_bytes: MIB },
  })),
  row(
    "NodeExpandVolume",
    "what it has",
    "OK",
    () => ({ volume_id: "csi/db", volume_path: at("db"), capacity_range: ONE }),
    { value: { capacity_bytes: String(4 * MIB) } },
  ),
  row("NodeExpandVolume", "without a range", "OK", () => ({ volume_id: "csi/db", volume_path: at("db") }), {
    value: { capacity_bytes: String(4 * MIB) },
  }),
  ...["NodeStageVolume", "NodeUnstageVolume"].map((call) =>
    row(call, "is not served", "UNIMPLEMENTED", { volume_id: "csi/db" }),
  ),
];

function topology(...nodes: readonly string[]): object {
  return { requisite: nodes.map((node) => ({ segments: { "csi.holdfast.dev/node": node } })) };
}

/** A publish of `csi/free` where somebody has put something else. */
function occupied(name: string, occupy: (target: string) => void): Row["request"] {
  return () => {
    const target = at(name);
    rmSync(target, { force: true });
    occupy(target);
    return { volume_id: "csi/free", target_path: target, volume_capability: capability() };
  };
}

describe.runIf(mayMount)("CSI", () => {
  beforeAll(async () => {
    scene = await CsiScene.start();
    await scene.create("db");
    await scene.create("free");
    await scene.create("shared", { volume_capabilities: [capability("SINGLE_NODE_MULTI_WRITER")] });
    await scene.must("CreateSnapshot", { source_volume_id: "csi/db", name: "snap" });
    await scene.must("NodePublishVolume", publishing()());
    await scene.must(
      "NodePublishVolume",
      publishing({ volume_id: "csi/shared", volume_capability: capability("SINGLE_NODE_MULTI_WRITER") }, "shared")(),
    );
    writeFileSync(path.join(at("db"), "file"), "content");
  });

  afterAll(() => scene?.close());

  describe.each([
    ["Identity", IDENTITY],
    ["CreateVolume", CREATE],
    ["Controller", CONTROLLER],
    ["Node", NODE],
  ])("%s", (_, rows) => {
    test.each(rows.map((one) => [one.call, one.what, one.status, one] as const))(
      "%s: %s is %s, ten times over",
      async (call, _what, status, one) => {
        const answers: Answer[] = [];
        for (let time = 0; time < TIMES; time += 1) answers.push(await scene.call(call, await one.request(scene)));
        for (const answer of answers) {
          expect(answer, answer.message).toMatchObject({
            status,
            details: 0,
            ...(one.value === undefined ? {} : { value: one.value }),
          });
          if (status !== "OK" && status !== "UNIMPLEMENTED")
            expect(answer.message).toMatch(one.message ?? /^Cannot .+: .+/);
        }
      },
    );
  });

  test("what was refused has changed nothing", async () => {
    expect(readFileSync(path.join(at("db"), "file"), "utf8")).toBe("content");
    const { entries } = await scene.must("ListVolumes");
    expect(entries.map(({ volume }: { volume: { volume_id: string } }) => volume.volume_id)).toEqual([
      "csi/db",
      "csi/free",
      "csi/shared",
    ]);
    expect(scene.mounts().toSorted()).toEqual([at("db"), at("second"), at("shared")].toSorted());
    expect(readFileSync(at("file"), "utf8")).toBe("mine");
    expect(scene.log()).not.toMatch(/"level":"error"/);
  });

  test("a target that somebody has mounted on is refused, and his mount stays", async () => {
    const target = at("mounted");
    mkdirSync(target);
    await run("mount", "-t", "tmpfs", "none", target);
    const fields = { volume_id: "csi/free", target_path: target, volume_capability: capability() };
    expect(await scene.call("NodePublishVolume", fields)).toMatchObject({
      status: "FAILED_PRECONDITION",
      message: expect.stringMatching(/mounted there already/),
    });
    expect(await scene.call("NodeUnpublishVolume", fields)).toMatchObject({ status: "OK" });
    expect(scene.mounts()).toContain(target);
    await run("umount", target);
    await scene.must("NodeUnpublishVolume", fields);
    expect(existsSync(target)).toBe(false);
  });

  test("a mount that somebody has taken away comes back with the same call", async () => {
    const target = at("db");
    await run("umount", target);
    expect(await scene.call("NodePublishVolume", publishing()())).toMatchObject({ status: "OK" });
    expect(readFileSync(path.join(target, "file"), "utf8")).toBe("content");
  });

  test("an exclusive volume whose mount somebody has taken away is free for another path", async () => {
    const fields = { volume_id: "csi/free", target_path: at("forgotten"), volume_capability: capability() };
    await scene.must("NodePublishVolume", fields);
    await run("umount", at("forgotten"));
    await scene.must("NodePublishVolume", { ...fields, target_path: at("next") });
    expect(scene.mounts()).toContain(at("next"));
    await scene.must("NodeUnpublishVolume", { ...fields, target_path: at("next") });
    await scene.must("NodeUnpublishVolume", fields);
  });

  test("a directory above the target may be a symlink, as kubelet's own root", async () => {
    const link = path.join(scene.place.dir, "kubelet");
    symlinkSync(path.dirname(at("linked")), link);
    const fields = { volume_id: "csi/free", target_path: path.join(link, "mount"), volume_capability: capability() };
    await scene.must("NodePublishVolume", fields);
    expect(scene.mounts()).toContain(at("linked"));
    await scene.must("NodePublishVolume", fields);
    await scene.restart();
    await scene.must("NodePublishVolume", fields);
    await scene.must("NodeUnpublishVolume", fields);
    expect(existsSync(at("linked"))).toBe(false);
  });

  test("read-only is kept by the kernel, whichever way it was asked for", async () => {
    const ways: readonly object[] = [
      { readonly: true, volume_capability: capability() },
      { volume_capability: capability("SINGLE_NODE_READER_ONLY") },
      { volume_capability: capability("SINGLE_NODE_WRITER", { mount_flags: ["ro", "nosuid", "nodev"] }) },
    ];
    for (const way of ways) {
      const fields = { volume_id: "csi/free", target_path: at("ro"), ...way };
      await scene.must("NodePublishVolume", fields);
      expect(() => writeFileSync(path.join(at("ro"), "x"), "")).toThrow(/EROFS/);
      await scene.must("NodeUnpublishVolume", fields);
    }
  });

  test("a volume mount group may write what is there and what comes", async () => {
    const fields = { volume_id: "csi/free", target_path: at("group"), volume_capability: capability() };
    await scene.must("NodePublishVolume", fields);
    writeFileSync(path.join(at("group"), "old"), "", { mode: 0o600 });
    await scene.must("NodeUnpublishVolume", fields);
    const grouped = { ...fields, volume_capability: capability("SINGLE_NODE_WRITER", { volume_mount_group: "4321" }) };
    await scene.must("NodePublishVolume", grouped);
    writeFileSync(path.join(at("group"), "new"), "");
    expect(statSync(at("group"))).toMatchObject({
      gid: 4321,
      mode: expect.toSatisfy((mode: number) => (mode & 0o2070) === 0o2070),
    });
    expect(statSync(path.join(at("group"), "old"))).toMatchObject({
      gid: 4321,
      mode: expect.toSatisfy((mode: number) => (mode & 0o060) === 0o060),
    });
    expect(statSync(path.join(at("group"), "new")).gid).toBe(4321);
    await scene.must("NodeUnpublishVolume", fields);
  });

  test("a busy volume is not taken away, and the refusal names the process", async () => {
    const sitter = run("sh", "-c", `cd ${at("db")} && sleep 1`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const answer = await scene.call("NodeUnpublishVolume", publishing()());
    expect(answer).toMatchObject({
      status: "FAILED_PRECONDITION",
      message: expect.stringMatching(/used by process \d+/),
    });
    await sitter;
    expect(readFileSync(path.join(at("db"), "file"), "utf8")).toBe("content");
  });

  test("a clone and a restored snapshot have the content, and stay what they are when asked again", async () => {
    for (const [name, source] of [
      ["clone", { volume: { volume_id: "csi/db" } }],
      ["restored", { snapshot: { snapshot_id: "csi/snap2" } }],
    ] as const) {
      await scene.must("CreateSnapshot", { source_volume_id: "csi/db", name: "snap2" });
      const fields = creating({ name, capacity_range: { required_bytes: 5 * MIB }, volume_content_source: source });
      for (let time = 0; time < TIMES; time += 1) {
        expect(await scene.must("CreateVolume", fields)).toMatchObject({
          volume: { volume_id: `csi/${name}`, capacity_bytes: String(5 * MIB), content_source: source },
        });
      }
      expect(
        await scene.call("CreateVolume", creating({ name, capacity_range: { required_bytes: 5 * MIB } })),
      ).toMatchObject({ status: "ALREADY_EXISTS" });
      const published = { volume_id: `csi/${name}`, target_path: at(name), volume_capability: capability() };
      await scene.must("NodePublishVolume", published);
      expect(readFileSync(path.join(at(name), "file"), "utf8")).toBe("content");
      await scene.must("NodeUnpublishVolume", published);
      await scene.must("DeleteVolume", { volume_id: `csi/${name}` });
    }
    await scene.must("DeleteSnapshot", { snapshot_id: "csi/snap2" });
  });

  test("an operator's volume is published and deleted like any other, and its reservation stays", async () => {
    const volume_id = await scene.createByOperator("eng/web", "pages");
    const fields = { volume_id, target_path: at("pages"), volume_capability: capability("SINGLE_NODE_MULTI_WRITER") };
    await scene.must("NodePublishVolume", fields);
    expect(await scene.call("NodePublishVolume", { ...fields, target_path: at("pages-2") })).toMatchObject({
      status: "FAILED_PRECONDITION",
    });
    await scene.must("NodeUnpublishVolume", fields);
    expect(
      await scene.must("ControllerExpandVolume", { volume_id, capacity_range: { required_bytes: 8 * MIB } }),
    ).toMatchObject({ capacity_bytes: String(8 * MIB) });
    await scene.must("DeleteVolume", { volume_id });
    expect(JSON.stringify(await scene.reserved())).toMatch(/"value":16/);
  });

  test("what is deleted is retained, and comes back with its content", async () => {
    const id = await scene.create("mistake");
    const fields = { volume_id: id, target_path: at("mistake"), volume_capability: capability() };
    await scene.must("NodePublishVolume", fields);
    writeFileSync(path.join(at("mistake"), "precious"), "data");
    await scene.must("NodeUnpublishVolume", fields);
    await scene.must("DeleteVolume", { volume_id: id });
    expect(await scene.call("NodePublishVolume", fields)).toMatchObject({ status: "NOT_FOUND" });
    const restored = await scene.restore("csi", "mistake");
    expect(readFileSync(path.join(restored.path, "precious"), "utf8")).toBe("data");
    await scene.must("NodePublishVolume", fields);
    await scene.must("NodeUnpublishVolume", fields);
    await scene.must("DeleteVolume", { volume_id: id });
  });

  test("an inline volume lives as long as its pod, and its attributes are checked", async () => {
    const context = { "csi.storage.k8s.io/ephemeral": "true", "csi.storage.k8s.io/pod.uid": "x", size: "8Mi" };
    const fields = {
      volume_id: `csi-${"a".repeat(64)}`,
      target_path: at("inline"),
      volume_capability: capability(),
      volume_context: context,
    };
    for (const volume_context of [
      { ...context, size: "much" },
      { ...context, colour: "red" },
    ]) {
      expect(await scene.call("NodePublishVolume", { ...fields, volume_context })).toMatchObject({
        status: "INVALID_ARGUMENT",
      });
    }
    expect(await scene.call("NodePublishVolume", { ...fields, volume_id: "db" })).toMatchObject({
      status: "ALREADY_EXISTS",
    });
    for (let time = 0; time < TIMES; time += 1) await scene.must("NodePublishVolume", fields);
    expect((await scene.volumes()).find(({ id }) => id === fields.volume_id)).toMatchObject({
      sizeMb: 8,
      state: "attached",
    });
    for (let time = 0; time < TIMES; time += 1) await scene.must("NodeUnpublishVolume", fields);
    expect((await scene.volumes()).find(({ id }) => id === fields.volume_id)).toMatchObject({ state: "retained" });
    expect(existsSync(fields.target_path)).toBe(false);
  });

  test("names that are no ids are volumes nevertheless, each its own", async () => {
    const names = ["a/b", "a\\b", "..", ".", "n".repeat(128), "тест".repeat(15), "line\nbreak", "🦀", "a b"];
    const ids = await Promise.all(names.map((name) => scene.create(name)));
    expect(new Set(ids).size).toBe(names.length);
    expect(await Promise.all(names.map((name) => scene.create(name)))).toEqual(ids);
    for (const volume_id of ids) {
      expect(Buffer.byteLength(volume_id)).toBeLessThanOrEqual(128);
      await scene.must("DeleteVolume", { volume_id });
    }
  });

  test("the pages of a list show every volume once, whatever comes and goes meanwhile", async () => {
    for (let number = 10; number < 20; number += 1) await scene.create(`page-${number}`);
    const seen: string[] = [];
    let token = "";
    do {
      const { entries, next_token } = await scene.must("ListVolumes", { max_entries: 3, starting_token: token });
      seen.push(...entries.map(({ volume }: { volume: { volume_id: string } }) => volume.volume_id));
      token = next_token;
      // The last one of the page goes, whose id the token is.
      if (token.startsWith("csi/page-")) await scene.must("DeleteVolume", { volume_id: token });
    } while (token !== "");
    expect(seen).toEqual([...new Set(seen)].toSorted());
    expect(seen.filter((id) => id.startsWith("csi/page-"))).toHaveLength(10);
    for (const volume_id of seen.filter((id) => id.startsWith("csi/page-")))
      await scene.must("DeleteVolume", { volume_id });
  });

  test("a caller that hangs up, or whose time is up, leaves what was or what will be", async () => {
    const fields = { volume_id: "csi/free", target_path: at("hung-up"), volume_capability: capability() };
    for (let round = 0; round < 20; round += 1) {
      for (const call of ["NodePublishVolume", "NodeUnpublishVolume"]) {
        await scene.client.hangUp(call, fields, round % 4);
        await expect.poll(async () => (await scene.call(call, fields)).status).toBe("OK");
        expect(scene.mounts().includes(at("hung-up"))).toBe(call === "NodePublishVolume");
      }
    }
    await scene.client.call("CreateVolume", creating({ name: "late" }), { deadline: Date.now() + 1 });
    await expect.poll(async () => (await scene.call("CreateVolume", creating({ name: "late" }))).status).toBe("OK");
    await scene.must("DeleteVolume", { volume_id: "csi/late" });
  });

  test("nothing is left when all is unpublished and deleted", async () => {
    await scene.clear();
    expect(scene.left()).toEqual({ mounts: [], entries: ["mount", "mount"] });
    expect(await scene.containers()).toEqual([]);
    expect((await scene.volumes("detached")).length + (await scene.volumes("attached")).length).toBe(0);
    expect(await scene.must("GetCapacity")).toMatchObject({ available_capacity: String((4096 - 16) * MIB) });
  });
});
