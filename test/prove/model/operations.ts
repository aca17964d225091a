/** The operations of the model: one list, all or nothing, in the order contract and README give for its refusals. */
import {
  freeMb,
  holdersOf,
  keyOf,
  live,
  type Model,
  type ModelVolume,
  may,
  nameOfCaller,
  Refusal,
  requireFree,
  requireMay,
  reservedMb,
  reserveMb,
  roleOf,
  type Stack,
  settle,
  type Who,
} from "./reference.ts";

export interface AskedVolume {
  readonly id: string;
  readonly sizeMb: number;
  readonly stack: Stack;
  readonly path: string;
  readonly shared: boolean;
  readonly principal?: string;
}

export type AskedOperation =
  | {
      readonly type: "RESERVE" | "UNRESERVE";
      readonly items: readonly { readonly sizeMb: number; readonly stack: Stack }[];
    }
  | { readonly type: "CREATE" | "DESTROY"; readonly volumes: readonly AskedVolume[] }
  | { readonly type: "GROW_VOLUME" | "SHRINK_VOLUME"; readonly volume: AskedVolume; readonly byMb: number };

export interface AskedList {
  readonly by: Who;
  readonly operations: readonly AskedOperation[];
  readonly id?: string;
  readonly dryRun?: boolean;
  /** Of the forms and calls: another agent is meant. */
  readonly foreign?: boolean;
}

/** The model after the list; a dry run changes nothing. */
export function performList(model: Model, { by, operations, id, dryRun, foreign }: AskedList): void {
  if (operations.some(isMalformed)) throw new Refusal("invalid", "a size or a path is none");
  if (foreign === true) throw new Refusal("unknown_agent", "it is another's");
  const name = nameOfCaller(by);
  const content = JSON.stringify(operations);
  const earlier = model.outcomes.find((one) => one.by === name && one.id === id);
  if (earlier !== undefined) {
    if (earlier.content === content) return;
    throw new Refusal("operation_id_reused", "with other content");
  }
  const complete = operations.map((one) => fillIn(model, by, one, operations));
  for (const one of complete) requireValid(by, one);
  for (const one of complete) requireAllowed(model, by, one);
  const named = complete.flatMap((one) => (one.type === "DESTROY" ? one.volumes : []));
  settle(
    model,
    named.map(({ stack, id: volume }) => live(model, roleOf(stack), volume)),
  );
  const draft = structuredClone(model);
  for (const one of complete) change(draft, by, one);
  if (dryRun === true) return;
  if (id !== undefined) draft.outcomes.push({ by: name, id, content, wallMs: model.wallMs });
  Object.assign(model, draft);
}

function isMalformed(operation: AskedOperation): boolean {
  switch (operation.type) {
    case "RESERVE":
    case "UNRESERVE":
      return operation.items.some(({ sizeMb }) => sizeMb <= 0);
    case "CREATE":
    case "DESTROY":
      return operation.volumes.some(({ sizeMb, path }) => sizeMb <= 0 || path.includes("/"));
    case "GROW_VOLUME":
    case "SHRINK_VOLUME":
      return operation.volume.sizeMb <= 0 || operation.volume.path.includes("/") || operation.byMb <= 0;
  }
}

/** Who is authenticated is meant where a reservation names nobody, and there is none of nobody's. */
function fillIn(model: Model, by: Who, operation: AskedOperation, list: readonly AskedOperation[]): AskedOperation {
  if (by === "root") return operation;
  const own = (stack: Stack): Stack => {
    const last = stack.at(-1);
    const isOpen = last?.type === "DYNAMIC" && last.principal === undefined;
    return isOpen ? [...stack.slice(0, -1), { ...last, principal: by }] : stack;
  };
  const reservedHere = list.flatMap((one) =>
    one.type === "RESERVE" ? one.items.map(({ stack }) => keyOf(own(stack))) : [],
  );
  const exists = (stack: Stack) => reservedMb(model, stack) > 0 || reservedHere.includes(keyOf(stack));
  const fill = <Part extends { readonly stack: Stack }>(part: Part): Part => {
    const filled = own(part.stack);
    return !exists(part.stack) && exists(filled) ? { ...part, stack: filled } : part;
  };
  switch (operation.type) {
    case "RESERVE":
      return { ...operation, items: operation.items.map((one) => ({ ...one, stack: own(one.stack) })) };
    case "UNRESERVE":
      return { ...operation, items: operation.items.map(fill) };
    case "CREATE":
      return { ...operation, volumes: operation.volumes.map((one) => ({ principal: by, ...fill(one) })) };
    case "DESTROY":
      return { ...operation, volumes: operation.volumes.map(fill) };
    case "GROW_VOLUME":
    case "SHRINK_VOLUME":
      return { ...operation, volume: fill(operation.volume) };
  }
}

