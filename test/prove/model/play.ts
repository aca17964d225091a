/** Plays one sequence of deeds on a new node and says where it differs from the model, after which requests. */
import { settle } from "../../engine/rig.ts";
import { differences, look, type Shown } from "./look.ts";
import { type House, Node } from "./node.ts";
import {
  dropEmpty,
  emptyModel,
  forget,
  holdersOf,
  type Model,
  type ModelVolume,
  mustBeDue,
  present,
  reboot,
  reconcile,
  settleEnded,
} from "./reference.ts";
import { type Ask, answerOf, type Expected } from "./request.ts";
import { dockerCodeOf, type Got, type Manner, send } from "./send.ts";
import { askFor, type Deed, type EVENTS, FURNITURE, PIDS, type Start } from "./wishes.ts";

const SECOND_MS = 1_000;
const WAIT_MS = 180_000;
const DAYS_MS = 3 * 86_400_000;
const JUMP_MS = 26 * 3_600_000;
const DOWN_MS = 60_000;

export interface Tally {
  requests: number;
  refused: number;
  restarts: number;
}

interface Said {
  readonly request: Ask;
  readonly manner: Manner;
}

interface Game {
  readonly house: House;
  readonly node: Node;
  readonly tally: Tally;
  readonly story: string[];
  model: Model;
  last?: Said;
}

