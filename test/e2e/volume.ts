import type { Daemon } from "./daemon.ts";
import type { User } from "./place.ts";
import { request, requestJson } from "./request.ts";

const ROLE = "ads";
const ID = "db";
const SIZE_MB = 512;
const CONTAINER = "server-1";

/** One volume and its way through a daemon's doors: reserve and create over HTTP, the rest over the agent socket. */
export class Volume {
  readonly #daemon: Daemon;

  private constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  static async create(daemon: Daemon): Promise<Volume> {
    const volume = new Volume(daemon);
    await volume.#operate("/reserve", "resources", reserved());
    await volume.#operate("/create-volumes", "volumes", described());
    return volume;
  }

  /** Attaches it at `<sandbox>/data`; `owner` gets the top of it. */
  async attach(sandbox: string, owner: User): Promise<void> {
    const body = { sandbox, volumes: [{ role: ROLE, id: ID }], ...owner };
    await requestJson(this.#daemon.socket, { method: "PUT", path: `/v1/containers/${CONTAINER}`, body });
  }

  async detach(): Promise<void> {
    const call = { method: "DELETE", path: `/v1/containers/${CONTAINER}` };
    const answer = await request(this.#daemon.socket, call);
    if (answer.status >= 300) throw new Error(`Cannot detach: ${answer.status}: ${answer.text}`);
  }

  destroy(): Promise<void> {
    return this.#operate("/destroy-volumes", "volumes", described());
  }

  async restore(): Promise<void> {
    const call = { method: "POST", path: "/v1/volumes/restore", body: { role: ROLE, id: ID } };
    await requestJson(this.#daemon.socket, call);
  }

  async state(): Promise<string> {
    const call = { path: `/v1/volumes/${ROLE}/${ID}` };
    return (await requestJson<{ state: string }>(this.#daemon.socket, call)).state;
  }

  async #operate(path: string, field: string, item: object): Promise<void> {
    const { id } = await requestJson<{ id: string }>(this.#daemon.http, { path: "/state" });
    const body = `slaveId=${id}&${field}=${JSON.stringify([item])}`;
    const answer = await request(this.#daemon.http, { method: "POST", path, body });
    if (answer.status !== 200) throw new Error(`POST ${path}: ${answer.status}: ${answer.text}`);
  }
}

function reserved(): object {
  const reservations = [{ type: "DYNAMIC", role: ROLE }];
  return { name: "disk", type: "SCALAR", scalar: { value: SIZE_MB }, reservations };
}

function described(): object {
  return { ...reserved(), disk: { persistence: { id: ID }, volume: { mode: "RW", container_path: "data" } } };
}
