import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Outcome, printedBy, runToEnd } from "./command.ts";
import type { EngineRoom } from "./engine-room.ts";

const PROGRAM = "/usr/bin/podman";
const COMMAND_MS_MAX = 60_000;

const IMAGE = "busybox-only";
export const podmanInstalled = existsSync(PROGRAM);

/** The real Podman with a state and a room of its own. Containers have no network. */
export class PodmanEngine {
  readonly #room: EngineRoom;

  private constructor(room: EngineRoom) {
    this.#room = room;
  }

  /** Configures it, and gives it the image. */
  static async prepare(room: EngineRoom): Promise<PodmanEngine> {
    const podman = new PodmanEngine(room);
    await mkdir(podman.#in(""), { recursive: true });
    await writeFile(podman.#in("containers.conf"), podman.#configuration());
    await podman.must("import", "--quiet", room.image, IMAGE);
    return podman;
  }

  /** Removes every container and every volume. */
  async removeAll(): Promise<void> {
    await this.must("rm", "--all", "--force", "--time=0");
    await this.must("volume", "rm", "--all", "--force");
  }

  /** Runs it to its end, however that is. */
  run(...args: readonly string[]): Promise<Outcome> {
    const options = [`--root=${this.#in("root")}`, `--runroot=${this.#in("runroot")}`, `--tmpdir=${this.#in("tmp")}`];
    options.push("--storage-driver=vfs", "--runtime=runc", "--cgroup-manager=cgroupfs", "--log-level=error");
    const [program, ...line] = this.#room.within([PROGRAM, ...options, ...args]);
    return runToEnd(program, line, { env: { CONTAINERS_CONF: this.#in("containers.conf") }, timeout: COMMAND_MS_MAX });
  }

  /** Like `run`, for callers that know that it must work; returns what it printed. */
  async must(...args: readonly string[]): Promise<string> {
    return printedBy(`podman ${args.join(" ")}`, await this.run(...args));
  }

  /** Runs a shell script in a container that goes away with it. */
  runOnce(volume: string, script: string): Promise<Outcome> {
    return this.run("run", "--rm", "--net=none", `--volume=${volume}:/data`, IMAGE, "sh", "-c", script);
  }

  /** Starts a container that stays. */
  runDetached(name: string, volume: string): Promise<Outcome> {
    const options = ["--detach", "--net=none", `--name=${name}`, `--volume=${volume}:/data`];
    return this.run("run", ...options, IMAGE, "sleep", "1000");
  }

  async pidOf(container: string): Promise<number> {
    return Number(await this.must("inspect", "--format={{.State.Pid}}", container));
  }

  #in(name: string): string {
    return path.join(this.#room.dir, "podman", name);
  }

  /** Limits that a root without CAP_SYS_RESOURCE may set too. */
  #configuration(): string {
    return `
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
events_logger = "file"
[engine.volume_plugins]
holdfast = "${this.#room.pluginSocket}"
[network]
network_config_dir = "${this.#in("net")}"
`;
  }
}
