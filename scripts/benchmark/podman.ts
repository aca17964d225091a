import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { Program } from "../../test/e2e/program.ts";
import { request } from "../../test/e2e/request.ts";
import { wire } from "./load.ts";

const STOP_MS_MAX = 10_000;

/** Podman's service of Docker's API, and its command line, on a state of their own. */
export class Podman {
  readonly door: { readonly socketPath: string };
  readonly #command: readonly [string, ...string[]];
  readonly #program: Program;
  #created = 0;

  private constructor(program: Program, command: readonly [string, ...string[]], socketPath: string) {
    this.#program = program;
    this.#command = command;
    this.door = { socketPath };
  }

  /** Starts the service and waits until it answers; `dir` takes its socket and state, `dataRoot` its volumes. */
  static async start(dir: string, dataRoot: string): Promise<Podman> {
    await mkdir(dir);
    // The locks of the machine's own Podman are few, and not ours to take.
    await writeFile(path.join(dir, "containers.conf"), '[engine]\nlock_type = "file"\n');
    const command = podmanCommand(dir, dataRoot);
    const socketPath = path.join(dir, "podman.sock");
    const service = ["system", "service", "--time=0", `unix://${socketPath}`];
    const program = await Program.start([...command, ...service], path.join(dir, "podman.log"));
    const podman = new Podman(program, command, socketPath);
    await program.until(async () => (await request(podman.door, { path: "/_ping" })).status === 200);
    return podman;
  }

  /** Requests that create volumes that are not there yet. */
  createRequests(count: number): string[] {
    return this.#names(count).map((Name) => wire("POST", "/volumes/create", JSON.stringify({ Name })));
  }

  /** Command lines that do. */
  createCommands(count: number): [string, ...string[]][] {
    return this.#names(count).map((name) => [...this.#command, "volume", "create", name]);
  }

  async stop(): Promise<void> {
    await this.#program.stop(STOP_MS_MAX);
  }

  #names(count: number): string[] {
    return Array.from({ length: count }, () => {
      this.#created += 1;
      return `bench-${this.#created}`;
    });
  }
}

function podmanCommand(dir: string, dataRoot: string): [string, ...string[]] {
  const places = [`--root=${dataRoot}`, `--runroot=${path.join(dir, "run")}`, `--tmpdir=${path.join(dir, "tmp")}`];
  places.push(`--network-config-dir=${path.join(dir, "net")}`);
  const ways = ["--storage-driver=vfs", "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file"];
  return ["env", `CONTAINERS_CONF=${path.join(dir, "containers.conf")}`, "podman", ...places, ...ways];
}
