import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Daemon } from "../../test/e2e/daemon.ts";
import { request, requestJson } from "../../test/e2e/request.ts";
import { type Load, wire } from "./load.ts";

const ROLE = "bench";
/** Room for the largest number of volumes, and less than the file system has. */
const DISK_MB = 150_000;
const BATCH = 1000;
const QUIET_MS_MAX = 120_000;
const QUIET_WINDOW_MS = 1000;
/** 2 % of a processor: syncing keeps it waiting more than working. */
const QUIET_TICKS = 2;

/** Something attached for a measurement: a container with one volume. */
export interface Guest {
  readonly attach: string;
  readonly detach: string;
}

/** A directory in a running container. */
export interface RunningPlace {
  readonly sandbox: string;
  readonly pid: number;
}

/** A Holdfast daemon whose whole disk is reserved for the benchmark, with volumes of 1 MB. */
export class Node {
  readonly daemon: Daemon;
  readonly #dir: string;
  readonly #agentId: string;
  #created = 0;
  #guests = 0;

  private constructor(daemon: Daemon, dir: string, agentId: string) {
    this.daemon = daemon;
    this.#dir = dir;
    this.#agentId = agentId;
  }

  /** Starts a daemon in `dir`, which is made; `program` is `main.js` as it is installed. */
  static async start(dir: string, program: string): Promise<Node> {
    await mkdir(dir, { recursive: true });
    const plugin = path.join(dir, "plugin.sock");
    const args = ["--resources", `disk(*):${DISK_MB}`, "--docker-plugin", plugin, "--csi", path.join(dir, "csi.sock")];
    const daemon = await Daemon.start({ dir, args, program });
    const state = await requestJson<{ id: string }>(daemon.http, { path: "/state" });
    const node = new Node(daemon, dir, state.id);
    await node.#reserveAll();
    return node;
  }

