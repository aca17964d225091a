/** A real daemon whose volumes somebody mounts and unmounts behind its back, and what its doors and the kernel say. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainersJson, GcJson, VolumesJson } from "../../../src/faces/http/wire.ts";
import { type MountEntry, readMountTable } from "../../../src/host/mount-table.ts";
import { Daemon } from "../../e2e/daemon.ts";
import { makePlace, type Place } from "../../e2e/place.ts";
import { type Answer, request } from "../../e2e/request.ts";

export const VOLUMES = ["a", "b", "c"] as const;
export const CONTAINERS = ["one", "two", "three"] as const;
const ROLE = "ads";
/** Longer than any answer takes, on a machine that does much else. */
const ANSWER_MS_MAX = 15_000;
const INCARNATION = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/** A mount of a volume, or of something else in the place. */
export interface Seen {
  readonly mountId: number;
  readonly path: string;
  /** The incarnation that it shows. */
  readonly uuid: string | undefined;
  readonly options: readonly string[];
}

export class Node {
  readonly dir: string;
  readonly daemon: Daemon;
  readonly #place: Place;
  readonly violations: string[] = [];

  private constructor(place: Place, daemon: Daemon) {
    this.#place = place;
    this.dir = place.dir;
    this.daemon = daemon;
  }

  static async start(): Promise<Node> {
    const place = await makePlace("adversary");
    try {
      const args = ["--resources", "disk(ads):4096", "--reconcile-interval", "1s", "--gc-min-age", "0s"];
      const daemon = await Daemon.start({ dir: place.dir, args });
      for (const name of CONTAINERS) mkdirSync(join(place.dir, name));
      mkdirSync(join(place.dir, "foreign"));
      return new Node(place, daemon);
    } catch (error) {
      await place.remove();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.daemon.kill9();
    await this.#place.remove();
  }

  sandbox(container: string): string {
    return join(this.dir, container);
  }

  /** Every answer is one: in time, and no failure of the daemon's own. */
  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const startedMs = performance.now();
    const answer = await request(this.daemon.socket, { method, path, ...(body === undefined ? {} : { body }) });
    const tookMs = performance.now() - startedMs;
    if (answer.status === 500) this.violations.push(`${method} ${path} failed: ${answer.text}`);
    if (tookMs > ANSWER_MS_MAX) this.violations.push(`${method} ${path} took ${Math.round(tookMs)} ms`);
    return answer;
  }

  attach(container: string, ids: readonly string[]): Promise<Answer> {
    const volumes = ids.map((id) => ({ role: ROLE, id }));
    return this.call("PUT", `/v1/containers/${container}`, { sandbox: this.sandbox(container), volumes });
  }

  detach(container: string, options: { readonly force: boolean }): Promise<Answer> {
    return this.call("DELETE", `/v1/containers/${container}${options.force ? "?force=true" : ""}`);
  }

  /** With a canary in it. */
  async create(id: string): Promise<Answer> {
    const answer = await this.#operate("CREATE", "create", id);
    if (answer.status !== 200) return answer;
    const volume = (await this.volumes()).find((one) => one.id === id && one.state === "detached");
    if (volume !== undefined) writeFileSync(join(volume.path, "canary"), volume.uuid);
    return answer;
  }

  destroy(id: string): Promise<Answer> {
    return this.#operate("DESTROY", "destroy", id);
  }

  restore(id: string): Promise<Answer> {
    return this.call("POST", "/v1/volumes/restore", { role: ROLE, id });
  }

  /** Whatever their age; returns those that were deleted. */
  async collect(uuids: readonly string[]): Promise<readonly string[]> {
    const answer = await this.call("POST", "/v1/gc", { uuids });
    if (answer.status !== 200) return [];
    return ((JSON.parse(answer.text) as GcJson).collected ?? []).map(({ uuid }) => uuid);
  }

  async volumes(): Promise<VolumesJson["volumes"]> {
    return (JSON.parse((await this.call("GET", "/v1/volumes")).text) as VolumesJson).volumes;
  }

  async containers(): Promise<ContainersJson["containers"]> {
    return (JSON.parse((await this.call("GET", "/v1/containers")).text) as ContainersJson).containers;
  }

  async restart(): Promise<void> {
    await this.daemon.kill9();
    await this.daemon.start();
  }

  /** What a process, or we, have mounted in the place, the oldest first. */
  mounts(pid: number | "self" = "self"): readonly Seen[] {
    return readMountTable(pid)
      .filter(({ mountPoint }) => mountPoint.toString().startsWith(`${this.dir}/`))
      .map(seen);
  }

  /** Whether the content of an incarnation is still what it was, live or destroyed. */
  hasCanary(uuid: string): boolean {
    return ["volumes", "trash"].some((folder) =>
      existsSync(join(this.daemon.workRoot, folder, uuid, "content", "canary")),
    );
  }

  trash(): readonly string[] {
    return readdirSync(join(this.daemon.workRoot, "trash"));
  }

  #operate(type: string, field: string, id: string): Promise<Answer> {
    const volume = { mode: "RW", container_path: id };
    const disk = { name: "disk", type: "SCALAR", scalar: { value: 8 }, role: ROLE };
    const volumes = [{ ...disk, disk: { persistence: { id }, volume } }];
    return this.call("POST", "/v1/operations", { operations: [{ type, [field]: { volumes } }] });
  }
}

function seen({ mountId, mountPoint, root, options }: MountEntry): Seen {
  const shown = root.toString();
  const uuid = /\/(?:volumes|trash)\//.test(shown) ? INCARNATION.exec(shown)?.[0] : undefined;
  return { mountId, path: mountPoint.toString(), uuid, options };
}
