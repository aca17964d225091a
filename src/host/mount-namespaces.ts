/**
 * The mount table of every mount namespace that some process lives in. A namespace is told by its link in /proc; where
 * that cannot be read, by the first mount of its table, because no two namespaces share a mount id.
 *
 * Not seen: a namespace that no process lives in, kept by a bind of its link alone; and mounts outside the root of a
 * namespace whose every process is chrooted.
 */
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { errnoOf } from "./disk-error.ts";
import { describeProcess, directoryOf, isKernelThread, linkOf, otherProcesses, otherThreads } from "./processes.ts";
import { AT, geteuid, statx } from "./syscalls.ts";

export interface NamespaceTable {
  /** The kernel's number of the namespace, "unknown" where it does not tell, "host" for the daemon's own. */
  readonly namespace: string;
  /** A process that lives there. */
  readonly pid: number;
  /** Its mount table as the kernel writes it, one character a byte. */
  readonly text: string;
}

/** The daemon's own. */
export function ownTable(): NamespaceTable {
  return { namespace: "host", pid: process.pid, text: readTable("/proc/self") };
}

/** The ids of its mounts. */
export function idsIn({ text }: NamespaceTable): ReadonlySet<string> {
  return new Set(Array.from(text.matchAll(/^\d+/gm), ([id]) => id));
}

/**
 * The one that a process sees now.
 * @throws `unavailable` it cannot be told
 */
export function tableOf(pid: number): NamespaceTable | "gone" | "forbidden" {
  const table = tell(pid, () => readTable(directoryOf(pid)));
  return typeof table === "string" ? table : { namespace: "unknown", pid, text: table.text };
}

/**
 * All but the daemon's own. A thread may live elsewhere than its process; looking for such costs a link for every
 * thread of the machine.
 * @throws `unavailable` when a namespace cannot be told, or its table not be read
 */
export function* otherTables(options: { readonly threads: boolean }): Generator<NamespaceTable> {
  const seen = new Set<string>();
  const own = ownNamespace();
  for (const pid of otherProcesses()) {
    for (const directory of directoriesOf(pid, options)) {
      const home = namespaceOf(pid, directory, own);
      if (home === undefined || seen.has(home.key)) continue;
      const table = tell(pid, () => readTable(directory));
      if (table === "forbidden") throw cannotRuleOut(pid, "it is hidden from us");
      // Gone: if others live in the same namespace, the next of them is asked.
      if (table === "gone") continue;
      seen.add(home.key);
      yield { namespace: home.namespace, pid, text: table.text };
    }
  }
}

/** A process whose first thread has exited lives where its others do. */
function directoriesOf(pid: number, options: { readonly threads: boolean }): readonly string[] {
  const threads = (): readonly string[] => otherThreads(pid).map((thread) => `/proc/${pid}/task/${thread}`);
  if (options.threads) return [`/proc/${pid}`, ...threads()];
  return tell(pid, () => readlinkSync(`/proc/${pid}/ns/mnt`)) === "gone" ? threads() : [`/proc/${pid}`];
}

interface OwnNamespace {
  readonly link: string | undefined;
  readonly firstMount: () => string;
}

interface Home {
  readonly namespace: string;
  readonly key: string;
}

/** What says that a process lives nowhere any more; the last is how its mount table puts it. */
const GONE: readonly string[] = ["ENOENT", "ESRCH", "EINVAL"];

/** The text, or why there is none. */
type Told = { readonly text: string } | "gone" | "forbidden";

function ownNamespace(): OwnNamespace {
  let first: string | undefined;
  return {
    link: linkOf("/proc/self/ns/mnt"),
    firstMount() {
      first ??= firstMountId("/proc/self");
      return first;
    },
  };
}

/** `undefined` when it is our own namespace, or the process has none any more. */
function namespaceOf(pid: number, directory: string, own: OwnNamespace): Home | undefined {
  const link = tell(pid, () => readlinkSync(`${directory}/ns/mnt`));
  if (link === "gone") return undefined;
  if (link === "forbidden") return namespaceByMount(pid, directory, own);
  if (link.text === own.link) return undefined;
  // A table shows what lies below its process's root: a chrooted one may hide what the next one shows.
  return { namespace: link.text.replace(/^mnt:\[|\]$/g, ""), key: `${link.text} ${linkOf(`${directory}/root`)}` };
}

/** For a process whose link is hidden, which happens to root too: it may have more capabilities than we. */
function namespaceByMount(pid: number, directory: string, own: OwnNamespace): Home | undefined {
  // Without privileges we do not see into other users' processes, and they cannot reach a work root of mode 0700.
  if (geteuid() !== 0) return undefined;
  const first = tell(pid, () => firstMountId(directory));
  if (first === "gone" || (first === "forbidden" && isKernelThread(pid))) return undefined;
  if (first === "forbidden") throw cannotRuleOut(pid, "it is hidden from us");
  return first.text === own.firstMount() ? undefined : { namespace: "unknown", key: `mount ${first.text}` };
}

/** The first line is enough: a whole table may be long. */
function firstMountId(directory: string): string {
  const fd = openSync(`${directory}/mountinfo`, "r");
  try {
    const length = readSync(fd, FIRST_BYTES);
    return /^\d+/.exec(FIRST_BYTES.toString("latin1", 0, length))?.[0] ?? "none";
  } finally {
    closeSync(fd);
  }
}

const FIRST_BYTES = Buffer.alloc(64);

/** Kernels before 6.8 can lose a line while others mount: there, what either of two readings shows counts. */
function readTable(directory: string): string {
  const text = readFileSync(`${directory}/mountinfo`, "latin1");
  return statx(AT.FDCWD, "/", 0).mountIdUnique ? text : text + readFileSync(`${directory}/mountinfo`, "latin1");
}

/** @throws `unavailable` when it says nothing about the process, as when descriptors have run out */
function tell(pid: number, read: () => string): Told {
  try {
    return { text: read() };
  } catch (error) {
    const symbol = errnoOf(error) ?? "unexpected failure";
    if (symbol === "EACCES" || symbol === "EPERM") return "forbidden";
    if (GONE.includes(symbol)) return "gone";
    throw cannotRuleOut(pid, symbol, error);
  }
}

function cannotRuleOut(pid: number, reason: string, cause?: unknown): HoldfastError {
  const { command } = describeProcess(pid);
  const message = `Cannot rule out mounts of process ${pid} (${command}): ${reason}`;
  return new HoldfastError("unavailable", message, { cause, details: { pid } });
}
