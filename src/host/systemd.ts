/**
 * What the service manager and the daemon tell each other, by systemd's three small protocols: readiness, status and
 * signs of life as datagrams to `$NOTIFY_SOCKET`, how often those are wanted, and sockets that were opened beforehand.
 * All of it comes in the environment, and is meant for this process and none that it starts.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { sendDatagram } from "./syscalls.ts";

type Environment = Record<string, string | undefined>;

export interface ServiceManager {
  /** Sends `STATUS=...` and its like; without a service manager nothing happens. @throws `SystemCallError` */
  notify(fields: Notice): void;
  /** How long it waits for a sign of life; `undefined` when it waits for none. */
  readonly watchdogMs: number | undefined;
  /** Listening sockets, by the names of their units' `FileDescriptorName`. */
  readonly listeners: ReadonlyMap<string, number>;
}

/** Names as sd_notify(3) has them. */
export interface Notice {
  readonly READY?: "1";
  readonly RELOADING?: "1";
  readonly STOPPING?: "1";
  readonly WATCHDOG?: "1";
  /** One line for `systemctl status`. */
  readonly STATUS?: string;
}

const FIRST_FD = 3;
const VARIABLES = [
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "WATCHDOG_PID",
  "LISTEN_PID",
  "LISTEN_FDS",
  "LISTEN_FDNAMES",
] as const;

/** Reads what this process was given, and takes it out of the environment. */
export function takeServiceManager(environment: Environment, pid: number): ServiceManager {
  const given = Object.fromEntries(VARIABLES.map((name) => [name, environment[name]]));
  for (const name of VARIABLES) delete environment[name];
  const socket = given["NOTIFY_SOCKET"];
  return {
    notify: (fields) => {
      if (socket !== undefined && socket !== "") sendDatagram(socket, noticeText(fields));
    },
    watchdogMs: watchdogMs(given, pid),
    listeners: handedListeners(given, pid),
  };
}

/** One field a line; a line break in a value would begin another field. */
export function noticeText(fields: Notice): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value.replaceAll(/\s+/g, " ")}`)
    .join("\n");
}

/** `undefined` when no watchdog waits, or it waits for another process. */
export function watchdogMs(environment: Environment, pid: number): number | undefined {
  const { WATCHDOG_USEC: period = "", WATCHDOG_PID: owner } = environment;
  if (owner !== undefined && owner !== String(pid)) return undefined;
  return /^[1-9]\d{0,15}$/.test(period) ? Math.floor(Number(period) / 1000) : undefined;
}

/** Descriptors by name; empty when there are none or they are for another process. The first of a name counts. */
export function handedListeners(environment: Environment, pid: number): ReadonlyMap<string, number> {
  const { LISTEN_PID: owner, LISTEN_FDS: count = "", LISTEN_FDNAMES: names = "" } = environment;
  const listeners = new Map<string, number>();
  if (owner !== String(pid) || !/^[1-9]\d{0,3}$/.test(count)) return listeners;
  for (const [index, name] of names.split(":").slice(0, Number(count)).entries()) {
    if (name !== "" && !listeners.has(name)) listeners.set(name, FIRST_FD + index);
  }
  return listeners;
}

/** Where a Unix socket that was handed over listens; `undefined` when it is none or has no path. */
export function unixPathOf(fd: number): string | undefined {
  const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  const fields = listUnixSockets().find((socket) => socket[INODE] === inode);
  return fields?.slice(PATH).join(" ") || undefined;
}

/** Columns of /proc/net/unix. */
const [INODE, PATH] = [6, 7] as const;

function listUnixSockets(): string[][] {
  return tableRows("/proc/net/unix");
}

/** Whether the machine's first process listens on a TCP port: for a service that need not run yet. */
export function isPortOfServiceManager(port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const listening = ["/proc/net/tcp", "/proc/net/tcp6"]
    .flatMap((table) => (existsSync(table) ? tableRows(table) : []))
    .filter((fields) => fields[TCP_STATE] === TCP_LISTEN && fields[TCP_LOCAL]?.endsWith(suffix))
    .map((fields) => `socket:[${fields[TCP_INODE]}]`);
  return listening.length > 0 && filesOf(1).some((file) => listening.includes(file));
}

/** Columns of /proc/net/tcp. */
const [TCP_LOCAL, TCP_STATE, TCP_INODE] = [1, 3, 9] as const;
const TCP_LISTEN = "0A";

/** What a process has open, as far as we may know. */
function filesOf(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).flatMap((fd) => linkAt(`${directory}/${fd}`) ?? []);
  } catch {
    return [];
  }
}

function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function tableRows(path: string): string[][] {
  const [, ...lines] = readFileSync(path, "utf8").split("\n");
  // Numbers are padded with blanks.
  return lines.map((line) => line.trimStart().split(/ +/));
}
