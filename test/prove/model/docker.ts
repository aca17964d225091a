/** What Docker's volumes mean, in the model. */
import { giveBack, lend } from "./containers.ts";
import { type AskedOperation, performList } from "./operations.ts";
import {
  freeMb,
  keyOf,
  live,
  type Model,
  type ModelVolume,
  present,
  Refusal,
  roleOf,
  STATIC_ROLE,
  type Stack,
} from "./reference.ts";

export const PLUGIN_ROLE = "docker";
export const DEFAULT_MB = 50;

export interface AskedDocker {
  readonly name: string;
  readonly sizeMb?: number;
  readonly role?: string;
  readonly shared?: boolean;
  readonly path?: string;
}

interface Name {
  readonly role?: string;
  readonly id: string;
}

function parseName(text: string): Name {
  const slash = text.lastIndexOf("/");
  return slash < 0 ? { id: text } : { role: text.slice(0, slash), id: text.slice(slash + 1) };
}

/** `ID` is what was created under it, the plugin's role first; else the one of the plugin's role. */
export function meant(model: Model, text: string): ModelVolume | undefined {
  const { role, id } = parseName(text);
  if (role !== undefined) return live(model, role, id);
  const created = present(model)
    .filter((one) => one.phase === "live" && one.id === id && one.stack.at(-1)?.label === id)
    .sort((left, right) => (left.role < right.role ? -1 : 1));
  return created.find((one) => one.role === PLUGIN_ROLE) ?? created[0] ?? live(model, PLUGIN_ROLE, id);
}

/** The name under which it is listed. */
export function dockerNameOf(model: Model, volume: ModelVolume): string {
  return meant(model, volume.id) === volume ? volume.id : `${volume.role}/${volume.id}`;
}

export function createDocker(model: Model, asked: AskedDocker): void {
  const existing = meant(model, asked.name);
  if (existing !== undefined) {
    const { sizeMb, role, shared, path } = existing;
    const isAsAsked =
      (asked.sizeMb ?? sizeMb) === sizeMb &&
      (asked.role ?? role) === role &&
      (asked.shared ?? shared) === shared &&
      (asked.path ?? path) === path;
    if (!isAsAsked) throw new Refusal("conflict", "it is another one");
    return;
  }
  const name = parseName(asked.name);
  const role = name.role ?? asked.role ?? PLUGIN_ROLE;
  if (asked.role !== undefined && asked.role !== role) throw new Refusal("invalid", "two roles");
  const sizeMb = asked.sizeMb ?? DEFAULT_MB;
  const own: Stack = [{ type: "DYNAMIC", role, label: asked.name }];
  const stack = freeMb(model, []) >= sizeMb ? own : (tightest(model, role, sizeMb) ?? own);
  const volume = { id: name.id, sizeMb, stack, path: asked.path ?? "data", shared: asked.shared ?? true };
  const reserve: AskedOperation[] = stack === own ? [{ type: "RESERVE", items: [{ sizeMb, stack }] }] : [];
  performList(model, { by: "root", operations: [...reserve, { type: "CREATE", volumes: [volume] }] });
}

/** What the role has reserved otherwise. */
function tightest(model: Model, role: string, sizeMb: number): Stack | undefined {
  const pools: Stack[] = [[{ type: "STATIC", role: STATIC_ROLE }], ...model.reservations.map(({ stack }) => stack)];
  return pools
    .filter((stack) => roleOf(stack) === role && stack.at(-1)?.label === undefined && freeMb(model, stack) >= sizeMb)
    .sort((left, right) => freeMb(model, left) - freeMb(model, right) || (keyOf(left) < keyOf(right) ? -1 : 1))[0];
}

export function removeDocker(model: Model, name: string): void {
  const volume = mustMean(model, name);
  const { sizeMb, stack } = volume;
  const unreserve: AskedOperation[] =
    stack.at(-1)?.label === undefined ? [] : [{ type: "UNRESERVE", items: [{ sizeMb, stack }] }];
  performList(model, { by: "root", operations: [{ type: "DESTROY", volumes: [volume] }, ...unreserve] });
}

export function mountDocker(model: Model, name: string, borrower: string): void {
  lend(model, borrower, mustMean(model, name));
}

export function unmountDocker(model: Model, name: string, borrower: string): void {
  const volume = meant(model, name);
  if (volume !== undefined) giveBack(model, borrower, volume);
}

export function mustMean(model: Model, name: string): ModelVolume {
  const volume = meant(model, name);
  if (volume === undefined) throw new Refusal("no_such_volume", name);
  return volume;
}
