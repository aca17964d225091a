/**
 * How each kind of setting is written and what it becomes. Every rule fails with the same words for one kind, so that a
 * message can say `... is "x", expected <words>`.
 */
import { isIPv4, isIPv6 } from "node:net";
import { isAbsolute, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { HoldfastError } from "../domain/error.ts";
import { parseRole } from "../domain/names.ts";
import { parseHumanSize } from "../domain/size.ts";
import { toBytes, toMb } from "../domain/units.ts";
import { DURATION_FORM, parseDuration } from "./duration.ts";

/** Where a server listens. `port` 0 means a free one. */
export interface ListenAddress {
  /** An IP address without brackets, or a host name. */
  readonly host: string;
  readonly port: number;
}

/** `sockaddr_un.sun_path` is 108 bytes and ends with a zero. */
const SOCKET_PATH_BYTES_MAX = 107;

/** Timers of more than 24.8 days overflow and fire at once. */
const INTERVAL_MS_MAX = 21 * 86_400_000;
const INTERVAL_MS_MIN = 100;

/** A setting that `parse` turns from text into a value; `undefined` means that it is not what was expected. */
function fromText<T>(expected: string, parse: (text: string) => T | undefined) {
  return z.string({ error: expected }).transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: expected, input: text });
    return z.NEVER;
  });
}

export const absolutePath = fromText("an absolute path", parsePath);

/** Mesos also writes files as `file:///etc/x.json`. */
export const filePath = fromText("an absolute path", (text) =>
  text.startsWith("file:///") ? parseFileUrl(text) : parsePath(text),
);

export const socketPath = fromText(`an absolute path of at most ${SOCKET_PATH_BYTES_MAX} bytes`, (text) => {
  const path = parsePath(text);
  return path === undefined || Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX ? undefined : path;
});

export const listenAddress = fromText("HOST:PORT such as 127.0.0.1:5055 or [::1]:5055", parseListenAddress);

/** A name as the Host header has it, without a port, in lower case. */
export const hostName = fromText("a host name or IP address without a port", (text) => {
  const host = text.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return isHost(host) ? host : undefined;
});

/** Milliseconds; zero is fine. */
export const duration = fromText(DURATION_FORM, parseDuration);

/** Milliseconds between two rounds of something. */
export const interval = fromText("a duration between 100ms and 3w", (text) => {
  const intervalMs = parseDuration(text);
  return intervalMs !== undefined && intervalMs >= INTERVAL_MS_MIN && intervalMs <= INTERVAL_MS_MAX
    ? intervalMs
    : undefined;
});

export const role = fromText("a role such as ads or eng/web", (text) => accepted(() => parseRole(text)));

/** Also a value of topology, where Kubernetes wants it as its labels are. */
export const nodeName = fromText(
  "at most 63 letters, digits, -, _ and ., with a letter or digit at both ends",
  (text) => (/^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/i.test(text) ? text : undefined),
);

const SIZE_FORM = "a size such as 512M or 10G";

/** MB unless it has a unit; YAML reads one without a unit as a number. */
export const size = z.preprocess(
  (value) => (typeof value === "number" ? String(value) : value),
  fromText(SIZE_FORM, (text) => accepted(() => parseHumanSize(text))),
);

const EVENTS_MB_MIN = 1;
const EVENTS_MB_MAX = 1024 ** 2;

/** Bytes. */
export const eventsKept = z.preprocess(
  (value) => (typeof value === "number" ? String(value) : value),
  fromText("a size between 1M and 1T such as 64M", (text) => {
    const kept = accepted(() => parseHumanSize(text));
    if (kept === undefined || toMb(kept) < EVENTS_MB_MIN || toMb(kept) > EVENTS_MB_MAX) return undefined;
    return toBytes(kept);
  }),
);

/** Numbers of the kernel's project quotas, inclusive. */
export interface ProjectRange {
  readonly first: number;
  readonly last: number;
}

