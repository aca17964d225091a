/**
 * What Holdfast promises, as a model: who has reserved what, which volumes there are, who has them. Written from the
 * contract and the README, to be compared with what every door answers. It knows no disk, no kernel, no checkpoint.
 *
 * A request is a function that changes the model or throws a `Refusal`; whoever calls it keeps a copy.
 */
import type { ErrorCode } from "../../../src/domain/error.ts";

/** MB on the work root's disk, without the static reservation. */
export const UNRESERVED_MB = 400;
export const STATIC_ROLE = "db";
export const STATIC_MB = 100;
/** What a volume is retained for at the disk's usage, which stays the same: 7 days, less 10 % headroom and 10 % used. */
const RETAINED_MS = 5.6 * 86_400_000;
/** An engine may take so long to mount what it was lent. */
const UNSEEN_MS = 120_000;
const OUTCOME_AGE_MS = 86_400_000;

export type Who = "root" | "ops" | "ann" | "nobody";

export interface Level {
  readonly type: "STATIC" | "DYNAMIC";
  readonly role: string;
  readonly principal?: string;
  /** What the Docker plugin writes onto its reservations. */
  readonly label?: string;
}

export type Stack = readonly Level[];

export interface ModelVolume {
  /** Known from the first list that shows it. */
  uuid?: string;
  role: string;
  id: string;
  sizeMb: number;
  stack: Stack;
  path: string;
  shared: boolean;
  /** Creator as Mesos knows it. */
  principal?: string;
  createdBy: string;
  phase: "live" | "retained";
  protected?: boolean;
  pinned?: boolean;
  /** What containers wrote. */
  files: number;
  /** Somebody outside has mounted it: in a mount namespace that is not ours. */
  held?: boolean;
  /** A process sits in its mounts. */
  sat?: boolean;
  retired?: { readonly atMs: number; readonly wallMs: number; readonly boot: number };
}

export interface ModelAttachment {
  /** Index among the model's volumes: stays with the volume for ever. */
  readonly volume: number;
  readonly path: string;
  readonly mode: "RW" | "RO";
  state: "attached" | "lingering";
  /** When it was lent, of what an engine mounts itself. */
  readonly lentMs?: number;
}

export interface ModelContainer {
  readonly id: string;
  /** Absent when an engine mounts by itself. */
  readonly sandbox?: string;
  /** The start of its process. */
  readonly process?: { readonly pid: number; readonly start: string };
  /** Whether that has ended. */
  ended?: boolean;
  attachments: ModelAttachment[];
}

export interface Model {
  /** MB by stack, without the static one. */
  reservations: { readonly stack: Stack; sizeMb: number }[];
  /** Collected ones leave a hole. */
  volumes: (ModelVolume | undefined)[];
  containers: ModelContainer[];
  outcomes: { readonly by: string; readonly id: string; readonly content: string; readonly wallMs: number }[];
  /** Those whose time was up. */
  forgotten: Model["outcomes"];
  /** Processes that live, by pid. */
  processes: { readonly pid: number; readonly start: string }[];
  /** Time that really passed. */
  nowMs: number;
  wallMs: number;
  boot: number;
}

export class Refusal extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, why: string) {
    super(`${code}: ${why}`);
    this.code = code;
  }
}

export function emptyModel(wallMs: number): Model {
  return {
    reservations: [],
    volumes: [],
    containers: [],
    outcomes: [],
    forgotten: [],
    processes: [],
    nowMs: 0,
    wallMs,
    boot: 1,
  };
}

/** How a caller is recorded. */
export function nameOfCaller(who: Who): string {
  return who === "root" ? "uid:0(root)" : who;
}

/** `ann` may do everything for role `ads`, with what is her own, and nothing else. */
export function may(who: Who, about: { readonly role?: string } | { readonly owner: string | undefined }): boolean {
  if (who !== "ann") return who !== "nobody";
  return "owner" in about ? about.owner === "ann" : about.role === "ads";
}

export function requireMay(who: Who, about: Parameters<typeof may>[1]): void {
  if (!may(who, about)) throw new Refusal("forbidden", `${who} may not, ${JSON.stringify(about)}`);
}

export function roleOf(stack: Stack): string {
  return stack.at(-1)?.role ?? "*";
}

export function keyOf(stack: Stack): string {
  return JSON.stringify(
    stack.map(({ type, role, principal, label }) => [type, role, principal ?? null, label ?? null]),
  );
}

export function reservedMb(model: Model, stack: Stack): number {
  if (stack.length === 0) return UNRESERVED_MB;
  if (stack.length === 1 && stack[0]?.type === "STATIC") return stack[0].role === STATIC_ROLE ? STATIC_MB : 0;
  return model.reservations.find((one) => keyOf(one.stack) === keyOf(stack))?.sizeMb ?? 0;
}

/** What of a reservation lies under no volume and no further reservation. */
export function freeMb(model: Model, stack: Stack): number {
  const key = keyOf(stack);
  const refined = model.reservations.filter((one) => keyOf(one.stack.slice(0, -1)) === key);
  const under = present(model).filter((one) => one.phase === "live" && keyOf(one.stack) === key);
  const pinned = stack.length === 0 ? present(model).filter((one) => one.pinned === true) : [];
  return reservedMb(model, stack) - sum(refined) - sum(under) - sum(pinned);
}

