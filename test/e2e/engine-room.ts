import { mkdir } from "node:fs/promises";
import path from "node:path";
import { type Resident, startResident } from "../support/resident.ts";
import { groupGuard } from "./oci.ts";
import { run } from "./run.ts";

/** Where container engines keep what no option of theirs moves. */
const INSISTED = ["/run", "/etc/docker", "/var/lib/containers"];

/**
 * A mount namespace in which the places that container engines insist on are a test's own, so that they touch nothing of
 * the machine's and find no plugin but the test's.
 */
export class EngineRoom {
  readonly dir: string;
  /** An image with nothing but busybox, as a tar file. */
  readonly image: string;
  /** Where Docker finds the plugin `holdfast` by itself. */
  readonly pluginSocket: string;
  readonly #resident: Resident;
  readonly #removeGroup: () => Promise<void>;

  private constructor(dir: string, resident: Resident, removeGroup: () => Promise<void>) {
    this.#removeGroup = removeGroup;
    this.dir = dir;
    this.image = path.join(dir, "image.tar");
    this.pluginSocket = path.join(placeOf(dir, "/run"), "docker/plugins/holdfast.sock");
    this.#resident = resident;
  }

  /** `group` is the control group that the engine makes for its containers. */
  static async open(dir: string, group: string): Promise<EngineRoom> {
    const removeGroup = await groupGuard(group);
    const binds = INSISTED.map((place) => `mkdir -p ${place} && mount --bind ${placeOf(dir, place)} ${place}`);
    await Promise.all(INSISTED.map((place) => mkdir(placeOf(dir, place), { recursive: true })));
    const resident = await startResident(binds.join("\n"), { ownNamespace: true });
    const room = new EngineRoom(dir, resident, removeGroup);
    await room.#makeImage();
    return room;
  }

  /** Puts a command line into the room. */
  within(commandLine: readonly string[]): readonly [string, ...string[]] {
    return ["nsenter", `--mount=/proc/${this.#resident.pid}/ns/mnt`, "--", ...commandLine];
  }

  async close(): Promise<void> {
    await this.#resident.stop();
    await this.#removeGroup();
  }

  async #makeImage(): Promise<void> {
    const root = path.join(this.dir, "image");
    await mkdir(path.join(root, "bin"), { recursive: true });
    await run("cp", "/bin/busybox", path.join(root, "bin"));
    await run("chroot", root, "/bin/busybox", "--install", "-s", "/bin");
    await run("tar", "-C", root, "-cf", this.image, ".");
  }
}

function placeOf(dir: string, place: string): string {
  return path.join(dir, "room", place);
}
