import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Outcome, printedBy, runToEnd } from "./command.ts";
import type { EngineRoom } from "./engine-room.ts";
import { killTree } from "./process-tree.ts";
import { Program } from "./program.ts";

const CLIENT = "/usr/bin/docker";
const DAEMON = "/usr/sbin/dockerd";
const STOP_MS_MAX = 20_000;
const COMMAND_MS_MAX = 60_000;

const IMAGE = "busybox-only";
export const dockerInstalled = existsSync(DAEMON) && existsSync(CLIENT);

/** A real Docker Engine with a socket, a state and a room of its own. Containers have no network. */
export class DockerEngine {
  readonly #room: EngineRoom;
  readonly #args: readonly string[];
  #program: Program | undefined;

  private constructor(room: EngineRoom, args: readonly string[]) {
    this.#room = room;
    this.#args = args;
  }

  /** Starts it, and gives it the image. */
  static async start(room: EngineRoom, ...args: readonly string[]): Promise<DockerEngine> {
    const docker = new DockerEngine(room, args);
    await writeFile(docker.#in("daemon.json"), "{}");
    await docker.start();
    await docker.must("import", room.image, IMAGE);
    return docker;
  }

  /** Starts it again after `kill9` or `stop`. */
  async start(): Promise<void> {
    // Where its containerd writes its stacks when it is asked to end.
    const command = ["env", `TMPDIR=${this.#room.dir}`, ...this.#commandLine()];
    this.#program = await Program.start(this.#room.within(command), this.#in("dockerd.log"));
    await this.#program.until(async () => (await this.run("version")).status === 0);
  }

  /** Ends it as a crash would. Its containerd goes with it. */
  async kill9(): Promise<void> {
    const pidFile = this.#in("exec/containerd/containerd.pid");
    const containerd = Number(await readFile(pidFile, "utf8"));
    await this.#program?.end("SIGKILL");
    this.#program = undefined;
    await killTree(containerd);
    // Where init reaps late, the next dockerd would take it for alive.
    await rm(pidFile);
  }

  /** Removes every container, stops, and ends whatever it has left running. */
  async remove(): Promise<void> {
    if (this.#program?.running !== true) await this.start();
    const containers = await this.must("ps", "--all", "--quiet");
    if (containers !== "") await this.run("rm", "--force", ...containers.split("\n"));
    await this.#program?.stop(STOP_MS_MAX);
    this.#program = undefined;
    for (const pid of await this.processes()) await killTree(pid);
  }

  /** Runs the command line client to its end, however that is. */
  run(...args: readonly string[]): Promise<Outcome> {
    return runToEnd(CLIENT, ["--host", `unix://${this.#in("docker.sock")}`, ...args], {
      env: { DOCKER_CONFIG: this.#in("client") },
      timeout: COMMAND_MS_MAX,
    });
  }

  /** Like `run`, for callers that know that it must work; returns what it printed. */
  async must(...args: readonly string[]): Promise<string> {
    return printedBy(`docker ${args.join(" ")}`, await this.run(...args));
  }

  /** Runs a shell script in a container that goes away with it. */
  runOnce(volume: string, script: string): Promise<Outcome> {
    return this.run("run", "--rm", "--network=none", `--volume=${volume}:/data`, IMAGE, "sh", "-c", script);
  }

  /** Starts a container that stays. */
  runDetached(name: string, volume: string, ...options: readonly string[]): Promise<Outcome> {
    const command = ["run", "--detach", "--network=none", `--name=${name}`, `--volume=${volume}:/data`, ...options];
    return this.run(...command, IMAGE, "sleep", "1000");
  }

  /** The process id of a container's first process. */
  async pidOf(container: string): Promise<number> {
    return Number(await this.must("inspect", "--format={{.State.Pid}}", container));
  }

  /** Processes of its own and those that watch its containers: all are told its directory. */
  async processes(): Promise<number[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
    return pids.filter((_pid, index) => lines[index]?.includes(this.#in("exec")) === true).map(Number);
  }

  #in(name: string): string {
    return path.join(this.#room.dir, name);
  }

  #commandLine(): string[] {
    const places = [`--host=unix://${this.#in("docker.sock")}`, `--data-root=${this.#in("data")}`];
    places.push(`--exec-root=${this.#in("exec")}`, `--pidfile=${this.#in("docker.pid")}`);
    places.push(`--config-file=${this.#in("daemon.json")}`, "--storage-driver=vfs");
    const network = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"];
    return [DAEMON, ...places, ...network, ...this.#args];
  }
}