export function reserveMb(model: Model, stack: Stack, deltaMb: number): void {
  const known = model.reservations.find((one) => keyOf(one.stack) === keyOf(stack));
  if (known === undefined) model.reservations.push({ stack, sizeMb: deltaMb });
  else known.sizeMb += deltaMb;
  model.reservations = model.reservations.filter(({ sizeMb }) => sizeMb > 0);
}

export function requireFree(model: Model, stack: Stack, sizeMb: number): void {
  if (freeMb(model, stack) < sizeMb) throw new Refusal("insufficient", `${freeMb(model, stack)} MB of ${keyOf(stack)}`);
}

export function present(model: Model): ModelVolume[] {
  return model.volumes.filter((one) => one !== undefined);
}

export function live(model: Model, role: string, id: string): ModelVolume | undefined {
  return present(model).find((one) => one.phase === "live" && one.role === role && one.id === id);
}

/** Newest first. */
export function retained(model: Model, role: string, id: string): ModelVolume[] {
  return present(model)
    .filter((one) => one.phase === "retained" && one.role === role && one.id === id)
    .sort((left, right) => (right.retired?.atMs ?? 0) - (left.retired?.atMs ?? 0));
}

export function indexOf(model: Model, volume: ModelVolume): number {
  return model.volumes.indexOf(volume);
}

/** Containers that have a volume, also those where it lingers. */
export function holdersOf(model: Model, volume: ModelVolume): ModelContainer[] {
  const index = indexOf(model, volume);
  return model.containers.filter(({ attachments }) => attachments.some((one) => one.volume === index));
}

/** Whether a retained volume's time may have come: never before, whatever the clock says. */
export function mayBeDue(model: Model, volume: ModelVolume): boolean {
  return isCollectable(volume) && model.nowMs - (volume.retired?.atMs ?? model.nowMs) >= RETAINED_MS;
}

/** Whether its time has come. Where the machine was down in between, it may come later. */
export function mustBeDue(model: Model, volume: ModelVolume): boolean {
  return mayBeDue(model, volume) && volume.retired?.boot === model.boot;
}

export function isCollectable({ phase, pinned, held }: ModelVolume): boolean {
  return phase === "retained" && pinned !== true && held !== true;
}

export function forget(model: Model, volume: ModelVolume): void {
  model.volumes[indexOf(model, volume)] = undefined;
}

/** Takes off the books what is over: who lingers without anybody holding it, what was lent and not used. */
export function reconcile(model: Model): void {
  settleLoans(model, present(model));
  for (const container of model.containers) {
    if (container.sandbox === undefined) continue;
    if (container.ended === true) settleEnded(model, container);
    else container.attachments = container.attachments.filter((one) => one.state === "attached" || isHeld(model, one));
  }
  dropEmpty(model);
  const isKept = ({ wallMs }: Model["outcomes"][number]) => wallMs >= model.wallMs - OUTCOME_AGE_MS;
  const over = model.outcomes.filter((one) => !isKept(one));
  // What an id stood for before it was used again never comes back.
  const earlier = model.forgotten.filter((one) => !over.some(({ by, id }) => one.by === by && one.id === id));
  model.forgotten = [...earlier, ...over];
  model.outcomes = model.outcomes.filter(isKept);
}

function isHeld(model: Model, { volume }: ModelAttachment): boolean {
  const { held, sat } = model.volumes[volume] ?? {};
  return held === true || sat === true;
}

/** Before a request is refused because somebody has a volume, it is seen to that somebody does. */
export function settle(model: Model, volumes: readonly (ModelVolume | undefined)[], container?: string): void {
  const known = volumes.filter((one) => one !== undefined);
  const concerned = new Set(known.flatMap((one) => holdersOf(model, one)));
  for (const one of model.containers) if (one.id === container) concerned.add(one);
  for (const one of concerned) if (one.ended === true) settleEnded(model, one);
  settleLoans(model, known);
  dropEmpty(model);
}

/** Of a container that has ended only what somebody has taken along lingers. */
export function settleEnded(model: Model, container: ModelContainer): void {
  container.attachments = container.attachments
    .filter(({ volume }) => {
      const found = model.volumes[volume];
      return found?.held === true && holdersOf(model, found).length === 1;
    })
    .map((one) => ({ ...one, state: "lingering" }));
}

/** What was given back or never used is over; nobody is seen with what is lent here. */
export function settleLoans(model: Model, volumes: readonly ModelVolume[]): void {
  const settled = volumes.map((one) => indexOf(model, one));
  for (const container of model.containers) {
    container.attachments = container.attachments.filter(
      ({ lentMs, state, volume }) =>
        lentMs === undefined || !settled.includes(volume) || (state === "attached" && model.nowMs - lentMs < UNSEEN_MS),
    );
  }
  dropEmpty(model);
}

export function dropEmpty(model: Model): void {
  model.containers = model.containers.filter(({ attachments }) => attachments.length > 0);
}

/** Every mount and every process ends; every volume stays. */
export function reboot(model: Model): void {
  model.boot += 1;
  model.containers = [];
  model.processes = [];
  for (const volume of present(model)) {
    delete volume.held;
    delete volume.sat;
  }
}

function sum(sized: readonly { readonly sizeMb: number }[]): number {
  return sized.reduce((total, { sizeMb }) => total + sizeMb, 0);
}
