/**
 * ADOPT: existing directories become volumes without being copied, all of a list or none.
 *
 *   nobody has them, and they fit    recorded with their origin: `adopting`, charged to nobody
 *   each is moved here               nobody comes in by the old path any more; whoever was in is seen now
 *   nobody is in                     disk is taken and the origin forgotten: with this commit they are volumes
 *
 * Whatever ends that early, a crash too, ends it in one way: what was moved is moved back and forgotten. Nobody was
 * told anything else.
 */
import { nameOf } from "../domain/decide.ts";
import { HoldfastError, messageOf } from "../domain/error.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import { requireNotDiscarded } from "../domain/sandboxes.ts";
import { ZERO_MB } from "../domain/units.ts";
import { DEFAULT_CONTAINER_PATH, decideAdoption, NO_LABEL, requireNameFree, takeDisk } from "./adopt-decide.ts";
import { asRefusal, type Found, lookForHolds, type Plan, survey } from "./adopt-survey.ts";
import type { Adoption, AdoptOutcome, AdoptRequest, AdoptView } from "./engine.ts";
import { diskOfVolume } from "./handed-ports.ts";
import { holdToSize } from "./hold.ts";
import type { Parts } from "./parts.ts";

/** One adoption at a time, and nobody takes back what is under way. No container is called so. */
const ADOPTION = "/adoption";
const MOVES_AT_ONCE = 16;

/** @throws `unavailable` when the signal interrupts the look at the directories */
export async function adoptDirectories(
  parts: Parts,
  actor: Actor,
  request: AdoptRequest,
  signal: AbortSignal,
): Promise<AdoptOutcome> {
  requireSuperuser(actor);
  requireDistinct(request.adoptions);
  const plans = await survey(parts, request.adoptions, signal);
  if (request.dryRun) return preview(parts, actor, plans);
  const ready = plans.map((plan, index) => {
    if (plan.refusal !== undefined) throw withIndex(plan.refusal, index);
    return plan;
  });
  return parts.serial.run(ADOPTION, () => carryOut(parts, actor, ready));
}

/** What was begun and not finished, by a crash or because it could not be moved back, is moved back. */
export async function takeAdoptionsBack(parts: Parts): Promise<void> {
  await parts.serial.run(ADOPTION, async () => {
    const left = await parts.ledger.read((state) => [...state.volumes.values()].filter(isAdopting));
    await takeBack(parts, left);
  });
}

/** The daemon's own user may move what it may move without asking anybody. */
function requireSuperuser(actor: Actor): void {
  if (actor.kind === "peer" && (actor.uid === 0 || actor.uid === process.geteuid?.())) return;
  throw new HoldfastError("forbidden", "Cannot adopt directories: only root may, over the agent socket");
}

function requireDistinct(adoptions: readonly Adoption[]): void {
  const names = new Set<string>();
  const directories = new Set(adoptions.map(({ directory }) => directory));
  if (directories.size < adoptions.length) throw invalid("a directory is listed twice");
  for (const adoption of adoptions) {
    if (names.has(nameOf(adoption))) throw invalid(`volume ${nameOf(adoption)} is listed twice`);
    names.add(nameOf(adoption));
    for (let end = adoption.directory.lastIndexOf("/"); end > 0; end = adoption.directory.lastIndexOf("/", end - 1)) {
      const above = adoption.directory.slice(0, end);
      if (directories.has(above)) throw invalid(`${adoption.directory} lies in ${above}, which is listed too`);
    }
  }
}

async function preview(parts: Parts, actor: Actor, plans: readonly Plan[]): Promise<AdoptOutcome> {
  const decided = await parts.ledger.rehearse((tx) =>
    plans.map((plan) => {
      if (plan.refusal !== undefined) return plan.refusal;
      try {
        return decideAdoption(tx, parts, actor, plan);
      } catch (error) {
        return asRefusal(error);
      }
    }),
  );
  return { adoptions: plans.map((plan, index) => previewOf(plan, decided[index])) };
}

function previewOf(plan: Plan, decided: Volume | HoldfastError | undefined): AdoptView {
  const { adoption, usage, disk } = plan;
  return {
    ...adoption,
    containerPath: adoption.containerPath ?? DEFAULT_CONTAINER_PATH,
    ...(usage === undefined ? {} : { usage }),
    ...(disk === undefined ? {} : { source: disk.source }),
    ...(decided instanceof HoldfastError ? { obstacle: decided.message } : { size: decided?.size ?? ZERO_MB }),
  };
}

async function carryOut(parts: Parts, actor: Actor, plans: readonly Found[]): Promise<AdoptOutcome> {
  const drafts = await parts.ledger.rehearse((tx) =>
    plans.map((plan, index) => atIndex(index, () => decideAdoption(tx, parts, actor, plan))),
  );
  const adopting = drafts.map((volume, index): Volume => {
    return { ...volume, origin: plans[index]?.adoption.directory ?? "", revision: NO_LABEL };
  });
  let adopted: readonly Volume[];
  try {
    await recordOrigins(parts, adopting);
    await moveAll(parts, adopting);
    await requireHeldByNobody(parts, adopting);
    adopted = await finish(parts, actor, adopting);
  } catch (error) {
    await takeBack(parts, adopting).catch((failure: unknown) => {
      parts.log.error({ error: failure }, "Cannot take an adoption back now");
    });
    throw error;
  }
  for (const [index, { uuid }] of adopted.entries()) {
    const usage = plans[index]?.usage;
    if (usage !== undefined) parts.observations.measured.set(uuid, usage);
  }
  holdToSize(parts, adopted);
  parts.labeller.write(adopted);
  parts.labeller.reservationsChanged();
  return { adoptions: adopted.map((volume, index) => viewOf(volume, plans[index])) };
}

