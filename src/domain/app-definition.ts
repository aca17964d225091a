/**
 * Marathon's app definitions: what concerns volumes is validated as Marathon does, everything else is kept and shown.
 * An update names the fields that change; of an app that has volumes, most may not.
 */
import { notValid, type Violation } from "./app-error.ts";
import { readAppId } from "./app-id.ts";
import { readAppVolumes, showAppVolume, volumeKey } from "./app-volume.ts";
import { codeOf } from "./error.ts";
import { fieldOf, type JsonObject } from "./json.ts";
import { parseRole } from "./names.ts";
import type { AppRecord, AppVolume, Residency } from "./records.ts";
import type { AppId, Role } from "./units.ts";

/** An app as it is asked for. */
export interface AppDefinition {
  readonly id: AppId;
  readonly role: Role;
  readonly instances: number;
  readonly volumes: readonly AppVolume[];
  readonly residency: Residency;
  /** As it is shown, without `instances`. */
  readonly shown: JsonObject;
}

/** Of an app that names none: what Marathon calls itself where `--mesos_role` is not set. */
const DEFAULT_ROLE = "marathon";
const DEFAULT_RESIDENCY: Residency = { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 };

/** So many volumes are made at once at most. */
const VOLUMES_MAX = 10_000;

/** Told by Marathon, and sent back by clients that change one field of what they got. */
const TOLD: ReadonlySet<string> = new Set([
  "deployments",
  "instances",
  "lastTaskFailure",
  "readinessCheckResults",
  "tasks",
  "tasksHealthy",
  "tasksRunning",
  "tasksStaged",
  "tasksUnhealthy",
  "version",
  "versionInfo",
]);

/** What an app that has volumes needs; it stays as it was. */
const RESOURCES = ["cpus", "mem", "disk", "gpus"] as const;

/** @throws `invalid` with every violation */
export function parseAppDefinition(json: JsonObject): AppDefinition {
  const found: Violation[] = [];
  const id = readAppId(fieldOf(json, "id"));
  if ("error" in id) found.push({ path: "/id", error: id.error });
  const role = readRole(fieldOf(json, "role"), found);
  const instances = readInstances(fieldOf(json, "instances"), found);
  const volumes = readContainer(fieldOf(json, "container"), found);
  const residency = readResidency(fieldOf(json, "residency"), found);
  checkStrategies(json, found);
  if (volumes.length * instances > VOLUMES_MAX) {
    const most = Math.floor(VOLUMES_MAX / volumes.length);
    found.push({ path: "/instances", error: `got ${instances}, expected ${most} or less` });
  }
  if (found.length > 0 || "error" in id) throw notValid(found);
  return { id: id.id, role, instances, volumes, residency, shown: show(json, { id: id.id, role, residency }) };
}

/** An app's definition with the fields that an update names in place of its own. */
export function mergeDefinition(before: AppRecord, asked: JsonObject): JsonObject {
  const own = JSON.parse(before.definition) as JsonObject;
  return { ...own, instances: before.instances, ...withoutNulls(asked), id: before.id };
}

/**
 * What may not change, in Marathon's words.
 * @throws `invalid`
 */
export function requireAllowedChange(before: AppRecord, after: AppDefinition): void {
  const errors: string[] = [];
  if (!hasSameVolumes(before, after)) errors.push("Persistent volumes can not be changed!");
  const own = JSON.parse(before.definition) as JsonObject;
  const isSame = (field: string) =>
    JSON.stringify(fieldOf(own, field) ?? null) === JSON.stringify(fieldOf(after.shown, field) ?? null);
  if (before.rebuilt !== true && !RESOURCES.every(isSame)) {
    errors.push("Resident Tasks may not change resource requirements!");
  }
  if (after.role !== before.role) errors.push("Resident Tasks may not change their role!");
  if (errors.length > 0) throw notValid(errors.map((error) => ({ path: "/", error })));
}

/** Of a rebuilt app only what the labels said is known of its volumes. */
function hasSameVolumes(before: AppRecord, after: AppDefinition): boolean {
  const key = (volume: AppVolume): string => {
    const { containerPath, type, size } = volume;
    return before.rebuilt === true
      ? JSON.stringify([containerPath, type, type === "MOUNT" ? 0 : size])
      : volumeKey(volume);
  };
  const keys = ({ volumes }: Pick<AppRecord, "volumes">) => volumes.map(key).sort().join();
  return keys(before) === keys(after);
}

