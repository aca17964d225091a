import { readFile } from "node:fs/promises";
import path from "node:path";
import { Program } from "../../test/e2e/program.ts";
import { request } from "../../test/e2e/request.ts";
import { wire } from "./load.ts";

const STOP_MS_MAX = 20_000;

/** Docker Engine on a socket of its own, with nothing outside the benchmark's directories. */
export class Docker {
  readonly door: { readonly socketPath: string };
  readonly #dir: string;
  #program: Program | undefined;
  #created = 0;

  private constructor(dir: string) {
    this.#dir = dir;
    this.door = { socketPath: path.join(dir, "docker.sock") };
  }

  /** Starts dockerd and waits until it answers; `dir` takes its socket and state, `dataRoot` its volumes. */
  static async start(dir: string, dataRoot: string): Promise<Docker> {
    const docker = new Docker(dir);
    const args = docker.#arguments(dataRoot);
    docker.#program = await Program.start(["dockerd", ...args], path.join(dir, "dockerd.log"));
    await docker.#program.until(async () => (await request(docker.door, { path: "/_ping" })).status === 200);
    return docker;
  }

  /** Requests that create volumes that are not there yet. */
  createRequests(count: number): string[] {
    return Array.from({ length: count }, () => {
      this.#created += 1;
      return wire("POST", "/volumes/create", JSON.stringify({ Name: `bench-${this.#created}` }));
    });
  }

  /** Stops it, and the containerd that it started should it have left that alone. */
  async stop(): Promise<void> {
    const timely = await this.#program?.stop(STOP_MS_MAX);
    if (timely !== false) return;
    const containerd = await readFile(path.join(this.#dir, "exec/containerd/containerd.pid"), "utf8").catch(() => "");
    if (containerd !== "") process.kill(Number(containerd), "SIGKILL");
  }

  #arguments(dataRoot: string): string[] {
    const places = [`--host=unix://${this.door.socketPath}`, `--data-root=${dataRoot}`];
    places.push(`--exec-root=${path.join(this.#dir, "exec")}`, `--pidfile=${path.join(this.#dir, "docker.pid")}`);
    return [...places, "--bridge=none", "--iptables=false", "--ip6tables=false"];
  }
}
