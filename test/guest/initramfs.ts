/** What a kernel starts from: a small archive with one program, a script and the modules that lead to a bigger root. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { type Kernel, modulesFor } from "./kernel.ts";

const DIRECTORIES = ["bin", "dev", "proc", "host", "layer", "root", "modules"];
const MODULES = ["virtio_pci", "virtiofs", "overlay", "virtio_blk", "virtio_console"];
const DIRECTORY = 0o040_755;
const PROGRAM = 0o100_755;

export async function initramfs(kernel: Kernel): Promise<Buffer> {
  const modules = await modulesFor(kernel, MODULES);
  return archive([
    ...DIRECTORIES.map((name) => entry(name, DIRECTORY)),
    entry("bin/busybox", PROGRAM, readFileSync("/bin/busybox")),
    entry("init", PROGRAM, readFileSync(path.join(import.meta.dirname, "init.sh"))),
    ...modules.map((file, index) => entry(`modules/${10 + index}-${path.basename(file)}`, PROGRAM, readFileSync(file))),
  ]);
}

function archive(entries: readonly Buffer[]): Buffer {
  return Buffer.concat([...entries, entry("TRAILER!!!", 0)]);
}

/** One file in the archive format of cpio's "newc". */
function entry(name: string, mode: number, content = Buffer.alloc(0)): Buffer {
  const fields = [0, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  return Buffer.concat([padded(Buffer.from(`${header}${name}\0`)), padded(content)]);
}

function padded(part: Buffer): Buffer {
  return Buffer.concat([part, Buffer.alloc(-part.length & 3)]);
}