function readRole(value: unknown, found: Violation[]): Role {
  if (value === "*") found.push({ path: "/role", error: 'Resident apps cannot have the role "*"' });
  else {
    try {
      return parseRole(value ?? DEFAULT_ROLE);
    } catch (error) {
      if (codeOf(error) !== "invalid") throw error;
      found.push({ path: "/role", error: "must be a role of Mesos" });
    }
  }
  return DEFAULT_ROLE as Role;
}

function readInstances(value: unknown, found: Violation[]): number {
  if (value === undefined) return 1;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    found.push({ path: "/instances", error: "error.expected.jsnumber" });
    return 1;
  }
  if (value < 0) found.push({ path: "/instances", error: `got ${value}, expected 0 or more` });
  return value;
}

function readContainer(value: unknown, found: Violation[]): readonly AppVolume[] {
  const before = found.length;
  const volumes = isObject(value) ? fieldOf(value, "volumes") : value;
  if (volumes !== undefined && !Array.isArray(volumes)) {
    const path = isObject(value) ? "/container/volumes" : "/container";
    found.push({ path, error: isObject(value) ? "error.expected.jsarray" : "error.expected.jsobject" });
    return [];
  }
  const read = readAppVolumes(volumes ?? [], found);
  if (read.length === 0 && found.length === before) {
    found.push({ path: "/", error: "AppDefinition must contain persistent volumes and define residency" });
  }
  return read;
}

function readResidency(value: unknown, found: Violation[]): Residency {
  if (value === undefined) return DEFAULT_RESIDENCY;
  if (!isObject(value)) {
    found.push({ path: "/residency", error: "error.expected.jsobject" });
    return DEFAULT_RESIDENCY;
  }
  const taskLostBehavior = fieldOf(value, "taskLostBehavior") ?? DEFAULT_RESIDENCY.taskLostBehavior;
  const seconds =
    fieldOf(value, "relaunchEscalationTimeoutSeconds") ?? DEFAULT_RESIDENCY.relaunchEscalationTimeoutSeconds;
  if (taskLostBehavior !== "WAIT_FOREVER" && taskLostBehavior !== "RELAUNCH_AFTER_TIMEOUT") {
    const error = "expected one of WAIT_FOREVER, RELAUNCH_AFTER_TIMEOUT";
    found.push({ path: "/residency/taskLostBehavior", error });
    return DEFAULT_RESIDENCY;
  }
  if (typeof seconds !== "number" || !Number.isSafeInteger(seconds)) {
    found.push({ path: "/residency/relaunchEscalationTimeoutSeconds", error: "error.expected.jsnumber" });
    return DEFAULT_RESIDENCY;
  }
  if (seconds < 0) {
    const error = `got ${seconds}, expected 0 or more`;
    found.push({ path: "/residency/relaunchEscalationTimeoutSeconds", error });
  }
  return { taskLostBehavior, relaunchEscalationTimeoutSeconds: seconds };
}

function checkStrategies(json: JsonObject, found: Violation[]): void {
  const unreachable = fieldOf(json, "unreachableStrategy");
  if (unreachable !== undefined && unreachable !== "disabled") {
    found.push({ path: "/unreachableStrategy", error: "unreachableStrategy must be disabled for resident tasks" });
  }
  const upgrade = fieldOf(json, "upgradeStrategy");
  if (!isObject(upgrade)) return;
  const least = fieldOf(upgrade, "minimumHealthCapacity") ?? 0.5;
  if (typeof least !== "number" || least < 0 || least > 1) {
    found.push({ path: "/upgradeStrategy/minimumHealthCapacity", error: "expected between 0.0 and 1.0" });
  }
  const most = fieldOf(upgrade, "maximumOverCapacity") ?? 0;
  if (most !== 0) found.push({ path: "/upgradeStrategy/maximumOverCapacity", error: "expected 0.0 of a resident app" });
}

/** With what was left out filled in, and without what is told and not asked for. */
function show(json: JsonObject, known: Pick<AppDefinition, "id" | "role" | "residency">): JsonObject {
  const kept = Object.entries(withoutNulls(json)).filter(([name]) => !TOLD.has(name));
  const container = fieldOf(json, "container") as JsonObject;
  const volumes = (fieldOf(container, "volumes") as readonly JsonObject[]).map(showVolume);
  const upgrade = fieldOf(json, "upgradeStrategy");
  return {
    ...Object.fromEntries(kept),
    ...known,
    container: { ...container, volumes },
    upgradeStrategy: { minimumHealthCapacity: 0.5, maximumOverCapacity: 0, ...(isObject(upgrade) ? upgrade : {}) },
    unreachableStrategy: "disabled",
  };
}

function showVolume(volume: JsonObject): JsonObject {
  const [read] = readAppVolumes([volume], []);
  return read === undefined ? volume : showAppVolume(read);
}

function withoutNulls(json: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
