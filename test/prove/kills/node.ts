/**
 * A real node under strace, what it has acknowledged, and the judge: what was acknowledged is there, what was not is
 * absent or complete, every attached volume is mounted exactly once, and nothing else lies about.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainersJson, StatusJson, VolumeJson, VolumesJson } from "../../../src/faces/http/wire.ts";
import { runToEnd } from "../../e2e/command.ts";
import { makePlace, type Place } from "../../e2e/place.ts";
import { type Answer, type Call, request, requestJson } from "../../e2e/request.ts";
import type { Chance } from "../../simulation/chance.ts";
import { TracedDaemon } from "../traced-daemon.ts";
import { type BookedVolume, type Books, differenceOf, EMPTY, isSame } from "./books.ts";
import { type Attempt, attempt, FIRST, type OperationName } from "./operations.ts";

/** Nobody waits longer for an answer. */
const ANSWER_MS_MAX = 5_000;

const DISK_MB = 8192;
/** What could not be done is soon tried again. */
const INTERVALS = ["--reconcile-interval", "1s", "--gc-interval", "1s"];
const SETTLE_MS_MAX = 15_000;
const SETTLE_POLL_MS = 20;
const DOCTOR_MS_MAX = 30_000;
/** On the way to somewhere: recovery and reconcile end it. */
const TRANSIENT: ReadonlySet<string> = new Set(["attaching", "detaching", "lingering", "destroying", "collecting"]);
const MARKER = "marker";
const NOTHING = /^$/;

export class Node {
  readonly daemon: TracedDaemon;
  readonly sandboxes: string;
  /** Mountpoints without a mount that a kill left behind, so far. */
  leftMountpoints = 0;
  books: Books = EMPTY;
  readonly #place: Place;
  readonly #program: string;
  readonly #chance: Chance;
  readonly #uuids = new Map<string, string>();
  readonly #seenMountpoints = new Set<string>();
  #numbers = 0;

