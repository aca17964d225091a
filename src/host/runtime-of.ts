/** Who runs a container, for people: a runtime calls the hook, which may be a script, which calls us. */
import { basename } from "node:path";
import { forPeople, statOf, textOf } from "./processes.ts";

/** What hooks are made of. */
const HELPERS: ReadonlySet<string> = new Set([
  "sh",
  "dash",
  "bash",
  "busybox",
  "curl",
  "perl",
  "node",
  "node-MainThread",
  "holdfast-hook",
]);

/** Ancestors, at most: a process that ends meanwhile may make them a circle. */
const MAX_ANCESTORS = 16;

/** The name of the first that is no helper among a process and its ancestors; `undefined` when there is none. */
export function runtimeOf(pid: number): string | undefined {
  return forPeople(() => runtimeAbove(pid));
}

function runtimeAbove(pid: number): string | undefined {
  let current = pid;
  for (let count = 0; count < MAX_ANCESTORS && current > 1; count += 1) {
    const name = nameOf(current);
    if (name === undefined) return undefined;
    if (!HELPERS.has(name)) return name;
    current = statOf(current)?.parentPid ?? 0;
  }
  return undefined;
}

function nameOf(pid: number): string | undefined {
  // runc says what it is busy with: `runc:[2:INIT]`.
  const command = textOf(`/proc/${pid}/comm`)
    ?.trimEnd()
    .replace(/:\[.*$/, "");
  // It also runs from a descriptor, so that its container cannot change its file: then the kernel calls it by number.
  return command !== undefined && /^(?:\d+|exe)$/.test(command) ? (argumentName(pid) ?? command) : command;
}

function argumentName(pid: number): string | undefined {
  const [name = ""] = textOf(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
  return name === "" ? undefined : basename(name);
}
