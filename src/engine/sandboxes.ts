/**
 * Containers' directories that nobody needs any more are handed over to garbage collection, and may be taken back as
 * long as nothing of them was removed. `collect-sandboxes.ts` deletes them.
 */
import { retirementAt } from "../domain/collect.ts";
import { HoldfastError } from "../domain/error.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Container, SandboxRecord } from "../domain/records.ts";
import { containersBelow, decideHandOver, directoryOf, handedOver } from "../domain/sandboxes.ts";
import { detachVolumes } from "./attach.ts";
import { endIfOver } from "./ended.ts";
import { momentNow } from "./moment.ts";
import type { Parts } from "./parts.ts";
import { settleInterrupted } from "./reconcile.ts";

/** As `Engine.discardSandbox`. */
export async function discardSandbox(parts: Parts, actor: Actor, path: string): Promise<SandboxRecord> {
  requirePeer(actor);
  const directory = parts.sandboxes.examine(path, diskRoots(parts));
  await detachAll(parts, actor, path);
  const sandbox: SandboxRecord = {
    path,
    directory,
    retired: retirementAt(momentNow(parts)),
    by: actorName(actor),
  };
  return parts.ledger.transact({ durable: true }, (tx) => {
    decideHandOver(tx, sandbox);
    return tx.state.sandboxes.get(path) ?? sandbox;
  });
}

/** As `Engine.keepSandbox`. */
export async function keepSandbox(parts: Parts, actor: Actor, path: string): Promise<void> {
  requirePeer(actor);
  await parts.ledger.transact({ durable: true, releases: true }, (tx) => {
    const refuse = (code: "not_found" | "conflict", reason: string): never => {
      throw new HoldfastError(code, `Cannot keep ${path}: ${reason}`);
    };
    const sandbox = tx.state.sandboxes.get(path);
    const above = handedOver(tx.state, path);
    if (sandbox === undefined && above !== undefined)
      return refuse("not_found", `keep ${above.path}, which it lies in`);
    if (sandbox === undefined) return refuse("not_found", "it was not handed over");
    // What is not there, or something else by now, is only forgotten.
    const isBegun = sandbox.collecting === true && parts.sandboxes.find(sandbox).state === "present";
    if (isBegun) refuse("conflict", "its collection has begun");
    tx.set("sandboxes", path, undefined);
  });
  parts.observations.succeeded(path);
}

/** Sandboxes are the superuser's: they have no role. */
export function requirePeer(actor: Actor): void {
  if (actor.kind === "peer") return;
  throw new HoldfastError("forbidden", "Cannot see or collect sandboxes: only the agent socket may");
}

/** Where disks lie, whether they are there or not. */
export function diskRoots({ disks }: Pick<Parts, "disks">): readonly string[] {
  return [...[...disks.values()].map(({ root }) => root), ...[...disks.absent.values()].map(({ root }) => root)];
}

/**
 * Takes the volumes of every container away whose directory lies there.
 * @throws `in_use` a container still runs there, `busy` a process sits in a volume
 */
async function detachAll(parts: Parts, actor: Actor, path: string): Promise<void> {
  await endAll(parts, path);
  const containers = containersBelow(parts.ledger.state, path);
  const running = containers.find(({ process }) => process !== undefined && !parts.processes.hasEnded(process));
  if (running !== undefined) throw new HoldfastError("in_use", `Cannot hand ${path} over: ${whoRuns(running)}`);
  for (const { id } of containers) {
    await parts.serial.run(id, async () => {
      await settleInterrupted(parts, id);
      await detachVolumes(parts, id, { force: false, by: actorName(actor), because: "its sandbox was handed over" });
    });
  }
}

/** Takes containers off the books that ended without a word. */
export async function endAll(parts: Parts, path: string): Promise<void> {
  for (const { id } of containersBelow(parts.ledger.state, path)) await endIfOver(parts, id);
}

/** For people. */
export function whoRuns(container: Container): string {
  const { id, process } = container;
  const where = directoryOf(container);
  return process === undefined
    ? `container ${id} has volumes in ${where}`
    : `container ${id} of process ${process.pid} has its root at ${where}`;
}
