/** A disk of its own for tests: an ext4 image behind a loop device, mounted and unmounted at will. */
import path from "node:path";
import { run } from "./run.ts";

export class LoopDisk {
  readonly device: string;

  private constructor(device: string) {
    this.device = device;
  }

  static async make(dir: string, name: string, sizeMb = 64): Promise<LoopDisk> {
    const image = path.join(dir, name);
    await run("truncate", "--size", `${sizeMb}M`, image);
    await run("mkfs.ext4", "-q", "-m", "0", image);
    return new LoopDisk(await run("losetup", "--find", "--show", image));
  }

  async mount(directory: string, options = "rw"): Promise<void> {
    await run("mount", "-o", options, this.device, directory);
  }

  /** The device goes when the last mount of it does. */
  async detach(): Promise<void> {
    await run("losetup", "--detach", this.device);
  }
}
