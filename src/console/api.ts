/** Asks the daemon, as the person whose credentials the browser has. */
import type { AppErrorJson } from "../faces/http/app-wire.ts";
import type { ErrorBody, VolumePageQuery, VolumesJson } from "../faces/http/wire.ts";

const ANSWER_MS_MAX = 20_000;

/** What the daemon said no to, in its words. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "Refusal";
    this.status = status;
  }
}

/** @throws `Refusal` what the daemon refuses; anything else when it does not answer */
export async function get<T>(path: string): Promise<T> {
  return takeFirst<T>(path) ?? call<T>("GET", path);
}

/** What the page brought along, once. */
function takeFirst<T>(path: string): T | undefined {
  const first = document.getElementById("first");
  first?.remove();
  return first?.dataset["path"] === path ? (JSON.parse(first.textContent) as T) : undefined;
}

/** Bodies are JSON, which no other page can send here without being asked first. */
export function send<T>(method: "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<T> {
  return call<T>(method, path, body);
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(path, {
    method,
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = jsonIn(text);
  if (response.ok) return json as T;
  throw new Refusal(response.status, reasonIn(json) ?? (text === "" ? `The daemon answered ${response.status}` : text));
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `{"error":{"message"}}` is ours, `{"message","details"}` Marathon's. */
function reasonIn(json: unknown): string | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const { error, message, details } = json as Partial<ErrorBody & AppErrorJson>;
  const places = details?.map(({ path, errors }) => `${path}: ${errors.join(", ")}`) ?? [];
  return places.length > 0 ? `${message}: ${places.join("; ")}` : (error?.message ?? message);
}

/** One page of volumes. */
export function getVolumes(query: VolumePageQuery): Promise<VolumesJson> {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  return get<VolumesJson>(`/v1/volumes?${new URLSearchParams(given.map(([key, value]) => [key, String(value)]))}`);
}

/** The path of a volume: its role may have slashes, its id anything. */
export function volumePath(role: string, id: string): string {
  return `/v1/volumes/${encodeURIComponent(role)}/${encodeURIComponent(id)}`;
}

/** The path of an app, whose id is a path itself. */
export function appPath(id: string): string {
  const segments = id.split("/").filter((segment) => segment !== "");
  return `/v2/apps/${segments.map(encodeURIComponent).join("/")}`;
}
