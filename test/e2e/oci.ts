/**
 * Real OCI runtimes with bundles of their own: a root made from busybox, and a state directory that nobody else uses.
 * Containers are made without resources: what this machine permits to limit is not what is tested.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rmdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Outcome, runToEnd } from "./command.ts";

/** What a container is started with. */
export interface ContainerSpec {
  readonly id: string;
  /** For `sh -c`. */
  readonly script: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly readOnlyRoot?: boolean;
  /** Changes the root before the container starts. */
  readonly image?: (rootfs: string) => Promise<unknown>;
}

/** Starts and ends containers; everything it makes lies in one directory. */
export interface ContainerTool {
  /** The root that all its containers start from, where it is one directory. */
  readonly rootfs?: string;
  /** Runs a container to its end. */
  run(spec: ContainerSpec): Promise<Outcome>;
  /** Starts a container and leaves it running; the outcome is that of the start. */
  start(spec: ContainerSpec): Promise<Outcome>;
  /** Begins to start a container. */
  spawn(spec: ContainerSpec): Promise<ChildProcess>;
  /** The runtime that makes a container now, of which this is the child that `spawn` gave. */
  makerOf(child: ChildProcess): Promise<number>;
  /** The id under which the daemon knows a container. */
  idOf(id: string): Promise<string>;
  /** The container's first process. */
  pidOf(id: string): Promise<number>;
  /** `delete --force`; of one that is not there nothing. */
  remove(id: string): Promise<void>;
  /** Containers that the runtime knows. */
  list(): Promise<readonly string[]>;
  /** Removes every container. */
  clear(): Promise<void>;
}

export interface ToolOptions {
  readonly dir: string;
  /** The hooks object: what `holdfast hook config` prints. */
  readonly hooks: object;
  /** How the program is called, up to its subcommand. */
  readonly program: (dir: string) => readonly [string, ...string[]];
}

const APPLETS = ["sh", "cat", "echo", "sleep", "ls", "mkdir", "touch", "grep", "true", "false", "kill"];
const RUN_MS_MAX = 30_000;

const NAMESPACES = ["mount", "pid", "ipc", "uts", "network"];
const DEVICES = { type: "tmpfs", source: "tmpfs", destination: "/dev", options: ["nosuid", "mode=755"] };
const PROCESSES = { type: "proc", source: "proc", destination: "/proc" };

export const runcCommand: ToolOptions["program"] = (dir) => ["runc", "--root", path.join(dir, "runc")];

/** crun wants the second version of control groups alone. */
export const crunCommand: ToolOptions["program"] = (dir) => [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec crun --root "$0" --cgroup-manager=cgroupfs "$@"',
  path.join(dir, "crun"),
];

export function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((directory) => existsSync(path.join(directory, program)));
}

/** A directory with nothing but busybox and the mount points that a runtime wants. */
export async function makeRoot(rootfs: string): Promise<void> {
  for (const directory of ["bin", "proc", "dev", "sys", "tmp", "srv"]) {
    await mkdir(path.join(rootfs, directory), { recursive: true });
  }
  await copyFile("/bin/busybox", path.join(rootfs, "bin/busybox"));
  for (const applet of APPLETS) await symlink("busybox", path.join(rootfs, "bin", applet));
}

