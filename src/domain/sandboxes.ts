/**
 * Containers' directories that were handed over for collection: which paths they cover, and which containers have one.
 * Paths are absolute, without symlinks, `.` and `..`.
 */
import { HoldfastError } from "./error.ts";
import type { NodeState, Transaction } from "./node.ts";
import { type Container, type SandboxRecord, sameDirectory } from "./records.ts";

/** Whether `path` is `directory`, or lies in it. */
export function liesIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** The directory that was handed over and that a path is or lies in. */
export function handedOver({ sandboxes }: Pick<NodeState, "sandboxes">, path: string): SandboxRecord | undefined {
  if (sandboxes.size === 0) return undefined;
  for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    const found = sandboxes.get(at);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What our own mount namespace calls a container's directory: its sandbox, or the root of the process that it is. */
export function directoryOf({ sandbox, process }: Pick<Container, "sandbox" | "process">): string | undefined {
  return process === undefined ? sandbox : process.rootfs?.path;
}

/** The containers whose directory a path is, or lies above. */
export function containersBelow({ containers }: Pick<NodeState, "containers">, path: string): readonly Container[] {
  return [...containers.values()].filter((container) => {
    const directory = directoryOf(container);
    return directory !== undefined && liesIn(directory, path);
  });
}

/**
 * Records that a directory was handed over. Repeating it changes nothing.
 * @throws `conflict`
 */
export function decideHandOver(tx: Transaction, sandbox: SandboxRecord): void {
  const { path, directory } = sandbox;
  const covered = handedOver(tx.state, path);
  if (covered?.path === path && sameDirectory(covered.directory, directory)) return;
  const refuse = (reason: string): never => {
    throw new HoldfastError("conflict", `Cannot hand ${path} over: ${reason}`);
  };
  if (covered?.path === path) refuse(`another directory was, and is not collected yet: holdfast gc keep ${path}`);
  if (covered !== undefined) refuse(`it lies in ${covered.path}, which was handed over already`);
  const inner = [...tx.state.sandboxes.values()].find((other) => liesIn(other.path, path));
  if (inner !== undefined) refuse(`${inner.path} in it was handed over already: holdfast gc keep ${inner.path}`);
  const adopting = [...tx.state.volumes.values()].find(({ origin }) => origin !== undefined && overlap(origin, path));
  if (adopting !== undefined) refuse(`${adopting.origin} is being adopted`);
  const user = containersBelow(tx.state, path).find(({ attachments }) => attachments.some(isThere));
  if (user !== undefined) refuse(`container ${user.id} got a volume there meanwhile`);
  tx.set("sandboxes", path, sandbox);
}

/**
 * Whoever deletes a directory has it open, and what is in it, wherever that is moved meanwhile.
 * @throws `conflict` when a directory that is to be deleted, a part of one or what has one in it would become a volume
 */
export function requireNotDiscarded({ sandboxes }: Pick<NodeState, "sandboxes">, directory: string): void {
  const found = [...sandboxes.values()].find(({ path }) => overlap(path, directory));
  if (found === undefined) return;
  const reason = `${found.path} was handed over to garbage collection, take it back first: holdfast gc keep ${found.path}`;
  throw new HoldfastError("conflict", `Cannot adopt ${directory}: ${reason}`);
}

function overlap(left: string, right: string): boolean {
  return liesIn(left, right) || liesIn(right, left);
}

/** What was detached by force is in nobody's sandbox any more; who still holds it is looked for before anything goes. */
function isThere({ phase }: Container["attachments"][number]): boolean {
  return phase !== "lingering";
}

/** @throws `conflict` when a volume would appear in a directory that is to be deleted */
export function requireNotHandedOver(
  state: Pick<NodeState, "sandboxes">,
  container: Pick<Container, "id" | "sandbox" | "process">,
): void {
  const directory = state.sandboxes.size === 0 ? undefined : directoryOf(container);
  const covered = directory === undefined ? undefined : handedOver(state, directory);
  if (covered === undefined) return;
  const reason = `${covered.path} was handed over to garbage collection, take it back first: holdfast gc keep ${covered.path}`;
  throw new HoldfastError("conflict", `Cannot attach to container ${container.id}: ${reason}`);
}
