/** A real daemon that serves CSI on a real socket, with targets to publish at, asked as a cluster asks. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, type CsiClient, openClient } from "../faces/csi/client.ts";
import { Daemon } from "./daemon.ts";
import { makePlace, type Place } from "./place.ts";
import { request, requestJson } from "./request.ts";
import { run } from "./run.ts";

export const MIB = 1024 * 1024;
const DISK_MB = 4096;
const TRIES = 20;
const RETRY_MS = 50;

/** By the specification's names. */
export const MODE = {
  SINGLE_NODE_WRITER: 1,
  SINGLE_NODE_READER_ONLY: 2,
  MULTI_NODE_READER_ONLY: 3,
  MULTI_NODE_SINGLE_WRITER: 4,
  MULTI_NODE_MULTI_WRITER: 5,
  SINGLE_NODE_SINGLE_WRITER: 6,
  SINGLE_NODE_MULTI_WRITER: 7,
} as const;

export function capability(mode: keyof typeof MODE = "SINGLE_NODE_WRITER", mount: object = {}): object {
  return { mount, access_mode: { mode: MODE[mode] } };
}

interface ContainerJson {
  readonly sandbox: string;
  readonly volumes: readonly { readonly role: string; readonly id: string; readonly containerPath: string }[];
}

export interface VolumeJson {
  readonly role: string;
  readonly id: string;
  readonly state: string;
  readonly sizeMb: number;
  readonly containers: readonly string[];
  readonly path: string;
}

interface SceneOptions {
  readonly args?: readonly string[];
  /** Makes what must be there before the daemon is, in the scene's directory; returns more options. */
  readonly prepare?: (directory: string) => Promise<readonly string[]>;
  /** The file to run instead of the source. */
  readonly program?: string;
}

export class CsiScene {
  readonly place: Place;
  readonly daemon: Daemon;
  readonly client: CsiClient;
  readonly #pods: string;