  private constructor(place: Place, program: string, chance: Chance) {
    this.#place = place;
    this.#program = program;
    this.#chance = chance;
    this.sandboxes = path.join(place.dir, "sandboxes");
    mkdirSync(this.sandboxes);
    mkdirSync(path.join(place.dir, "tmp"));
    this.daemon = new TracedDaemon({ dir: place.dir, program, pool: 1, args: this.#options });
  }

  /** The daemon runs. */
  static async make(program: string, chance: Chance): Promise<Node> {
    const place = await makePlace("prove");
    const node = new Node(place, program, chance);
    try {
      await node.daemon.mustStart();
      return node;
    } catch (error) {
      await node.remove();
      throw error;
    }
  }

  async remove(): Promise<void> {
    await this.daemon.kill9();
    await this.#place.remove();
  }

  /** What an operation would be now; whatever it needs is done first. */
  async prepare(name: OperationName): Promise<Attempt> {
    const means = { chance: this.#chance, sandboxes: this.sandboxes, uuids: this.#uuids, next: () => ++this.#numbers };
    for (let tries = 0; tries < 20; tries += 1) {
      const wanted = attempt(name, this.books, means);
      if (wanted !== undefined) return this.#withSandbox(wanted);
      // A volume that is free, or else the container that needs another one.
      const lacks = FIRST[name];
      const first = attempt(lacks, this.books, means) ?? (await this.prepare(FIRST[lacks]));
      await this.must(this.#withSandbox(first));
    }
    throw new Error(`Cannot prepare ${name}`);
  }

  /** Asks for it and takes it into the books; it has to succeed, as soon as nobody else on this machine is in its way. */
  async must(wanted: Attempt): Promise<void> {
    const deadline = performance.now() + SETTLE_MS_MAX;
    for (;;) {
      const answer = await this.ask(wanted.call);
      if (answer !== undefined && isDone(wanted, answer)) break;
      if (performance.now() > deadline || (answer?.status !== 200 && !isHeld(answer))) {
        throw new Error(`${wanted.name}: ${answer?.status ?? "no answer"}: ${answer?.text ?? ""}`);
      }
      await sleep(SETTLE_POLL_MS);
    }
    this.books = wanted.after;
    await this.#learn();
  }

  /** `undefined` when the connection broke; `hangs` when nothing came for too long. */
  async ask(call: Call): Promise<Answer | undefined> {
    const answer = request(this.daemon.socket, call).catch(() => undefined);
    const hangs = sleep(ANSWER_MS_MAX, { status: 0, text: "hangs" }, { ref: false });
    return Promise.race([answer, hangs]);
  }

  /**
   * Compares the running daemon, the disk and the mounts with what they may be, and takes into the books what is there.
   * Returns every violation.
   */
  async judge(
    allowed: readonly Books[],
    { excused = NOTHING, settleMs = 0 }: Leniency = {},
  ): Promise<readonly string[]> {
    const deadline = performance.now() + settleMs;
    for (;;) {
      const faults = await this.#judgeNow(allowed, excused);
      if (faults.length === 0 || performance.now() >= deadline) return faults;
      await sleep(SETTLE_POLL_MS);
    }
  }

  async #judgeNow(allowed: readonly Books[], excused: RegExp): Promise<readonly string[]> {
    const found = await this.#look(excused);
    if (typeof found === "string") return [found];
    const match = allowed.find((books) => isSame(books, found.books));
    const [nearest = EMPTY] = [...allowed].sort((a, b) => distance(a, found.books) - distance(b, found.books));
    const faults = match === undefined ? [`the books differ: ${differenceOf(nearest, found.books)}`] : [];
    this.books = found.books;
    const { recovery } = found.status;
    faults.push(
      ...found.problems.map((problem) => `a problem is shown: ${problem}`),
      ...recovery.orphans.map((orphan) => `an orphan is shown: ${orphan}`),
      ...this.#judgeContents(found.volumes),
      ...this.#judgeDirectories(found.volumes),
      ...this.#judgeMounts(found.volumes),
      ...this.#judgeTemporary(),
    );
    for (const volume of found.volumes) this.#mark(volume);
    return faults;
  }

  /** Findings of `doctor` beside the running daemon. */
  async doctor(): Promise<readonly string[]> {
    const { socket, workRoot } = this.daemon;
    const args = [this.#program, "doctor", "--work-root", workRoot, "--socket", socket.socketPath, ...this.#options];
    const { status, stdout, stderr } = await runToEnd(process.execPath, args, { timeout: DOCTOR_MS_MAX });
    const bad = stdout.split("\n").filter((line) => line.startsWith("bad "));
    return status === 0 ? [] : [`doctor ends with ${status}: ${bad.join("; ")} ${stderr.slice(-300)}`];
  }

  /** The file that the checkpoint is now. */
  get checkpointInode(): number {
    return statSync(path.join(this.daemon.workRoot, "meta/checkpoint.db")).ino;
  }

  get #options(): readonly string[] {
    return ["--resources", `disk(*):${DISK_MB}`, "--mount-backend", "bind", ...INTERVALS];
  }

  /** Every container has a sandbox of its own. */
  #withSandbox(wanted: Attempt): Attempt {
    const container = /^\/v1\/containers\/(\w+)$/.exec(wanted.call.path)?.[1];
    if (container !== undefined) mkdirSync(path.join(this.sandboxes, container), { recursive: true });
    return wanted;
  }

  async #learn(): Promise<void> {
    const { volumes } = await requestJson<VolumesJson>(this.daemon.socket, { path: "/v1/volumes" });
    for (const volume of volumes) this.#mark(volume);
  }

  /** Whoever has a volume writes into it. */
  #mark({ id, uuid, path: content }: VolumeJson): void {
    if (this.#uuids.has(id)) return;
    this.#uuids.set(id, uuid);
    writeFileSync(path.join(content, MARKER), uuid);
  }

  /** Waits until nothing is on its way any more. */
  async #look(excused: RegExp): Promise<Found | string> {
    const deadline = performance.now() + SETTLE_MS_MAX;
    for (;;) {
      const { socket } = this.daemon;
      const [{ volumes }, { containers }, status] = await Promise.all([
        requestJson<VolumesJson>(socket, { path: "/v1/volumes" }),
        requestJson<ContainersJson>(socket, { path: "/v1/containers" }),
        requestJson<StatusJson>(socket, { path: "/v1/status" }),
      ]);
      const transient = volumes.find(({ state }) => TRANSIENT.has(state));
      const problems = status.problems.filter((problem) => !excused.test(problem));
      const isOver = performance.now() > deadline;
      if (transient === undefined && (isOver || problems.length === 0)) {
        return { volumes, status, problems, books: booksOf(volumes, containers, status) };
      }
      if (transient !== undefined && isOver) {
        return `${transient.id} stays ${transient.state}: ${transient.problem ?? status.problems.join("; ")}`;
      }
      await sleep(SETTLE_POLL_MS);
    }
  }

