/** The program that runs a guest: QEMU without help from the processor, so that it runs everywhere. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { execa, type ResultPromise } from "execa";
import type { Kernel } from "./kernel.ts";

export const REPOSITORY = path.resolve(import.meta.dirname, "../..");

/** What the guest sees of the host when it is not on the root file system. */
const SHOWN = [REPOSITORY, "/usr", "/etc"];

export type DiskCache = "unsafe" | "writeback" | "none" | "directsync";

export interface MachineOptions {
  /** An empty directory for what it needs while it runs: `console.log` is what the kernel says. */
  readonly directory: string;
  readonly kernel: Kernel;
  readonly initramfs: string;
  readonly disks: readonly string[];
  readonly diskCache: DiskCache;
  readonly memoryMb: number;
  readonly cpus: number;
  readonly kernelArguments: readonly string[];
  /** The guest's serial ports, and the listening sockets that they connect to. */
  readonly ports: readonly { readonly name: string; readonly socket: string }[];
}

const RUN_OPTIONS = { stdin: "ignore", all: true, reject: false } as const;

/** The running program; what it ends with has all that it said. */
export type Machine = ResultPromise<typeof RUN_OPTIONS>;

/** Starts it; it ends with this process, however that ends, and leaves no process and no mount. */
export function startMachine(options: MachineOptions): Machine {
  const script = path.join(import.meta.dirname, "machine.sh");
  const apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const shown = new Set(SHOWN.map(mountPointOf).filter((mountPoint) => mountPoint !== "/"));
  const line = [...apart, "sh", script, options.directory, ...shown, "--", ...qemu(options)];
  return execa("setpriv", ["--pdeathsig", "KILL", "--", ...line], RUN_OPTIONS);
}

function qemu({ directory, kernel, ...options }: MachineOptions): string[] {
  return [
    ...["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", String(options.cpus), "-m", `${options.memoryMb}M`],
    // Its memory is shared with the program that shows it files.
    ...["-object", `memory-backend-memfd,id=memory,size=${options.memoryMb}M,share=on`, "-numa", "node,memdev=memory"],
    ...["-chardev", `socket,id=files,path=${directory}/files`],
    ...["-device", "vhost-user-fs-pci,chardev=files,tag=host,queue-size=1024"],
    ...["-serial", `file:${directory}/console.log`],
    ...["-device", "virtio-serial-pci,max_ports=31"],
    ...options.ports.flatMap(({ name, socket }, index) => [
      ...["-chardev", `socket,id=port${index},path=${socket}`],
      ...["-device", `virtserialport,chardev=port${index},nr=${index + 1},name=${name}`],
    ]),
    ...options.disks.flatMap((file, index) => [
      ...["-drive", `if=none,id=disk${index},file=${file.replaceAll(",", ",,")},format=raw,cache=${options.diskCache}`],
      ...["-device", `virtio-blk-pci,drive=disk${index}`],
    ]),
    ...["-kernel", kernel.image, "-initrd", options.initramfs, "-append", commandLine(kernel, options.kernelArguments)],
  ];
}

/** What the kernel does not know goes to its first program's environment. */
function commandLine(kernel: Kernel, more: readonly string[]): string {
  const modules = path.join(kernel.root, "lib/modules", kernel.release);
  return [
    ...["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "nokaslr"],
    ...[`HOLDFAST_REPOSITORY=${REPOSITORY}`, `HOLDFAST_MODULES=${modules}`],
    ...more,
  ].join(" ");
}

/** Kills it as a power cut does, and waits until none of its processes is there. */
export async function killMachine(program: Machine): Promise<void> {
  // `unshare` ends when its child has, and that when all in its process namespace have.
  const [machine] = childrenOf(program.pid);
  if (machine === undefined) program.kill("SIGKILL");
  else process.kill(machine, "SIGKILL");
  await program;
}

/** The process that has the guest's memory and writes its disks. */
export function machinePid(program: Machine): number {
  const [machine] = childrenOf(program.pid);
  if (machine === undefined) throw new Error("The guest is off");
  return machine;
}

function childrenOf(pid: number | undefined): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number) : [];
}

/** Where the file system that has a directory is mounted. */
function mountPointOf(directory: string): string {
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
  const above = points.filter((point) => point !== "" && `${directory}/`.startsWith(point === "/" ? "/" : `${point}/`));
  return above.reduce((longest, point) => (point.length > longest.length ? point : longest), "/");
}