async function recordOrigins(parts: Parts, adopting: readonly Volume[]): Promise<void> {
  await parts.ledger.transact({ durable: true }, (tx) => {
    for (const [index, volume] of adopting.entries()) {
      atIndex(index, () => {
        requireNotDiscarded(tx.state, volume.origin ?? "");
        requireNameFree(tx, volume);
      });
      tx.set("volumes", volume.uuid, volume);
    }
  });
}

/** A few at a time, which share the disk's syncs. Throws the first failure when none is under way any more. */
async function moveAll(parts: Parts, adopting: readonly Volume[]): Promise<void> {
  for (let start = 0; start < adopting.length; start += MOVES_AT_ONCE) {
    const outcomes = await Promise.allSettled(
      adopting
        .slice(start, start + MOVES_AT_ONCE)
        .map(
          async (volume, offset) =>
            await atIndex(start + offset, () => diskOfVolume(parts.disks, volume).adopt(volume)),
        ),
    );
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

/** Looked at where only we can come in: who had it before is seen by what he has. */
async function requireHeldByNobody(parts: Parts, adopting: readonly Volume[]): Promise<void> {
  const origins = new Map(
    adopting.map((volume) => [diskOfVolume(parts.disks, volume).contentPath(volume), volume.origin ?? ""]),
  );
  const holds = await lookForHolds(parts, [...origins.keys()], (path) => origins.get(path) ?? path);
  for (const [index, path] of [...origins.keys()].entries()) {
    const hold = holds(path);
    if (hold !== undefined) throw withIndex(hold, index);
  }
}

/** Takes the disk and forgets the origins: from here on they are volumes. */
async function finish(parts: Parts, actor: Actor, adopting: readonly Volume[]): Promise<readonly Volume[]> {
  const { ledger, labeller } = parts;
  let adopted: readonly Volume[] = [];
  try {
    await ledger.transact({ durable: true, by: actorName(actor) }, (tx) => {
      adopted = adopting.map((volume, index) => {
        const { origin: _origin, ...rest } = volume;
        const reservations = atIndex(index, () => takeDisk(tx, parts, volume));
        const whole: Volume = { ...rest, reservations, revision: ledger.nextRevision() };
        tx.set("volumes", whole.uuid, whole);
        return whole;
      });
      labeller.expect(adopted);
    });
    return adopted;
  } catch (error) {
    labeller.forget(adopted);
    throw error;
  }
}

/** Moves back what is not adopted and forgets it; what cannot be moved back now is shown, and tried again. */
async function takeBack(parts: Parts, volumes: readonly Volume[]): Promise<void> {
  const { ledger, observations } = parts;
  const back: Volume[] = [];
  for (const { uuid } of volumes.toReversed()) {
    const volume = await ledger.read((state) => state.volumes.get(uuid));
    if (volume === undefined || !isAdopting(volume) || !parts.disks.has(sourceKey(volume.source))) continue;
    try {
      await diskOfVolume(parts.disks, volume).unadopt(volume);
      back.push(volume);
    } catch (error) {
      noteStuck(parts, volume, error);
    }
  }
  if (back.length === 0) return;
  await ledger.transact({ durable: true, releases: true }, (tx) => {
    for (const { uuid } of back) {
      const current = tx.state.volumes.get(uuid);
      if (current !== undefined && isAdopting(current)) tx.set("volumes", uuid, undefined);
    }
  });
  for (const { uuid } of back) observations.damage.delete(uuid);
}

function noteStuck({ observations, log }: Parts, volume: Volume, error: unknown): void {
  const cure = "make room for it there, or destroy the volume, which moves the content to trash, and restore it";
  const problem = `${messageOf(error)}, whose adoption was not finished: ${cure}`;
  if (observations.damage.get(volume.uuid) === problem) return;
  observations.damage.set(volume.uuid, problem);
  log.error({ error, volume: volume.uuid }, problem);
}

function isAdopting({ phase, origin }: Volume): boolean {
  return phase === "live" && origin !== undefined;
}

function viewOf({ role, id, size, containerPath, source, uuid }: Volume, plan: Found | undefined): AdoptView {
  return {
    directory: plan?.adoption.directory ?? "",
    role,
    id,
    containerPath,
    size,
    source,
    uuid,
    ...(plan?.usage === undefined ? {} : { usage: plan.usage }),
  };
}

/** A refusal says which directory of the list it is about. */
function atIndex<Result>(index: number, work: () => Result): Result {
  try {
    const result = work();
    if (!(result instanceof Promise)) return result;
    return result.catch((error: unknown) => {
      throw error instanceof HoldfastError ? withIndex(error, index) : error;
    }) as Result;
  } catch (error) {
    throw error instanceof HoldfastError ? withIndex(error, index) : error;
  }
}

function withIndex(error: HoldfastError, index: number): HoldfastError {
  return new HoldfastError(error.code, error.message, { cause: error, details: { ...error.details, index } });
}

function invalid(reason: string): HoldfastError {
  return new HoldfastError("invalid", `Cannot adopt directories: ${reason}`);
}