  private constructor(place: Place, daemon: Daemon, client: CsiClient) {
    this.place = place;
    this.daemon = daemon;
    this.client = client;
    this.#pods = path.join(place.dir, "pods");
    mkdirSync(this.#pods);
  }

  static async start(options: SceneOptions = {}): Promise<CsiScene> {
    const place = await makePlace("csi");
    const socket = path.join(place.dir, "plugins/csi.sock");
    const { args = [], prepare, program } = options;
    const usual = [
      "--csi",
      socket,
      "--csi-node-id",
      "node-1",
      "--resources",
      `disk(*):${DISK_MB}`,
      "--log-level",
      "debug",
    ];
    try {
      const more = (await prepare?.(place.dir)) ?? [];
      const daemon = await Daemon.start({
        dir: place.dir,
        args: [...usual, ...args, ...more],
        ...(program === undefined ? {} : { program }),
      });
      return new CsiScene(place, daemon, openClient(socket));
    } catch (error) {
      await place.remove();
      throw error;
    }
  }

  call(name: string, fields: object = {}): Promise<Answer> {
    return this.client.call(name, fields);
  }

  /** As `call`, for what must be done. */
  async must(name: string, fields: object = {}): Promise<Answer["value"]> {
    const answer = await this.call(name, fields);
    if (answer.status === "OK") return answer.value;
    throw new Error(`${name}: ${answer.status}: ${answer.message}`);
  }

  /** Makes a volume of 4 MiB unless something else is said, and returns its id. */
  async create(name: string, fields: object = {}): Promise<string> {
    const wanted = {
      name,
      capacity_range: { required_bytes: 4 * MIB },
      volume_capabilities: [capability()],
      ...fields,
    };
    return (await this.must("CreateVolume", wanted)).volume.volume_id;
  }

  /** A path in an existing directory of its own. */
  target(name: string): string {
    const directory = path.join(this.#pods, name);
    mkdirSync(directory, { recursive: true });
    return path.join(directory, "mount");
  }

  /** What there is below the directories of targets, and what is mounted there. */
  left(): { readonly mounts: readonly string[]; readonly entries: readonly string[] } {
    const entries = readdirSync(this.#pods).flatMap((pod) => readdirSync(path.join(this.#pods, pod)));
    return { mounts: this.mounts(), entries };
  }

  mounts(): readonly string[] {
    return readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((mountPoint) => mountPoint.startsWith(`${this.#pods}/`));
  }

  /** Takes every mount away behind the daemon's back. */
  async unmountAll(): Promise<void> {
    for (const mountPoint of this.mounts().toReversed()) await run("umount", mountPoint);
  }

  /** How many descriptors the daemon has. */
  descriptors(): number {
    return readdirSync(`/proc/${this.daemon.pid}/fd`).length;
  }

  async volumes(state?: string): Promise<readonly VolumeJson[]> {
    const query = state === undefined ? "" : `?state=${state}`;
    const { volumes } = await requestJson<{ volumes: VolumeJson[] }>(this.daemon.socket, {
      path: `/v1/volumes${query}`,
    });
    return volumes;
  }

  async containers(): Promise<readonly ContainerJson[]> {
    return (await requestJson<{ containers: ContainerJson[] }>(this.daemon.socket, { path: "/v1/containers" }))
      .containers;
  }

  /** Reserved and unreserved MB, by role. */
  async reserved(): Promise<object> {
    const state = await requestJson<{ reserved_resources_full: object }>(this.daemon.http, { path: "/state" });
    return state.reserved_resources_full;
  }

  /** As an operator does it: a volume of 4 MB on disk that is reserved for more than it. */
  async createByOperator(role: string, id: string, options: { readonly shared?: boolean } = {}): Promise<string> {
    const disk = (size: number, rest: object) => ({
      name: "disk",
      type: "SCALAR",
      scalar: { value: size },
      reservations: [{ type: "DYNAMIC", role }],
      ...rest,
    });
    const persistence = { persistence: { id }, volume: { mode: "RW", container_path: "data" } };
    const volume = disk(4, { disk: persistence, ...(options.shared === true ? { shared: {} } : {}) });
    const operations = [
      { type: "RESERVE", reserve: { resources: [disk(16, {})] } },
      { type: "CREATE", create: { volumes: [volume] } },
    ];
    await requestJson(this.daemon.socket, { method: "POST", path: "/v1/operations", body: { operations } });
    return `${role}/${id}`;
  }

  async restore(role: string, id: string): Promise<VolumeJson> {
    const { text } = await request(this.daemon.socket, {
      method: "POST",
      path: "/v1/volumes/restore",
      body: { role, id },
    });
    return JSON.parse(text) as VolumeJson;
  }

  /** What the daemon has written. */
  log(): string {
    return readFileSync(path.join(this.place.dir, "daemon.log"), "utf8");
  }

  async restart(): Promise<void> {
    await this.daemon.kill9();
    await this.daemon.start();
  }

  /** Unpublishes and deletes all that is there, so that the next test begins with nothing. */
  async clear(): Promise<void> {
    for (const { sandbox, volumes } of await this.containers()) {
      for (const { role, id, containerPath } of volumes) {
        const target = { volume_id: `${role}/${id}`, target_path: path.join(sandbox, containerPath) };
        await this.#untilDone("NodeUnpublishVolume", target);
      }
    }
    const { entries } = await this.must("ListVolumes");
    for (const { volume } of entries) await this.#untilDone("DeleteVolume", { volume_id: volume.volume_id });
    const snapshots = await this.must("ListSnapshots");
    for (const { snapshot } of snapshots.entries) {
      await this.#untilDone("DeleteSnapshot", { snapshot_id: snapshot.snapshot_id });
    }
  }

  /** Whoever looks through all of /tmp makes a mount busy for a moment. */
  async #untilDone(name: string, fields: object): Promise<void> {
    for (let tries = TRIES; tries > 1; tries -= 1) {
      if ((await this.call(name, fields)).status === "OK") return;
      await sleep(RETRY_MS);
    }
    await this.must(name, fields);
  }

  async close(): Promise<void> {
    this.client.close();
    await this.daemon.kill9();
    await this.place.remove();
  }
}