  #judgeContents(volumes: readonly VolumeJson[]): string[] {
    return volumes.flatMap(({ id, uuid, path: content }) => {
      const known = this.#uuids.get(id);
      if (known !== undefined && known !== uuid) return [`${id} is another incarnation`];
      if (!existsSync(content)) return [`${id} has no directory`];
      if (known === undefined) return readdirSync(content).length === 0 ? [] : [`${id} is new and not empty`];
      const marker = path.join(content, MARKER);
      return existsSync(marker) && readFileSync(marker, "utf8") === uuid ? [] : [`${id} has lost its content`];
    });
  }

  /** What has a label or content is somebody's; a retained volume is in trash and nowhere else. */
  #judgeDirectories(volumes: readonly VolumeJson[]): string[] {
    const isLive = (uuid: string) => volumes.some((one) => one.uuid === uuid && one.state !== "retained");
    const isRetained = (uuid: string) => volumes.some((one) => one.uuid === uuid && one.state === "retained");
    const { workRoot } = this.daemon;
    const used = (folder: string) =>
      readdirSync(path.join(workRoot, folder)).filter((name) => isUsed(path.join(workRoot, folder, name)));
    return [
      ...used("volumes")
        .filter((uuid) => !isLive(uuid))
        .map((uuid) => `volumes/${uuid} is an orphan`),
      ...used("trash")
        .filter((uuid) => !isRetained(uuid))
        .map((uuid) => `trash/${uuid} is an orphan`),
    ];
  }

  #judgeMounts(volumes: readonly VolumeJson[]): string[] {
    const mounts = mountsBelow(this.#place.dir);
    const isExact = (id: string, { root, target }: Mount) =>
      root.endsWith(`/volumes/${this.#uuids.get(id) ?? uuidOf(volumes, id)}/content`) &&
      target.startsWith(this.sandboxes);
    const given = [...this.books.volumes.values()].filter(({ container }) => container !== undefined);
    const faults = given.flatMap(({ id, container }) => {
      const own = mounts.filter((mount) => isExact(id, mount));
      const place = path.join(this.sandboxes, container ?? "");
      const isThere = own.length === 1 && own[0] !== undefined && path.dirname(own[0].target) === place;
      return isThere ? [] : [`${id} is attached to ${container} and mounted ${own.length} times`];
    });
    const foreign = mounts.filter((mount) => !given.some(({ id }) => isExact(id, mount)));
    faults.push(...foreign.map(({ target }) => `a mount is left at ${target}`));
    this.#countMountpoints(mounts.map(({ target }) => target));
    return faults;
  }

  #countMountpoints(targets: readonly string[]): void {
    for (const container of readdirSync(this.sandboxes)) {
      for (const name of readdirSync(path.join(this.sandboxes, container))) {
        const mountpoint = path.join(this.sandboxes, container, name);
        if (targets.includes(mountpoint) || this.#seenMountpoints.has(mountpoint)) continue;
        this.#seenMountpoints.add(mountpoint);
        this.leftMountpoints += 1;
      }
    }
  }

  #judgeTemporary(): string[] {
    return readdirSync(path.join(this.#place.dir, "tmp")).map((name) => `${name} is left in the temporary directory`);
  }
}

/** Whether the answer says that it was done. */
export function isDone({ isDone: confirms }: Attempt, { status, text }: Answer): boolean {
  return status === 200 && confirms?.(text) !== false;
}

/** Another program that copied all mounts into a namespace of its own has the volume too: that is a sound refusal. */
export function isHeld(answer: Answer | undefined): boolean {
  return answer?.status === 409 && /"code":"(?:busy|in_use)"/.test(answer.text);
}

export interface Leniency {
  /** Problems that may be shown. */
  readonly excused?: RegExp;
  /** So long it may go on healing what is left. */
  readonly settleMs?: number;
}

interface Found {
  readonly volumes: readonly VolumeJson[];
  readonly status: StatusJson;
  /** Those that nothing excuses. */
  readonly problems: readonly string[];
  readonly books: Books;
}

function booksOf(volumes: readonly VolumeJson[], { length }: { readonly length: number }, status: StatusJson): Books {
  const booked = volumes.map(({ id, sizeMb, state, containers }): [string, BookedVolume] => {
    const [container] = containers;
    const shown = state === "detached" || state === "attached" || state === "retained" ? id : `${id} (${state})`;
    return [
      shown,
      { id: shown, sizeMb, retained: state === "retained", ...(container !== undefined && { container }) },
    ];
  });
  const named = new Set(booked.flatMap(([, { container }]) => container ?? []));
  const empty: [string, BookedVolume][] =
    length === named.size
      ? []
      : [["containers without volumes", { id: "containers", sizeMb: length, retained: false }]];
  const reservedMb = status.disks.reduce((sum, disk) => sum + disk.reservedMb, 0);
  return { reservedMb, volumes: new Map([...booked, ...empty]) };
}

function distance(left: Books, right: Books): number {
  return differenceOf(left, right).length;
}

function uuidOf(volumes: readonly VolumeJson[], id: string): string {
  return volumes.find((volume) => volume.id === id)?.uuid ?? "";
}

/** A spare is empty. */
function isUsed(directory: string): boolean {
  if (existsSync(path.join(directory, "label"))) return true;
  const content = path.join(directory, "content");
  return existsSync(content) && readdirSync(content).length > 0;
}

interface Mount {
  readonly root: string;
  readonly target: string;
}

function mountsBelow(directory: string): readonly Mount[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .map(([, , , root = "", target = ""]) => ({ root, target }))
    .filter(({ target }) => target.startsWith(`${directory}/`));
}
