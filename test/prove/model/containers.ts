/** Who has which volume, in the model: attach, detach, and what container engines borrow. */
import {
  dropEmpty,
  holdersOf,
  indexOf,
  live,
  type Model,
  type ModelAttachment,
  type ModelContainer,
  type ModelVolume,
  Refusal,
  settle,
  settleLoans,
} from "./reference.ts";

export interface AskedAttach {
  readonly container: string;
  readonly sandbox: string;
  readonly pid?: number;
  readonly volumes: readonly {
    readonly role: string;
    readonly id: string;
    readonly path?: string;
    readonly mode: "RW" | "RO";
  }[];
}

export function attach(model: Model, { container: id, sandbox, pid, volumes }: AskedAttach): void {
  const process = model.processes.find((one) => one.pid === pid);
  if (pid !== undefined && process === undefined) throw new Refusal("no_such_process", `${pid}`);
  const named = volumes.map(({ role, id: volume }) => live(model, role, volume));
  settle(
    model,
    named.filter((one) => one?.shared === false),
    id,
  );
  const before = model.containers.find((one) => one.id === id);
  if (before !== undefined && placeOf(before) !== placeOf({ sandbox, process }))
    throw new Refusal("conflict", "lives elsewhere");
  const wanted = volumes.map(({ path, mode }, index): Wanted => {
    const volume = named[index];
    if (volume === undefined) throw new Refusal("no_such_volume", JSON.stringify(volumes[index]));
    return { volume, index: indexOf(model, volume), path: path ?? volume.path, mode };
  });
  if (new Set(wanted.map(({ index }) => index)).size < wanted.length) throw new Refusal("invalid", "a volume twice");
  if (new Set(wanted.map(({ path }) => path)).size < wanted.length) throw new Refusal("invalid", "a path twice");

  const kept: ModelAttachment[] = [];
  const added: ModelAttachment[] = [];
  for (const one of wanted) {
    const here = before?.attachments.find(
      (other) => other.volume === one.index && other.path === one.path && other.state === "attached",
    );
    if (here?.mode === one.mode) kept.push(here);
    else {
      requireFree(model, id, one.volume);
      requireFreePath(model, placeOf({ sandbox, process }), one.path);
      added.push({ volume: one.index, path: one.path, mode: one.mode, state: "attached" });
    }
  }
  for (const { volume } of added) {
    const found = model.volumes[volume];
    if (found?.held === true && !found.shared && holdersOf(model, found).length === 0)
      throw new Refusal("in_use", "held outside");
  }
  const gone = (before?.attachments ?? []).filter((one) => one.state === "attached" && !kept.includes(one));
  if (gone.some(({ volume }) => model.volumes[volume]?.sat === true)) throw new Refusal("busy", "a process sits there");
  const left = gone.filter(({ volume }) => !added.some((one) => one.volume === volume));
  const attachments = [
    ...(before?.attachments ?? []).filter((one) => one.state === "lingering"),
    ...left.filter(({ volume }) => isTakenAlong(model, volume)).map((one) => ({ ...one, state: "lingering" as const })),
    ...kept,
    ...added,
  ];
  if (before === undefined)
    model.containers.push({ id, sandbox, ...(process === undefined ? {} : { process }), attachments });
  else before.attachments = attachments;
  dropEmpty(model);
}

interface Wanted {
  readonly volume: ModelVolume;
  readonly index: number;
  readonly path: string;
  readonly mode: "RW" | "RO";
}

/** Another mount namespace has it still, and no other container is the reason. */
function isTakenAlong(model: Model, index: number): boolean {
  const volume = model.volumes[index];
  return volume?.held === true && holdersOf(model, volume).length === 1;
}

function placeOf({
  sandbox,
  process,
}: Pick<ModelContainer, "sandbox"> & { readonly process?: ModelContainer["process"] | undefined }): string {
  return `${process?.pid} ${process?.start} ${sandbox}`;
}

/** An exclusive volume has one container, and none while it lingers. */
function requireFree(model: Model, id: string, volume: ModelVolume): void {
  if (volume.shared) return;
  const index = indexOf(model, volume);
  const others = holdersOf(model, volume).filter((one) => one.id !== id);
  const own = model.containers.find((one) => one.id === id)?.attachments ?? [];
  if (others.length > 0 || own.some((one) => one.volume === index && one.state === "lingering")) {
    throw new Refusal("in_use", `${others.map((one) => one.id)}`);
  }
}

function requireFreePath(model: Model, place: string, path: string): void {
  const here = model.containers.filter((one) => one.sandbox !== undefined && placeOf(one) === place);
  const isTaken = here.some(({ attachments }) =>
    attachments.some((one) => one.path === path && one.state === "attached"),
  );
  if (isTaken) throw new Refusal("conflict", `${path} is occupied`);
}

/** @returns whether a process sits in one of the volumes, which stays; the others are gone */
export function detach(model: Model, id: string, force: boolean): "done" | "busy" {
  const container = model.containers.find((one) => one.id === id);
  if (container === undefined) return "done";
  if (container.sandbox === undefined) {
    giveBack(model, id);
    return "done";
  }
  const mounted = container.attachments.filter(({ state }) => state === "attached");
  const isSat = ({ volume }: ModelAttachment) => model.volumes[volume]?.sat === true;
  const isAlong = new Set(mounted.filter(({ volume }) => isTakenAlong(model, volume)));
  if (!force && mounted.some((one) => isAlong.has(one) && isSat(one)))
    throw new Refusal("busy", "a process sits in a copy");
  container.attachments = container.attachments.flatMap((one): ModelAttachment[] => {
    if (one.state === "lingering" || (isSat(one) && !force)) return [one];
    return isSat(one) || isAlong.has(one) ? [{ ...one, state: "lingering" }] : [];
  });
  // What lingers twice at one place does so once.
  container.attachments = container.attachments.filter(
    (one, index, all) =>
      one.state !== "lingering" ||
      all.findIndex(
        (other) => other.state === "lingering" && other.volume === one.volume && other.path === one.path,
      ) === index,
  );
  dropEmpty(model);
  return !force && mounted.some(isSat) ? "busy" : "done";
}

/** What an engine mounts by itself. */
export function lend(model: Model, borrower: string, volume: ModelVolume): void {
  if (!volume.shared) settle(model, [volume]);
  const index = indexOf(model, volume);
  const before = model.containers.find((one) => one.id === borrower);
  if (before?.sandbox !== undefined) throw new Refusal("conflict", "it lives in a sandbox");
  if (before?.attachments.some((one) => one.volume === index)) return;
  if (!volume.shared && volume.held === true) throw new Refusal("in_use", "held outside");
  requireFree(model, borrower, volume);
  const attachment: ModelAttachment = {
    volume: index,
    path: volume.path,
    mode: "RW",
    state: "attached",
    lentMs: model.nowMs,
  };
  if (before === undefined) model.containers.push({ id: borrower, attachments: [attachment] });
  else before.attachments.push(attachment);
}

/** Of one volume, or of all that the borrower has. */
export function giveBack(model: Model, borrower: string, only?: ModelVolume): void {
  const container = model.containers.find((one) => one.id === borrower);
  if (container === undefined || container.sandbox !== undefined) return;
  const returned = container.attachments.filter(({ volume }) => only === undefined || volume === indexOf(model, only));
  for (const one of returned) one.state = "lingering";
  settleLoans(
    model,
    returned.flatMap(({ volume }) => model.volumes[volume] ?? []),
  );
}
