/**
 * The names of stateful apps, as Marathon makes them: an app is a path, an instance is its task id, and a volume's
 * persistence id says whose it is: `/sesame/samson`, `sesame_samson.<uuid>`, `sesame_samson#data#<uuid>`.
 */
import type { AppId, ContainerPath, InstanceId, VolumeId } from "./units.ts";

/** What an app's id may be: so much of a persistence id is left for it beside the longest uuid and a path. */
const ID_CHARACTERS_MAX = 160;

const SEGMENT = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const TASKS = "tasks";
/** An app of this name could not be told from what is asked about the one above it. */
const RESERVED: ReadonlySet<string> = new Set(["restart", TASKS, "versions"]);

const MUST_MATCH =
  "must fully match regular expression " +
  "'^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$'";

/** An app's id, or why it is none, in Marathon's words. A relative one is below the root. */
export function readAppId(value: unknown): { readonly id: AppId } | { readonly error: string } {
  if (value === undefined) return { error: "error.path.missing" };
  if (typeof value !== "string") return { error: "error.expected.jsstring" };
  const text = value.replace(/^\//, "").replace(/\/$/, "");
  if (text === "") return { error: "Path must contain at least one path element" };
  if (text.length > ID_CHARACTERS_MAX) return { error: `must be at most ${ID_CHARACTERS_MAX} characters long` };
  const segments = text.split("/");
  if (!segments.every((segment) => segment.split(".").every((part) => SEGMENT.test(part)))) {
    return { error: MUST_MATCH };
  }
  if (RESERVED.has(segments.at(-1) ?? "")) {
    return { error: `must not end with any of the following reserved keywords: ${[...RESERVED].join(", ")}, ., ..` };
  }
  // `/a/tasks/b` is where `/a` has its instance b.
  if (segments.length > 2 && segments.at(-2) === TASKS)
    return { error: `must not have ${TASKS} before its last element` };
  return { id: `/${text}` as AppId };
}

/** No segment has an underscore, so that no two apps share a name on disk. */
function safePath(app: AppId): string {
  return app.slice(1).replaceAll("/", "_");
}

export function instanceId(app: AppId, uuid: string): InstanceId {
  return `${safePath(app)}.${uuid}` as InstanceId;
}

export function persistenceId(app: AppId, containerPath: ContainerPath, uuid: string): VolumeId {
  return `${safePath(app)}#${containerPath}#${uuid}` as VolumeId;
}

/** The part of a persistence id that tells it from the same volume of other instances. */
export function uuidOf(id: VolumeId): string {
  return id.slice(id.lastIndexOf("#") + 1);
}