/** @throws the first difference, with the story that led to it */
export async function play(house: House, seed: number, { isFurnished, deeds }: Start, tally: Tally): Promise<void> {
  const node = new Node(seed);
  const game: Game = { house, node, tally, story: [], model: emptyModel(node.clock.now()) };
  try {
    await house.moveIn(node);
    if (isFurnished) {
      await ask(game, { request: FURNITURE, manner: { way: "list", old: false } });
      await examine(game, false);
    }
    for (const deed of deeds) await act(game, deed);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${reason}\n  after: ${game.story.join("\n         ")}`, { cause: error });
  } finally {
    node.close();
  }
}

async function act(game: Game, deed: Deed): Promise<void> {
  await pass(game, SECOND_MS);
  switch (deed.deed) {
    case "ask": {
      const said = say(game.model, deed.wish);
      if (said !== undefined) await ask(game, said);
      break;
    }
    case "again":
      if (game.last !== undefined) await ask(game, game.last);
      break;
    case "together": {
      const one = say(game.model, deed.wish);
      const other = deed.other === "again" ? one : say(game.model, deed.other);
      if (one !== undefined && other !== undefined) await askTogether(game, one, other);
      break;
    }
    case "event":
      await happen(game, deed.event, deed.pick);
  }
  await examine(game, deed.ann);
}

function say(model: Model, wish: Parameters<typeof askFor>[1]): Said | undefined {
  const request = askFor(model, wish);
  if (request === undefined) return undefined;
  const isList = request.ask !== "operations" || request.list.by === "root" || request.list.operations.length > 1;
  const isPlain = request.ask === "operations" && request.list.id === undefined && request.list.dryRun === undefined;
  return { request, manner: { way: isList || !isPlain ? "list" : wish.way, old: wish.old } };
}

async function ask(game: Game, said: Said): Promise<void> {
  game.last = said;
  game.story.push(describe(said));
  const got = await speak(game, said);
  const wrong = contradiction(answerOf(game.model, said.request), got, said.request);
  if (wrong !== undefined) throw new Error(`${describe(said)}: ${wrong}`);
}

async function speak({ house, tally }: Game, { request, manner }: Said): Promise<Got> {
  const got = await send(house.doors, request, manner);
  tally.requests += 1;
  if (got.code !== "done") tally.refused += 1;
  return got;
}

/** Both at once: as if one of them had come first. */
async function askTogether(game: Game, one: Said, other: Said): Promise<void> {
  game.story.push(`at once: ${describe(one)} | ${describe(other)}`);
  const [oneGot, otherGot] = await Promise.all([speak(game, one), speak(game, other)]);
  const shown = await look(game.house.doors, game.node, "root");
  const failures: string[] = [];
  for (const order of ["first", "second"] as const) {
    const model = structuredClone(game.model);
    const asked: readonly [Said, Got][] = [
      [one, oneGot],
      [other, otherGot],
    ];
    const wrong = (order === "first" ? asked : asked.toReversed()).flatMap(
      ([{ request }, got]) => contradiction(answerOf(model, request), got, request) ?? [],
    );
    const found = wrong.length > 0 ? wrong : differences(model, shown);
    if (found.length === 0) {
      game.model = model;
      return;
    }
    failures.push(`with the ${order} one first ${found.join("; ")}`);
  }
  throw new Error(failures.join(", "));
}

/** What is wrong with an answer. */
function contradiction({ code, collection }: Expected, got: Got, request: Ask): string | undefined {
  const wanted = request.ask.startsWith("docker") ? dockerCodeOf(code) : code;
  if (got.code !== wanted) return `it is answered ${got.code}, not ${wanted}: ${got.answer.text.slice(0, 300)}`;
  if (collection === undefined) return undefined;
  const body = got.answer.json as Record<
    "collected" | "would" | "kept",
    readonly { readonly uuid: string }[] | undefined
  >;
  const gone = (body.collected ?? body.would ?? []).map(({ uuid }) => uuid);
  const kept = body.kept?.map(({ uuid }) => uuid) ?? [];
  const missing = collection.collected.filter((uuid) => uuid !== "" && !gone.includes(uuid));
  if (missing.length > 0) return `it does not collect ${missing}: ${got.answer.text.slice(0, 300)}`;
  const unknown = [...gone, ...kept].filter((uuid) => ![...collection.collected, ...collection.kept].includes(uuid));
  return unknown.length > 0 ? `it speaks of ${unknown}` : undefined;
}

async function examine(game: Game, ann: boolean): Promise<void> {
  const { house, node, model } = game;
  const viewers = ann ? (["ops", "ann"] as const) : (["root"] as const);
  for (const viewer of viewers) {
    const shown: Shown = await look(house.doors, node, viewer);
    const found = differences(model, shown);
    if (found.length > 0) throw new Error(`for ${viewer} ${found.join("; ")}`);
  }
}

async function pass({ node, model }: Game, durationMs: number): Promise<void> {
  model.nowMs += durationMs;
  model.wallMs += durationMs;
  if (durationMs === SECOND_MS) node.clock.advance(durationMs);
  else await node.advance(durationMs);
}

async function happen(game: Game, event: (typeof EVENTS)[number], pick: number): Promise<void> {
  const { node, model, story } = game;
  const note = (what: string) => story.push(`(${what})`);
  const choose = <Item>(items: readonly Item[]): Item | undefined => items[pick % Math.max(1, items.length)];
  switch (event) {
    case "stop":
    case "kill":
      note(event);
      game.tally.restarts += 1;
      await node.restart(event);
      reconcileKeepingOutcomes(model);
      return;
    case "reboot":
    case "power cut":
      note(event);
      game.tally.restarts += 1;
      await node.reboot(event);
      reboot(model);
      remember(model, [...node.store.contents().records.operations.values()]);
      model.nowMs += DOWN_MS;
      model.wallMs += DOWN_MS;
      return;
    case "reconcile":
      note(event);
      await node.engine.reconcile();
      reconcile(model);
      return;
    case "wait":
    case "wait for days":
      note(event);
      await pass(game, event === "wait" ? WAIT_MS : DAYS_MS);
      await node.engine.reconcile();
      reconcile(model);
      for (const one of present(model)) if (mustBeDue(model, one)) forget(model, one);
      return;
    case "clock forward":
    case "clock back": {
      note(event);
      const differenceMs = event === "clock forward" ? JUMP_MS : -JUMP_MS;
      node.clock.jump(differenceMs);
      model.wallMs += differenceMs;
      return;
    }
    case "write": {
      const volume = choose(mounted(model));
      if (volume?.uuid === undefined) return;
      note(`somebody writes into ${volume.role}/${volume.id}`);
      node.disk.fill(volume.uuid as never);
      volume.files += 1;
      return;
    }
    case "sit": {
      const volume = choose(mounted(model).filter((one) => !isLent(model, one) && one.sat !== true));
      if (volume?.uuid === undefined) return;
      note(`a process sits in ${volume.role}/${volume.id}`);
      node.mounter.sitIn(volume.uuid as never);
      node.holders.sitIn(volume.uuid as never);
      volume.sat = true;
      return;
    }
    case "leave": {
      const volume = choose(present(model).filter(({ sat }) => sat === true));
      if (volume !== undefined) leave(game, volume);
      return;
    }
    case "hold": {
      const volume = choose(present(model).filter((one) => one.held !== true && !isLent(model, one)));
      if (volume?.uuid === undefined) return;
      note(`somebody has mounted ${volume.role}/${volume.id} ${volume.uuid}`);
      node.holders.holdElsewhere(volume.uuid as never);
      volume.held = true;
      return;
    }
    case "let go": {
      const volume = choose(present(model).filter(({ held }) => held === true));
      if (volume?.uuid === undefined) return;
      note(`nobody has mounted ${volume.role}/${volume.id} any more`);
      const index = node.holders.held.findIndex(({ uuid }) => uuid === volume.uuid);
      node.holders.held.splice(index, 1);
      delete volume.held;
      return;
    }
    case "start": {
      const pid = choose(PIDS) ?? 0;
      if (model.processes.some((one) => one.pid === pid)) return;
      note(`process ${pid} starts`);
      const process = node.processes.start(pid);
      node.inits.set(pid, process);
      model.processes.push({ pid, start: process.mountNamespace });
      return;
    }
    case "end": {
      const process = choose(model.processes);
      if (process !== undefined) await end(game, process.pid);
    }
  }
}

/** A start looks at everything that a reconcile looks at, but for the outcomes. */
function reconcileKeepingOutcomes(model: Model): void {
  const { outcomes, forgotten } = model;
  reconcile(model);
  Object.assign(model, { outcomes, forgotten });
}

/** Outcomes are forgotten in passing: a power cut may bring some back, unless their ids were used again. */
function remember(model: Model, stored: readonly { readonly by: string; readonly id: string }[]): void {
  const known = [...model.outcomes];
  const isAmong = (all: typeof stored, one: Model["outcomes"][number]) =>
    all.some(({ by, id }) => one.by === by && one.id === id);
  const isKept = (one: Model["outcomes"][number]) => isAmong(stored, one) && !isAmong(known, one);
  model.outcomes.push(...model.forgotten.filter(isKept));
  model.forgotten = model.forgotten.filter((one) => !isKept(one));
}

function mounted(model: Model): ModelVolume[] {
  return present(model).filter((one) =>
    holdersOf(model, one).some(
      ({ sandbox, attachments }) =>
        sandbox !== undefined &&
        attachments.some(({ volume, state }) => model.volumes[volume] === one && state === "attached"),
    ),
  );
}

function isLent(model: Model, volume: ModelVolume): boolean {
  return holdersOf(model, volume).some(({ sandbox }) => sandbox === undefined);
}

function leave({ node, story }: Game, volume: ModelVolume): void {
  story.push(`(the process leaves ${volume.role}/${volume.id})`);
  node.mounter.setFree(volume.uuid as never);
  const index = node.holders.holding.findIndex(({ uuid }) => uuid === volume.uuid);
  node.holders.holding.splice(index, 1);
  delete volume.sat;
}

/** Its mount namespace goes, with every mount in it and who sat only there. */
async function end(game: Game, pid: number): Promise<void> {
  const { node, model, story } = game;
  story.push(`(process ${pid} ends)`);
  const process = node.inits.get(pid);
  if (process === undefined) throw new Error("Nobody started it");
  const container = model.containers.find((one) => one.process?.pid === pid);
  const ended = container?.attachments.map(({ volume }) => model.volumes[volume]) ?? [];
  model.processes = model.processes.filter((one) => one.pid !== pid);
  node.mounter.endNamespace(process);
  if (container !== undefined) {
    container.ended = true;
    settleEnded(model, container);
    dropEmpty(model);
  }
  for (const one of ended) if (one?.sat === true && !mounted(model).includes(one)) leave(game, one);
  node.processes.end(pid);
  await settle();
  await settle();
}

function describe({ request, manner }: Said): string {
  return `${JSON.stringify(request)}${manner.way === "list" ? "" : ` as a ${manner.way}`}`;
}
