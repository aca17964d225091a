/** Garbage collection as somebody asks for it: what they may have collected, what is or would be, and why the rest stays. */
import { may, mayView } from "../domain/authorise.ts";
import { assess, type Candidate } from "../domain/collect.ts";
import { nameOf } from "../domain/decide.ts";
import { HoldfastError } from "../domain/error.ts";
import type { NodeState } from "../domain/node.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import type { Incarnation } from "../domain/units.ts";
import { type Attempts, assessDisk, collectByRule, collectNamed, whyNot } from "./collect.ts";
import { collectSandboxesOnRequest } from "./collect-sandboxes-request.ts";
import { retire } from "./destroy.ts";
import type { CollectOutcome, CollectRequest, CollectView } from "./engine.ts";
import { giveUpLost, whyNotLost } from "./give-up.ts";
import { lookForHolds } from "./holds.ts";
import { diskState } from "./measure.ts";
import { momentNow } from "./moment.ts";
import type { Parts } from "./parts.ts";

const WAITS = "its time has not come";
const PINNED = "it is pinned, unpin it first";
const NOT_NEEDED = "the disk has room enough without it";
const NOTHING: CollectOutcome = { collected: [], kept: [] };

export async function collectOnRequest(
  parts: Parts,
  signal: AbortSignal,
  actor: Actor,
  request: CollectRequest,
): Promise<CollectOutcome> {
  const sandboxes = await collectSandboxesOnRequest(parts, signal, actor, request);
  const isForSandboxes = request.sandboxes !== undefined && request.uuids === undefined;
  const volumes = isForSandboxes ? NOTHING : await collectVolumesOnRequest(parts, signal, actor, request);
  return { ...volumes, ...sandboxes };
}

async function collectVolumesOnRequest(
  parts: Parts,
  signal: AbortSignal,
  actor: Actor,
  request: CollectRequest,
): Promise<CollectOutcome> {
  const mayCollect = (volume: Volume): boolean => may(parts.acls(), actor, "destroy_volumes", volume.principal ?? "");
  if (request.lost === true && request.uuids === undefined) {
    throw new HoldfastError("invalid", "Cannot give up lost volumes: uuids is missing, expected those to give up");
  }
  if (request.uuids !== undefined) {
    const uuids = [...new Set(request.uuids)];
    const named = await parts.ledger.read((state) => uuids.map((uuid) => requireRetained(parts, state, actor, uuid)));
    const candidates = named.map((volume) => candidateOf(parts, volume));
    const attempts = await collectThese(parts, signal, actor, named, request);
    return outcome(candidates, (volume) => attempts.get(volume.uuid));
  }
  const candidates = (await assessNode(parts)).filter(({ volume }) => mayView(parts.acls(), actor, volume.role));
  const attempts = request.dryRun
    ? await previewByRule(parts, candidates)
    : await collectByRule(parts, signal, { concerns: mayCollect, by: actorName(actor) });
  return outcome(candidates, (volume, isDue) => {
    if (!mayCollect(volume)) return `the ACLs do not allow destroy_volumes to ${actorName(actor)}`;
    if (attempts.has(volume.uuid)) return attempts.get(volume.uuid);
    if (volume.pinned === true) return PINNED;
    return isDue ? NOT_NEEDED : WAITS;
  });
}

async function collectThese(
  parts: Parts,
  signal: AbortSignal,
  actor: Actor,
  volumes: readonly Volume[],
  { dryRun, lost }: CollectRequest,
): Promise<Attempts> {
  const uuids = volumes.map(({ uuid }) => uuid);
  if (dryRun && lost === true) return new Map(volumes.map((volume) => [volume.uuid, whyNotLost(parts, volume)]));
  if (dryRun) return preview(parts, volumes);
  if (lost === true) return giveUpLost(parts, actor, uuids);
  const destroying = volumes.filter(({ phase }) => phase === "destroying");
  // What a full disk has stopped does not wait for the next reconcile.
  await retire(parts, destroying);
  return collectNamed(parts, signal, actor, uuids);
}

/** What is shown of a volume that is or will be collected. */
export function candidateOf(parts: Parts, volume: Volume): Candidate {
  return assess(volume, parts.gc, momentNow(parts), diskState(parts, volume.source));
}

/** Whether it may be collected comes before whether it is there. */
function requireRetained(parts: Parts, state: NodeState, actor: Actor, uuid: Incarnation): Volume {
  const volume = state.volumes.get(uuid);
  const creator = volume === undefined ? undefined : (volume.principal ?? "");
  if (!may(parts.acls(), actor, "destroy_volumes", creator)) {
    const reason = `the ACLs do not allow destroy_volumes to ${actorName(actor)}`;
    throw new HoldfastError("forbidden", `Cannot collect volume ${uuid}: ${reason}`);
  }
  if (volume === undefined) throw new HoldfastError("no_such_volume", `Cannot collect volume ${uuid}: there is none`);
  if (volume.phase === "live") {
    throw new HoldfastError("in_use", `Cannot collect volume ${nameOf(volume)}: it is not destroyed, destroy it first`);
  }
  return volume;
}

/** Everything that is retained or being collected, oldest first on each disk. */
async function assessNode(parts: Parts): Promise<readonly Candidate[]> {
  // One that cannot be measured is taken as it stood last.
  for (const disk of parts.disks.values()) await assessDisk(parts, disk).catch(() => undefined);
  const volumes = await parts.ledger.read((state) =>
    [...state.volumes.values()].filter(({ phase }) => phase === "retained" || phase === "collecting"),
  );
  return volumes.map((volume) => candidateOf(parts, volume)).sort((left, right) => right.ageMs - left.ageMs);
}

async function preview(parts: Parts, volumes: readonly Volume[]): Promise<Attempts> {
  if (volumes.length === 0) return new Map();
  const holds = await lookForHolds(
    parts,
    volumes.map(({ uuid }) => uuid),
  );
  return new Map(volumes.map((volume) => [volume.uuid, whyNot(parts, volume, holds(volume.uuid))]));
}

function previewByRule(parts: Parts, candidates: readonly Candidate[]): Promise<Attempts> {
  const due = candidates.filter(({ isDue, volume }) => isDue || volume.phase === "collecting");
  return preview(
    parts,
    due.map(({ volume }) => volume),
  );
}

function outcome(
  candidates: readonly Candidate[],
  reasonFor: (volume: Volume, isDue: boolean) => string | undefined,
): CollectOutcome {
  const collected: CollectView[] = [];
  const kept: (CollectView & { readonly reason: string })[] = [];
  for (const { volume, dueAt, isDue } of candidates) {
    const reason = reasonFor(volume, isDue);
    if (reason === undefined) collected.push({ volume, dueAt });
    else kept.push({ volume, dueAt, reason });
  }
  return { collected, kept };
}