function requireValid(by: Who, operation: AskedOperation): void {
  const invalid = (why: string) => new Refusal("invalid", why);
  switch (operation.type) {
    case "RESERVE":
    case "UNRESERVE":
      for (const { stack } of operation.items) {
        if (stack.at(-1)?.type !== "DYNAMIC") throw invalid("only dynamic reservations are made and ended");
        if (operation.type === "UNRESERVE" || by === "root") continue;
        if ((stack.at(-1)?.principal ?? by) !== by) throw invalid("nobody reserves in another's name");
      }
      return;
    case "CREATE": {
      const names = operation.volumes.map(({ stack, id }) => `${roleOf(stack)}/${id}`);
      for (const [index, volume] of operation.volumes.entries()) {
        if (volume.stack.length === 0) throw invalid("not on reserved disk");
        if (names.indexOf(names[index] ?? "") < index) throw new Refusal("duplicate_volume", "named twice");
        if (by !== "root" && (volume.principal ?? by) !== by) throw invalid("nobody creates in another's name");
      }
      return;
    }
    case "DESTROY":
      return;
    case "GROW_VOLUME":
      if (operation.volume.shared) throw invalid("shared");
      return;
    case "SHRINK_VOLUME":
      if (operation.volume.shared) throw invalid("shared");
      if (operation.byMb >= operation.volume.sizeMb) throw invalid("nothing would be left");
      return;
  }
}

function requireAllowed(model: Model, by: Who, operation: AskedOperation): void {
  switch (operation.type) {
    case "RESERVE":
      for (const { stack } of operation.items) requireMay(by, { role: roleOf(stack) });
      return;
    case "UNRESERVE":
      for (const { stack } of operation.items) requireMay(by, { owner: stack.at(-1)?.principal });
      return;
    case "CREATE":
      for (const { stack } of operation.volumes) requireMay(by, { role: roleOf(stack) });
      return;
    case "DESTROY":
      for (const { stack, id } of operation.volumes) {
        if (!may(by, { owner: live(model, roleOf(stack), id)?.principal })) throw new Refusal("forbidden", "not hers");
      }
      return;
    case "GROW_VOLUME":
    case "SHRINK_VOLUME":
      requireMay(by, { role: roleOf(operation.volume.stack) });
      return;
  }
}

function change(model: Model, by: Who, operation: AskedOperation): void {
  switch (operation.type) {
    case "RESERVE":
      for (const { stack, sizeMb } of operation.items) {
        requireFree(model, stack.slice(0, -1), sizeMb);
        reserveMb(model, stack, sizeMb);
      }
      return;
    case "UNRESERVE":
      for (const { stack, sizeMb } of operation.items) {
        requireFree(model, stack, sizeMb);
        reserveMb(model, stack, -sizeMb);
      }
      return;
    case "CREATE":
      for (const volume of operation.volumes) create(model, by, volume);
      return;
    case "DESTROY":
      for (const volume of operation.volumes) destroy(model, volume);
      return;
    case "GROW_VOLUME":
    case "SHRINK_VOLUME":
      resize(model, operation.volume, operation.type === "GROW_VOLUME" ? operation.byMb : -operation.byMb);
      return;
  }
}

function create(model: Model, by: Who, { id, sizeMb, stack, path, shared, principal }: AskedVolume): void {
  const role = roleOf(stack);
  if (live(model, role, id) !== undefined) throw new Refusal("duplicate_volume", `${role}/${id}`);
  requireFree(model, stack, sizeMb);
  const owner = principal === undefined ? {} : { principal };
  model.volumes.push({
    role,
    id,
    sizeMb,
    stack,
    path,
    shared,
    ...owner,
    createdBy: nameOfCaller(by),
    phase: "live",
    files: 0,
  });
}

function destroy(model: Model, asked: AskedVolume): void {
  const volume = find(model, asked, "no_such_volume");
  if (holdersOf(model, volume).length > 0) throw new Refusal("in_use", "a container has it");
  if (volume.protected === true) throw new Refusal("protected", "unprotect it first");
  if (volume.held === true) throw new Refusal("in_use", "somebody has it mounted");
  volume.phase = "retained";
  volume.retired = { atMs: model.nowMs, wallMs: model.wallMs, boot: model.boot };
}

function resize(model: Model, asked: AskedVolume, byMb: number): void {
  const volume = find(model, asked, "conflict");
  if (volume.shared) throw new Refusal("invalid", "it is shared");
  if (byMb > freeMb(model, volume.stack)) throw new Refusal("insufficient", "not free");
  volume.sizeMb += byMb;
}

/** The live volume that is named, exactly. */
function find(model: Model, { stack, id, sizeMb }: AskedVolume, mismatch: "no_such_volume" | "conflict"): ModelVolume {
  const volume = live(model, roleOf(stack), id);
  if (volume === undefined) throw new Refusal("no_such_volume", id);
  if (volume.sizeMb !== sizeMb || keyOf(volume.stack) !== keyOf(stack)) throw new Refusal(mismatch, "another one");
  return volume;
}
