/**
 * Every parser that reads what strangers, people or disks wrote. Each takes an input of its kind and throws a string when
 * what it returns is not what its type promises; refusals are the runner's to judge.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { parseBasicHeader } from "../../../src/auth/basic-header.ts";
import { parseCredentials } from "../../../src/auth/credentials.ts";
import { readJsonText } from "../../../src/auth/json-text.ts";
import { parseHashedSecret } from "../../../src/auth/scrypt.ts";
import { parseDuration } from "../../../src/config/duration.ts";
import { loadSettings } from "../../../src/config/settings.ts";
import { parseAcls } from "../../../src/domain/acl.ts";
import { parseAppDefinition } from "../../../src/domain/app-definition.ts";
import { persistenceId } from "../../../src/domain/app-id.ts";
import { containerOf } from "../../../src/domain/container-of-cgroup.ts";
import { parseDeclaredResources } from "../../../src/domain/declared.ts";
import { parseObject } from "../../../src/domain/json.ts";
import { parseResource } from "../../../src/domain/mesos-format.ts";
import {
  parseContainerId,
  parseContainerPath,
  parseIncarnation,
  parsePrincipal,
  parseRole,
  parseVolumeId,
} from "../../../src/domain/names.ts";
import { parsePathPattern } from "../../../src/domain/path-pattern.ts";
import { TABLES } from "../../../src/domain/records.ts";
import type { DiskResource } from "../../../src/domain/resource.ts";
import { parseHumanSize, parseSizeMb } from "../../../src/domain/size.ts";
import { parseHook, parseWish } from "../../../src/faces/agent-socket/oci-hook.ts";
import { parseDockerName } from "../../../src/faces/docker-plugin/names.ts";
import { parseForm } from "../../../src/faces/http/form.ts";
import { hostGuard } from "../../../src/faces/http/host.ts";
import { parseJson } from "../../../src/faces/http/json.ts";
import { parseOperations } from "../../../src/faces/http/operations.ts";
import { parseMountTable } from "../../../src/host/mount-table.ts";
import { handedListeners, noticeText, watchdogMs } from "../../../src/host/systemd.ts";
import { decodeNodeLabel, decodeVolumeLabel } from "../../../src/store/label.ts";
import { parseHeader, parseLabelledThrough, parseRecord } from "../../../src/store/schema.ts";
import type { Chance } from "../../simulation/chance.ts";
import { mutateBytes, mutateText, mutateValue, strangeValue } from "./mutate.ts";
import * as samples from "./samples.ts";

export interface Target {
  readonly name: string;
  /** Makes an input; what it is called with later must not depend on anything else. */
  readonly input: (chance: Chance) => unknown;
  readonly read: (input: never) => void;
  /** Codes that it may refuse with. */
  readonly codes: readonly string[];
  /** How long it may take. */
  readonly msMax: number;
}

interface Limits {
  readonly codes?: readonly string[];
  readonly msMax?: number;
}

const MS_MAX = 100;
const UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

/** The parser of YAML is another's, and slow with what is nested or long; it is read once. */
const SETTINGS_MS_MAX = 2_000;
const MEMORY = "/dev/shm";

function target<Input>(
  name: string,
  input: (chance: Chance) => Input,
  read: (input: Input) => void,
  { codes = ["invalid"], msMax = MS_MAX }: Limits = {},
): Target {
  return { name, input, read, codes, msMax };
}

function texts(valid: readonly string[]): (chance: Chance) => string {
  return (chance) => mutateText(chance.pick(valid), valid, chance);
}

/** JSON with strange values in it, or strange text that was JSON. */
function jsonTexts(valid: readonly unknown[]): (chance: Chance) => string {
  return (chance) => {
    const value = chance.pick(valid);
    const text = JSON.stringify(chance.percent(70) ? mutateValue(value, chance) : value) ?? "";
    return chance.percent(50) ? mutateText(text, [], chance) : text;
  };
}

function values(valid: readonly unknown[]): (chance: Chance) => unknown {
  return (chance) => (chance.percent(10) ? strangeValue(chance) : mutateValue(chance.pick(valid), chance));
}

function strings(valid: readonly string[]): (chance: Chance) => unknown {
  const text = texts(valid);
  return (chance) => (chance.percent(5) ? strangeValue(chance) : text(chance));
}

function promise(holds: boolean, what: string): void {
  if (!holds) throw `it returns ${what}`;
}

function wholeSize(size: number): void {
  promise(Number.isSafeInteger(size) && size > 0, `a size of ${size}`);
}

function soundResource({ size, reservations, source, volume }: DiskResource): void {
  wholeSize(size);
  promise(
    reservations.every(({ role }) => typeof role === "string" && role !== "*" && !/[\p{Cc} ]/u.test(role)),
    "a role that is none",
  );
  promise(source.type === "ROOT" || source.root.startsWith("/"), "a source that is none");
  promise(volume === undefined || !/[/\\\p{Cc}]/u.test(volume.id), "a volume id that is none");
}