  /** Where it serves Docker's volume plugin protocol. */
  get plugin(): { readonly socketPath: string } {
    return { socketPath: path.join(this.#dir, "plugin.sock") };
  }

  /** Where it serves CSI. */
  get csi(): string {
    return path.join(this.#dir, "csi.sock");
  }

  /** A volume as CSI calls it, and a target in a directory of its own to publish it at. */
  async csiTarget(number: number): Promise<{ readonly volume_id: string; readonly target_path: string }> {
    const { sandbox } = await this.#sandbox(`csi-${number}`);
    return { volume_id: `${ROLE}/v${number}`, target_path: path.join(sandbox, "mount") };
  }

  get volumes(): number {
    return this.#created;
  }

  /** Requests that each create `size` volumes that are not there yet. */
  createRequests(count: number, size = 1): string[] {
    return Array.from({ length: count }, () => {
      const volumes = Array.from({ length: size }, () => volume(this.#nextId()));
      return form("/create-volumes", this.#agentId, "volumes", volumes);
    });
  }

  /** Requests that each create one volume through the agent socket. */
  createOperations(count: number): string[] {
    return Array.from({ length: count }, () => {
      const create = { volumes: [volume(this.#nextId())] };
      return wire("POST", "/v1/operations", JSON.stringify({ operations: [{ type: "CREATE", create }] }));
    });
  }

  /** A request for volumes: all, or those that the query names. */
  listRequest(query: Readonly<Record<string, string>> = {}): string {
    return wire("GET", `/v1/volumes?${new URLSearchParams(query)}`);
  }

  /** Creates volumes until there are `total`. */
  async fill(load: Load, total: number): Promise<void> {
    while (this.#created < total) {
      await load.send(this.daemon.http, this.createRequests(1, Math.min(BATCH, total - this.#created)));
    }
  }

  /**
   * Gives each of `count` volumes, from number `first` on, a container that can take it: each with its own sandbox, or
   * one after the other the same process.
   */
  async guests(first: number, count: number, place?: RunningPlace): Promise<Guest[]> {
    return Promise.all(numbers(first, count).map((number) => this.#guest(number, place)));
  }

  /** Gives `count` volumes to Docker, each to a container of its own. */
  loans(first: number, count: number): Guest[] {
    return numbers(first, count).map((number) => {
      const body = JSON.stringify({ Name: `${ROLE}/v${number}`, ID: `loan-${number}` });
      return { attach: wire("POST", "/VolumeDriver.Mount", body), detach: wire("POST", "/VolumeDriver.Unmount", body) };
    });
  }

  /** A volume as a container asks for it. */
  wish(number: number): object {
    return { role: ROLE, id: `v${number}` };
  }

  /** Where the content of volume `number` lies. */
  async contentPath(number: number): Promise<string> {
    const call = { path: `/v1/volumes/${ROLE}/v${number}` };
    return (await requestJson<{ path: string }>(this.daemon.socket, call)).path;
  }

  /** What volume `number` is called on disk. */
  async uuid(number: number): Promise<string> {
    return path.basename(path.dirname(await this.contentPath(number)));
  }

  /** Destroys volume `number`, which nobody collects for now. Returns where its content lies then. */
  async retire(number: number): Promise<{ readonly uuid: string; readonly content: string }> {
    const before = await this.contentPath(number);
    const uuid = path.basename(path.dirname(before));
    await this.#destroy([number]);
    return { uuid, content: path.join(path.dirname(before), "../../trash", uuid, path.basename(before)) };
  }

  /** Takes the newest volumes away for good, until there are `total`. */
  async shrink(total: number): Promise<void> {
    const doomed = numbers(total + 1, this.#created - total);
    if (doomed.length === 0) return;
    await this.#destroy(doomed);
    const call = { path: "/v1/volumes?state=retained" };
    const { volumes } = await requestJson<{ volumes: readonly { uuid: string }[] }>(this.daemon.socket, call);
    await this.collect(...volumes.map(({ uuid }) => uuid));
    this.#created = total;
  }

  /** Deletes what was retired, and waits for it. */
  async collect(...uuids: readonly string[]): Promise<void> {
    const call = { method: "POST", path: "/v1/gc", body: { uuids } };
    const { kept } = await requestJson<{ kept: readonly object[] }>(this.daemon.socket, call);
    if (kept.length > 0) throw new Error(`It was not collected: ${JSON.stringify(kept)}`);
  }

  /** Resident memory of the whole process, in MB. */
  async residentMb(): Promise<number> {
    const status = await readFile(`/proc/${this.daemon.pid}/status`, "utf8");
    return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1]) / 1024;
  }

  /** Waits until it has done what it does behind its answers: syncing labels, making spare directories. */
  async quiet(): Promise<void> {
    const deadline = performance.now() + QUIET_MS_MAX;
    let before = await this.#cpuTicks();
    for (let busy = true; busy && performance.now() < deadline; ) {
      await sleep(QUIET_WINDOW_MS);
      const now = await this.#cpuTicks();
      busy = now - before > QUIET_TICKS;
      before = now;
    }
  }

  /** Processor time used so far, in hundredths of a second. */
  async #cpuTicks(): Promise<number> {
    const stat = await readFile(`/proc/${this.daemon.pid}/stat`, "utf8");
    const [user, system] = stat
      .replace(/^.*\) /s, "")
      .split(" ")
      .slice(11, 13);
    return Number(user) + Number(system);
  }

  async #guest(number: number, place?: RunningPlace): Promise<Guest> {
    this.#guests += 1;
    const name = `guest-${this.#guests}`;
    const target = `/v1/containers/${name}`;
    const body = JSON.stringify({ ...(place ?? (await this.#sandbox(name))), volumes: [this.wish(number)] });
    return { attach: wire("PUT", target, body), detach: wire("DELETE", target) };
  }

  async #sandbox(name: string): Promise<{ readonly sandbox: string }> {
    const sandbox = path.join(this.#dir, "sandboxes", name);
    await mkdir(sandbox, { recursive: true });
    return { sandbox };
  }

  async #reserveAll(): Promise<void> {
    const body = `slaveId=${this.#agentId}&resources=${JSON.stringify([reserved(DISK_MB)])}`;
    const answer = await request(this.daemon.http, { method: "POST", path: "/reserve", body });
    if (answer.status !== 200) throw new Error(`Cannot reserve: ${answer.status}: ${answer.text}`);
  }

  async #destroy(doomed: readonly number[]): Promise<void> {
    const volumes = JSON.stringify(doomed.map((number) => volume(`v${number}`)));
    const body = `slaveId=${this.#agentId}&volumes=${volumes}`;
    const answer = await request(this.daemon.http, { method: "POST", path: "/destroy-volumes", body });
    if (answer.status !== 200) throw new Error(`Cannot destroy: ${answer.status}: ${answer.text}`);
  }

  #nextId(): string {
    this.#created += 1;
    return `v${this.#created}`;
  }
}

function numbers(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

function reserved(sizeMb: number): object {
  const reservations = [{ type: "DYNAMIC", role: ROLE }];
  return { name: "disk", type: "SCALAR", scalar: { value: sizeMb }, reservations };
}

function volume(id: string): object {
  const disk = { persistence: { id }, volume: { mode: "RW", container_path: "data" } };
  return { ...reserved(1), disk };
}

function form(target: string, agentId: string, field: string, items: readonly object[]): string {
  const body = `slaveId=${agentId}&${field}=${JSON.stringify(items)}`;
  return wire("POST", target, body, "application/x-www-form-urlencoded");
}