/** A runtime whose containers all share one root, each with a bundle of its own. */
export async function openRuntime({ dir, hooks, program }: ToolOptions): Promise<ContainerTool> {
  const rootfs = path.join(dir, "rootfs");
  const commandLine = program(dir);
  const group = `/holdfast-test-${path.basename(dir)}`;
  await makeRoot(rootfs);

  const call = (...args: string[]): Promise<Outcome> => {
    const [file, ...first] = commandLine;
    return runToEnd(file, [...first, ...args], { timeout: RUN_MS_MAX });
  };
  const bundleOf = async (spec: ContainerSpec): Promise<string> => {
    const bundle = path.join(dir, "bundles", spec.id);
    await mkdir(bundle, { recursive: true });
    await writeFile(path.join(bundle, "config.json"), JSON.stringify(configOf(spec, { rootfs, hooks, group })));
    await spec.image?.(rootfs);
    return bundle;
  };
  const stateOf = async (id: string): Promise<{ readonly pid: number }> => JSON.parse((await call("state", id)).stdout);
  const list = async () => {
    const { stdout } = await call("list", "--format", "json");
    return ((JSON.parse(stdout || "null") ?? []) as { readonly id: string }[]).map(({ id }) => id);
  };
  const remove = async (id: string) => void (await call("delete", "--force", id));
  return {
    rootfs,
    run: async (spec) => call("run", "--bundle", await bundleOf(spec), spec.id),
    start: async (spec) => {
      const bundle = await bundleOf(spec);
      return startToFile([...commandLine, "run", "--detach", "--bundle", bundle, spec.id], path.join(bundle, "output"));
    },
    spawn: async (spec) => {
      const bundle = await bundleOf(spec);
      const [file, ...first] = commandLine;
      return spawn(file, [...first, "run", "--bundle", bundle, spec.id], { stdio: "ignore" });
    },
    // A shell before it has replaced itself by the runtime.
    makerOf: async (child) => livePid(child.pid ?? 0, "that was spawned"),
    idOf: async (id) => id,
    pidOf: async (id) => livePid((await stateOf(id)).pid, id),
    remove,
    list,
    clear: async () => {
      for (const id of await list()) await remove(id);
      await removeGroups(group);
    },
  };
}

/** Runs a program that leaves a container behind. That one keeps the output, so that it must be a file and no pipe. */
export async function startToFile([program = "", ...args]: readonly string[], output: string): Promise<Outcome> {
  const fd = openSync(output, "w");
  const child = spawn(program, args, { stdio: ["ignore", "ignore", fd], timeout: RUN_MS_MAX });
  closeSync(fd);
  const [status] = (await once(child, "exit")) as [number | null];
  return { status: status ?? undefined, stdout: "", stderr: await readFile(output, "utf8") };
}

/** A signal to the process 0 would go to ourselves. */
export function livePid(pid: number, id: string): number {
  if (Number.isSafeInteger(pid) && pid > 0) return pid;
  throw new Error(`Container ${id} does not run`);
}

/** Removes an engine's control group at the end of tests, unless it was there before them. */
export async function groupGuard(group: string): Promise<() => Promise<void>> {
  const hierarchies = await readdir("/sys/fs/cgroup");
  const isThere = hierarchies.some((hierarchy) => existsSync(path.join("/sys/fs/cgroup", hierarchy, group)));
  return async () => {
    if (!isThere) await removeGroups(group);
  };
}

/** The control groups below this one, of every hierarchy; one that something still lives in stays. */
export async function removeGroups(group: string): Promise<void> {
  for (const hierarchy of await readdir("/sys/fs/cgroup")) {
    const directory = path.join("/sys/fs/cgroup", hierarchy, group);
    const inner = await readdir(directory, { withFileTypes: true }).catch(() => []);
    const names = inner.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    for (const name of [...names, ""]) await rmdir(path.join(directory, name)).catch(() => undefined);
  }
}

export interface Surroundings {
  readonly rootfs: string;
  readonly hooks: object;
  /** Of all its containers: their own are below it. Absent: whatever the runtime takes. */
  readonly group?: string;
}

/** The `config.json` of a bundle. */
export function configOf(
  { id, script, annotations = {}, readOnlyRoot = false }: ContainerSpec,
  { rootfs, hooks, group }: Surroundings,
): object {
  return {
    ociVersion: "1.0.2",
    root: { path: rootfs, readonly: readOnlyRoot },
    process: {
      user: { uid: 0, gid: 0 },
      args: ["/bin/sh", "-c", script],
      env: ["PATH=/bin"],
      cwd: "/",
    },
    hostname: "container",
    mounts: [PROCESSES, DEVICES],
    annotations,
    hooks,
    linux: {
      ...(group === undefined ? {} : { cgroupsPath: `${group}/${id}` }),
      namespaces: NAMESPACES.map((type) => ({ type })),
    },
  };
}