function soundName(name: string, other: RegExp): void {
  promise(
    name !== "" && name.isWellFormed() && !/\p{Cc}/u.test(name) && !other.test(name),
    `the name ${JSON.stringify(name)}`,
  );
  promise(Buffer.byteLength(name) <= 255, "a name that is too long");
}

function readSettings(bytes: Buffer): void {
  const directory = mkdtempSync(join(MEMORY, "holdfast-settings-"));
  try {
    const file = join(directory, "holdfast.yaml");
    writeFileSync(file, bytes);
    const { listen, gcHeadroom, gcDelayMs, gcIntervalMs, workRoot } = loadSettings({ file, flags: {} });
    promise(workRoot.startsWith("/") && !workRoot.includes("\0"), "a work root that is none");
    promise(Number.isInteger(listen.port) && listen.port >= 0 && listen.port < 65_536, "a port that is none");
    promise(gcHeadroom >= 0 && gcHeadroom <= 1, "a fraction that is none");
    promise(Number.isSafeInteger(gcDelayMs) && Number.isSafeInteger(gcIntervalMs), "a duration that is none");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function readJsonFileText<Value>(parse: (value: unknown) => Value): (text: string) => void {
  return (text) => {
    const reading = readJsonText(text);
    if ("value" in reading) parse(reading.value);
    else
      promise(
        reading.fault.line >= 1 && reading.fault.column >= 1 && reading.fault.reason.length < 200,
        "a fault without a place",
      );
  };
}

/** With the checksum that it should have. */
function seal(bytes: Buffer): Buffer {
  const text = bytes.toString("utf8").replace(/crc32 [0-9a-f]{8}\n$/, "");
  return Buffer.from(`${text}crc32 ${crc32(text).toString(16).padStart(8, "0")}\n`);
}

function labels(chance: Chance): Buffer {
  const bytes = chance.pick(samples.LABELS);
  if (chance.percent(30)) return mutateBytes(bytes, chance);
  const text = bytes.toString("utf8").replace(/crc32 [0-9a-f]{8}\n$/, "");
  const json = chance.percent(60)
    ? JSON.stringify(mutateValue(JSON.parse(text), chance))
    : mutateText(text, [], chance);
  return seal(Buffer.from(json ?? ""));
}

function readRow(json: string): void {
  for (const table of TABLES) {
    const parsed = parseRecord(table, json);
    promise(parsed.ok || parsed.reason.length < MESSAGE_CHARACTERS_MAX, "a reason without end");
  }
}

/** What is said of an input is not as long as the input. */
export const MESSAGE_CHARACTERS_MAX = 2_000;

const hostIsOurs = hostGuard(["node.example"]);

export const TARGETS: readonly Target[] = [
  target(
    "mountinfo",
    texts(samples.MOUNT_TABLE),
    (text) => {
      for (const entry of parseMountTable(text)) {
        const { mountId, parentId, propagation, root, mountPoint } = entry;
        promise([mountId, parentId].every(Number.isSafeInteger), "a mount id that is none");
        promise(
          [propagation.shared ?? 0, propagation.master ?? 0].every(Number.isSafeInteger),
          "a peer group that is none",
        );
        promise(root instanceof Buffer && mountPoint instanceof Buffer, "a path that is none");
      }
    },
    { codes: ["internal"] },
  ),
  target("declared resources", texts(samples.DECLARED), (text) =>
    parseDeclaredResources(text).disks.forEach(soundResource),
  ),
  target("declared resources in JSON", jsonTexts([samples.RESOURCES]), (text) =>
    parseDeclaredResources(text).disks.forEach(soundResource),
  ),
  target(
    "configuration",
    (chance) =>
      chance.percent(20)
        ? mutateBytes(Buffer.from(chance.pick(samples.SETTINGS)), chance)
        : Buffer.from(mutateText(chance.pick(samples.SETTINGS), samples.SETTINGS, chance)),
    readSettings,
    { msMax: SETTINGS_MS_MAX },
  ),
  target("volume labels", labels, (bytes) => wholeSize(decodeVolumeLabel(bytes).size || 1), { codes: ["damaged"] }),
  target("node labels", labels, (bytes) => promise(typeof decodeNodeLabel(bytes).agentId === "string", "no agent id"), {
    codes: ["damaged"],
  }),
  target("rows", jsonTexts(Object.values(samples.ROWS)), readRow),
  target("header rows", texts(["agent", "1763817000000", "12"]), (text) => {
    const rows = new Map([
      ["agentId", text],
      ["createdAt", text],
      ["labelledThrough", text],
    ]);
    const header = parseHeader(rows);
    promise(!header.ok || Number.isSafeInteger(header.value.createdAt), "a header that is none");
    promise(Number.isSafeInteger(parseLabelledThrough(rows)), "a revision that is none");
  }),
  target(
    "credentials",
    jsonTexts(samples.CREDENTIALS.map((text) => JSON.parse(text))),
    readJsonFileText((value) => parseCredentials(value, "FILE")),
  ),
  target(
    "ACLs",
    jsonTexts(samples.ACLS.map((text) => JSON.parse(text))),
    readJsonFileText((value) => parseAcls(value)),
  ),
  target("hashed secrets", texts([`scrypt$15$8$1$${"A".repeat(22)}==$${"B".repeat(43)}=`]), (text) =>
    parseHashedSecret(text),
  ),
  target("hook states", values(samples.STATES), (value) => parseHook("createRuntime", value)),
  target("hook states in JSON", jsonTexts(samples.STATES), (text) =>
    parseHook("createRuntime", parseJson(text, "the body")),
  ),
  target("bundles", jsonTexts(samples.BUNDLES), (config) => {
    const wish = parseWish({ container: "c" as never, pid: 1, bundle: "/b", annotations: {} }, config);
    promise(wish === undefined || (wish.rootfs.startsWith("/") && wish.volumes.length > 0), "a wish that is none");
  }),
  target("annotations", texts(['[{"role":"ads","id":"db","containerPath":"data"}]']), (volumes) =>
    parseWish({ container: "c" as never, pid: 1, bundle: "/b", annotations: { volumes } }, '{"root":{"path":"r"}}'),
  ),
  target("operations", values([samples.OPERATIONS]), (value) =>
    parseOperations(Array.isArray(value) ? value : [value]),
  ),
  target("operations in JSON", jsonTexts([samples.OPERATIONS]), (text) =>
    parseOperations([parseJson(text, "the body")].flat()),
  ),
  target("app definitions", values(samples.APPS), (value) => {
    const { id, volumes, instances } = parseAppDefinition(parseObject(value, "the app"));
    for (const { containerPath, size } of volumes) {
      soundName(parseVolumeId(persistenceId(id, containerPath, UUID)), /[/\\]/);
      wholeSize(size);
    }
    promise(instances >= 0 && volumes.length > 0, "an app without volumes");
  }),
  target("path patterns", texts(samples.PATTERNS), (text) => void parsePathPattern(text)?.("/mnt/ssd-1/ssd-2/ssd-3")),
  target("resources", values(samples.RESOURCES), (value) => soundResource(parseResource(value, "the resource"))),
  target("forms", texts(samples.FORMS), (text) => promise(parseForm(text) instanceof Map, "no form")),
  target("roles", strings(samples.NAMES), (text) => soundName(parseRole(text), /^\*$| |^-|\/\/|^\/|\/$/)),
  target("volume ids", strings(samples.NAMES), (text) => soundName(parseVolumeId(text), /[/\\]|^\.{1,2}$/)),
  target("container paths", strings(samples.NAMES), (text) => soundName(parseContainerPath(text), /\/|^\.{1,2}$/)),
  target("container ids", strings(samples.NAMES), (text) => soundName(parseContainerId(text), /\//)),
  target("principals", strings(samples.NAMES), (text) => promise(parsePrincipal(text) !== "", "nobody")),
  target("incarnations", strings(samples.NAMES), (text) => promise(parseIncarnation(text).length === 36, "no UUID")),
  target("Docker's names", texts(samples.NAMES), (text) => soundName(parseDockerName(text).id, /[/\\]/)),
  target("sizes", strings(samples.SIZES), (text) => wholeSize(parseHumanSize(text))),
  target("sizes in MB", strings(samples.SIZES), (text) => wholeSize(parseSizeMb(text, "the size"))),
  target("durations", texts(samples.DURATIONS), (text) =>
    promise(Number.isSafeInteger(parseDuration(text) ?? 0), "a duration that is none"),
  ),
  target("Authorization", texts(samples.HEADERS), (text) => parseBasicHeader(text)),
  target("Host and Origin", texts(samples.HEADERS), (text) => hostIsOurs({ host: text, origin: text }), {
    codes: ["misdirected"],
  }),
  target("control groups", texts(samples.CGROUPS), (text) => containerOf(text)),
  target("the service manager's variables", texts(["1000", "3", "a:b::c"]), (text) => {
    const environment = { LISTEN_PID: "7", LISTEN_FDS: text, LISTEN_FDNAMES: text, WATCHDOG_USEC: text };
    promise(
      handedListeners(environment, 7).size < 10_000 && (watchdogMs(environment, 7) ?? 0) >= 0,
      "a variable that is none",
    );
    promise(!/\n/.test(noticeText({ STATUS: text })), "a second line");
  }),
];
