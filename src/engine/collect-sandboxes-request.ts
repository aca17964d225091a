/** Garbage collection of sandboxes as somebody asks for it: what is or would be collected, and why the rest stays. */
import { HoldfastError } from "../domain/error.ts";
import type { Actor } from "../domain/operation.ts";
import type { SandboxRecord } from "../domain/records.ts";
import { handedOver } from "../domain/sandboxes.ts";
import {
  assessSandbox,
  assessSandboxes,
  collectNamedSandboxes,
  collectSandboxesByRule,
  type SandboxAttempts,
  type SandboxCandidate,
  whyNotSandboxes,
} from "./collect-sandboxes.ts";
import type { CollectOutcome, CollectRequest, SandboxView } from "./engine.ts";
import type { Parts } from "./parts.ts";
import { requirePeer } from "./sandboxes.ts";

const WAITS = "its time has not come";
const NOT_NEEDED = "its file system has room enough without it";

/** What concerns sandboxes in a request to collect; nothing for whoever may not see them. */
export async function collectSandboxesOnRequest(
  parts: Parts,
  signal: AbortSignal,
  actor: Actor,
  request: CollectRequest,
): Promise<Pick<CollectOutcome, "sandboxes">> {
  if (request.sandboxes !== undefined) {
    requirePeer(actor);
    return { sandboxes: await collectThese(parts, signal, [...new Set(request.sandboxes)], request.dryRun) };
  }
  if (request.uuids !== undefined || actor.kind !== "peer") return {};
  const candidates = await assessSandboxes(parts);
  const attempts = request.dryRun ? await preview(parts, candidates) : await collectSandboxesByRule(parts, signal);
  const sandboxes = outcome(parts, candidates, ({ sandbox: { path }, isDue, obstacle }) => {
    if (attempts.has(path)) return attempts.get(path);
    if (obstacle !== undefined) return obstacle;
    if (!isDue) return WAITS;
    return parts.observations.failureOf(path) ?? NOT_NEEDED;
  });
  return { sandboxes };
}

/** Everything that was handed over, oldest first. */
export async function viewSandboxes(parts: Parts, actor: Actor): Promise<readonly SandboxView[]> {
  requirePeer(actor);
  return (await assessSandboxes(parts)).map((candidate) => viewOf(parts, candidate));
}

export async function viewSandbox(parts: Parts, sandbox: SandboxRecord): Promise<SandboxView> {
  return viewOf(parts, await assessSandbox(parts, sandbox));
}

function viewOf(parts: Parts, { sandbox, dueAt, obstacle }: SandboxCandidate): SandboxView {
  const problem = parts.observations.failureOf(sandbox.path) ?? obstacle;
  return { sandbox, dueAt, ...(problem === undefined ? {} : { problem }) };
}

async function collectThese(
  parts: Parts,
  signal: AbortSignal,
  paths: readonly string[],
  dryRun: boolean,
): Promise<NonNullable<CollectOutcome["sandboxes"]>> {
  const named = await parts.ledger.read((state) =>
    paths.map((path) => {
      const sandbox = state.sandboxes.get(path);
      if (sandbox !== undefined) return sandbox;
      const above = handedOver(state, path);
      const reason = above === undefined ? `hand it over first: holdfast gc add ${path}` : `name ${above.path}`;
      throw new HoldfastError("not_found", `Cannot collect sandbox ${path}: it was not handed over, ${reason}`);
    }),
  );
  const candidates: SandboxCandidate[] = [];
  for (const sandbox of named) candidates.push(await assessSandbox(parts, sandbox));
  const attempts = dryRun ? await whyNotSandboxes(parts, named) : await collectNamedSandboxes(parts, signal, named);
  return outcome(parts, candidates, ({ sandbox: { path } }) => attempts.get(path));
}

function preview(parts: Parts, candidates: readonly SandboxCandidate[]): Promise<SandboxAttempts> {
  const due = candidates.filter(({ isDue, sandbox }) => isDue || sandbox.collecting === true);
  return whyNotSandboxes(
    parts,
    due.map(({ sandbox }) => sandbox),
  );
}

function outcome(
  parts: Parts,
  candidates: readonly SandboxCandidate[],
  reasonFor: (candidate: SandboxCandidate) => string | undefined,
): NonNullable<CollectOutcome["sandboxes"]> {
  const collected: SandboxView[] = [];
  const kept: (SandboxView & { readonly reason: string })[] = [];
  for (const candidate of candidates) {
    const reason = reasonFor(candidate);
    const view = viewOf(parts, candidate);
    if (reason === undefined) collected.push(view);
    else kept.push({ ...view, reason });
  }
  return { collected, kept };
}