/** 0 is no project, and the kernel keeps the largest number for "none". */
const PROJECT_ID_MAX = 2 ** 32 - 2;

export const projectRange = fromText(`FIRST-LAST such as 2000000-2999999, within 1-${PROJECT_ID_MAX}`, (text) => {
  const [, first, last] = /^([1-9]\d{0,9})-([1-9]\d{0,9})$/.exec(text)?.map(Number) ?? [];
  if (first === undefined || last === undefined) return undefined;
  return first <= last && last <= PROJECT_ID_MAX ? { first, last } : undefined;
});

const FRACTION_FORM = "a number between 0 and 1";
const fractionNumber = z.number({ error: FRACTION_FORM }).min(0, FRACTION_FORM).max(1, FRACTION_FORM);

/** A number, or its text on the command line. */
export const fraction = z.preprocess(
  (value) => (typeof value === "string" && /^\d{1,3}(\.\d{1,15})?$/.test(value) ? Number(value) : value),
  fractionNumber,
);

const SPARES_MAX = 100_000;
const SPARES_FORM = `a whole number up to ${SPARES_MAX}`;

/** A number, or its text on the command line. */
export const spares = z.preprocess(
  (value) => (typeof value === "string" && /^\d{1,6}$/.test(value) ? Number(value) : value),
  z.number({ error: SPARES_FORM }).int(SPARES_FORM).min(0, SPARES_FORM).max(SPARES_MAX, SPARES_FORM),
);

const RESOURCES_FORM = "Mesos's text form such as disk(ads):2048;disk(*):8192, or a list of JSON resources";

/** Text as the parser of resources takes it; a list written in YAML becomes its JSON. */
export const resources = z.preprocess(
  (value) => (Array.isArray(value) ? JSON.stringify(value) : value),
  z.string({ error: RESOURCES_FORM }).min(1, RESOURCES_FORM),
);

export const selinuxLabel = fromText("auto, none, or a label such as system_u:object_r:container_file_t:s0", (text) =>
  /^(?:auto|none|[\w.-]+:[\w.-]+:[\w.-]+(?::[\w.:,-]+)?)$/.test(text) ? text : undefined,
);

/** A list without repetitions; a single value stands for a list of one. */
export function listOf<T extends z.ZodType>(item: T, expected: string) {
  return z.preprocess(
    (value) => (typeof value === "string" ? [value] : value),
    z.array(item, { error: expected }).transform((items) => [...new Set(items)]),
  );
}

/** One of a few words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(words: Words) {
  return z.enum(words, { error: `one of ${words.join(", ")}` });
}

/** What a parser of the domain makes of a text; `undefined` when it refuses. */
function accepted<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof HoldfastError) return undefined;
    throw error;
  }
}

function parsePath(text: string): string | undefined {
  if (!isAbsolute(text) || !isClean(text)) return undefined;
  const path = normalize(text);
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

function parseFileUrl(text: string): string | undefined {
  try {
    return parsePath(fileURLToPath(text));
  } catch {
    return undefined;
  }
}

/** Without control characters and lone surrogates, which no file name keeps. */
function isClean(text: string): boolean {
  return text.isWellFormed() && !/\p{Cc}/u.test(text);
}

function parseListenAddress(text: string): ListenAddress | undefined {
  const [, bracketed, plain, portText] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(portText);
  if (host === undefined || port > 65_535) return undefined;
  const fits = bracketed === undefined ? !isIPv6(host) && isHost(host) : isIPv6(host);
  return fits ? { host, port } : undefined;
}

const HOST_NAME = /^(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*$/i;

function isHost(host: string): boolean {
  if (isIPv4(host) || isIPv6(host)) return true;
  // What ends in digits only is a mistyped IPv4 address.
  return host.length <= 253 && HOST_NAME.test(host) && !/(^|\.)\d+$/.test(host);
}
