/** A daemon on a small disk of its own, that is killed, and filled up from outside. */
import { mkdir, open, readdir, readFile, readlink, rm, statfs } from "node:fs/promises";
import path from "node:path";
import { execa } from "execa";
import { makeProgram } from "../../e2e/bundled-program.ts";
import { makePlace, type Place } from "../../e2e/place.ts";
import { requestJson } from "../../e2e/request.ts";
import { run } from "../../e2e/run.ts";
import { TracedDaemon } from "../traced-daemon.ts";

const MB = 2 ** 20;
/** For the checkpoint, its log, and the file system's own books. */
const DISK_MB_MIN = 256;
/** Directories, label, content and the promise of the rest of its size. */
const MB_PER_VOLUME = 0.035;
const BYTES_PER_INODE = 4096;
const FILL_BYTES = 4096;

/** What a daemon holds. */
export interface Holdings {
  readonly fds: number;
  readonly threads: number;
  readonly residentMb: number;
}

export class SoakNode {
  readonly daemon: TracedDaemon;
  readonly sandboxes: string;
  readonly #place: Place;
  readonly #disk: string;
  #loop: string | undefined;

  private constructor(place: Place, program: string, diskMb: number) {
    this.#place = place;
    this.#disk = path.join(place.dir, "disk");
    this.sandboxes = path.join(place.dir, "sandboxes");
    const dir = path.join(place.dir, "daemon");
    // Nothing is collected by its age in the time of a run.
    const args = ["--resources", `disk(*):${diskMb}`, "--work-root", this.workRoot, "--gc-min-age", "1d"];
    args.push("--gc-interval", "5s", "--reconcile-interval", "10s", "--mount-backend", "bind", "--log-level", "warn");
    this.daemon = new TracedDaemon({ dir, program, pool: 16, args, tellsHeap: true });
  }

  /** Room for so many volumes, and not much more. */
  static async make(volumes: number): Promise<SoakNode> {
    const place = await makePlace("soak");
    const diskMb = Math.ceil(DISK_MB_MIN + volumes * MB_PER_VOLUME);
    const [daemonDir, programDir] = [path.join(place.dir, "daemon"), path.join(place.dir, "program")];
    let node: SoakNode | undefined;
    try {
      const own = ["disk", "sandboxes", path.join("daemon", "tmp")].map((name) => path.join(place.dir, name));
      for (const dir of [programDir, daemonDir, ...own]) await mkdir(dir);
      node = new SoakNode(place, await makeProgram(programDir), Math.floor(diskMb * 0.6));
      await node.#mountDisk(diskMb);
      await node.daemon.mustStart();
      return node;
    } catch (error) {
      await (node?.remove() ?? place.remove());
      throw error;
    }
  }

  get workRoot(): string {
    return path.join(this.#disk, "root");
  }

  async restart(): Promise<void> {
    await this.daemon.kill9();
    await this.daemon.mustStart();
  }

  /** Takes the last byte of the disk away. */
  async fillDisk(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#disk);
    const most = ["--length", String(Math.max(MB, bavail * bsize - MB)), this.#filling];
    // Somebody else may have taken it meanwhile, which is as full.
    await execa("fallocate", most, { stdin: "ignore", reject: false });
    const file = await open(this.#filling, "a");
    try {
      for (;;) await file.write(Buffer.alloc(FILL_BYTES, 1));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      await file.close();
    }
  }

  async emptyDisk(): Promise<void> {
    await rm(this.#filling, { force: true });
  }

  /** What is mounted in the sandboxes, in the kernel's order. */
  async mounts(): Promise<string[]> {
    const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
    return lines.map((line) => line.split(" ")[4] ?? "").filter((target) => target.startsWith(`${this.sandboxes}/`));
  }

  async holdings(): Promise<Holdings> {
    const proc = `/proc/${this.daemon.pid}`;
    const [fds, threads, status] = await Promise.all([
      readdir(`${proc}/fd`),
      readdir(`${proc}/task`),
      readFile(`${proc}/status`, "utf8"),
    ]);
    const residentMb = Math.round(Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1]) / 1024);
    return { fds: fds.length, threads: threads.length, residentMb };
  }

  /** MB of its heap when garbage is gone. */
  async liveHeapMb(): Promise<number> {
    return Math.round((await this.daemon.liveHeap()) / MB);
  }

  /** What its descriptors lead to, with how many of each; numbers in names do not count. */
  async descriptors(): Promise<string> {
    const dir = `/proc/${this.daemon.pid}/fd`;
    const targets = await Promise.all((await readdir(dir)).map((fd) => readlink(`${dir}/${fd}`).catch(() => "gone")));
    const kinds = Map.groupBy(targets, (target) => target.replaceAll(/[0-9a-f-]{36}|\d+/g, "N"));
    return [...kinds].map(([kind, { length }]) => `${length} ${kind}`).join(", ");
  }

  async entries(name: "volumes" | "trash"): Promise<number> {
    return (await readdir(path.join(this.workRoot, name))).length;
  }

  async status(): Promise<{
    readonly volumes: Readonly<Record<string, number>>;
    readonly problems: readonly string[];
  }> {
    return requestJson(this.daemon.socket, { path: "/v1/status" });
  }

  async remove(): Promise<void> {
    await this.daemon.kill9().catch(() => undefined);
    await this.#place.remove();
    if (this.#loop !== undefined) await run("losetup", "--detach", this.#loop).catch(() => undefined);
  }

  get #filling(): string {
    return path.join(this.#disk, "filling");
  }

  async #mountDisk(sizeMb: number): Promise<void> {
    const image = path.join(this.#place.dir, "disk.image");
    await run("truncate", "--size", `${sizeMb}M`, image);
    await run("mkfs.ext4", "-q", "-m", "0", "-i", String(BYTES_PER_INODE), image);
    this.#loop = await run("losetup", "--find", "--show", image);
    await run("mount", this.#loop, this.#disk);
    // Freed with the last mount, also when nobody comes back to do it.
    await run("losetup", "--detach", this.#loop);
    this.#loop = undefined;
  }
}
