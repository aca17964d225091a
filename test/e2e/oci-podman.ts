/** The real podman, which finds the hook by its hooks.d file. Storage, state and control groups are its own. */
import { spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { type Outcome, printedBy, runToEnd } from "./command.ts";
import { type ContainerSpec, type ContainerTool, livePid, makeRoot, removeGroups, startToFile } from "./oci.ts";
import { run } from "./run.ts";

const PODMAN = "podman";
const IMAGE = "localhost/holdfast-test:1";
const RUN_MS_MAX = 60_000;

/** A machine may permit less than podman asks for by default. */
const LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

export interface PodmanOptions {
  readonly dir: string;
  /** Where `holdfast hook install` wrote the hook. */
  readonly hooksDir: string;
}

export async function openPodman({ dir, hooksDir }: PodmanOptions): Promise<ContainerTool> {
  const runtimeRoot = path.join(dir, "runc");
  const group = `/holdfast-test-${path.basename(dir)}`;
  const base = ["--root", path.join(dir, "storage"), "--runroot", path.join(dir, "state"), "--hooks-dir", hooksDir];
  base.push("--storage-driver", "vfs", "--events-backend", "none", "--runtime", "runc", "--cgroup-manager", "cgroupfs");
  base.push("--tmpdir", path.join(dir, "tmp"), "--runtime-flag", `root=${runtimeRoot}`);
  const common = ["--net", "none", "--cgroup-parent", group, "--cgroups", "no-conmon", ...LIMITS];

  const call = (...args: string[]): Promise<Outcome> => runToEnd(PODMAN, [...base, ...args], { timeout: RUN_MS_MAX });
  const must = async (...args: string[]): Promise<string> =>
    printedBy(`podman ${args.join(" ")}`, await call(...args)).trim();
  const imageOf = async ({ id, image }: ContainerSpec): Promise<string> => {
    if (image === undefined) return IMAGE;
    const name = `localhost/${id}:1`;
    await importImage(path.join(dir, `image-${id}`), name, image);
    return name;
  };
  const importImage = async (root: string, name: string, change?: ContainerSpec["image"]): Promise<void> => {
    await makeRoot(root);
    await change?.(root);
    await run("tar", "--create", "--file", `${root}.tar`, "--directory", root, ".");
    await must("import", `${root}.tar`, name);
  };
  const container = async (spec: ContainerSpec): Promise<string[]> => {
    const annotations = Object.entries(spec.annotations ?? {}).flatMap(([key, value]) => [
      "--annotation",
      csv(key, value),
    ]);
    const root = spec.readOnlyRoot === true ? ["--read-only"] : [];
    return ["--name", spec.id, ...common, ...root, ...annotations, await imageOf(spec), "/bin/sh", "-c", spec.script];
  };
  const inspect = (id: string, what: string) => must("inspect", "--format", what, id);

  await importImage(path.join(dir, "image"), IMAGE);
  return {
    run: async (spec) => call("run", ...(await container(spec))),
    start: async (spec) =>
      startToFile(
        [PODMAN, ...base, "run", "--detach", ...(await container(spec))],
        path.join(dir, `output-${spec.id}`),
      ),
    spawn: async (spec) => spawn(PODMAN, [...base, "run", ...(await container(spec))], { stdio: "ignore" }),
    makerOf: async () =>
      findProcess((args) => args.includes("create") && args.some((arg) => arg.endsWith(runtimeRoot))),
    idOf: (id) => inspect(id, "{{.Id}}"),
    pidOf: async (id) => livePid(Number(await inspect(id, "{{.State.Pid}}")), id),
    remove: async (id) => void (await call("rm", "--force", "--ignore", "--time", "0", id)),
    list: async () => (await must("ps", "--quiet")).split("\n").filter((id) => id !== ""),
    clear: async () => {
      await call("rm", "--force", "--all", "--time", "0");
      // What podman lost sight of.
      for (const id of await runcList(runtimeRoot)) await run("runc", "--root", runtimeRoot, "delete", "--force", id);
      await removeGroups(group);
    },
  };
}

async function runcList(root: string): Promise<readonly string[]> {
  const listed: unknown = JSON.parse(await run("runc", "--root", root, "list", "--format", "json"));
  return ((listed ?? []) as { readonly id: string }[]).map(({ id }) => id);
}

/** The one process whose command line is so; conmon, which is given the same arguments, comes from elsewhere. */
async function findProcess(isIt: (args: readonly string[]) => boolean): Promise<number> {
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const args = (await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (path.basename(args[0] ?? "") === "runc" && isIt(args)) return Number(name);
  }
  throw new Error("Cannot find the runtime: it makes no container now");
}

/** This podman reads annotations as CSV. */
function csv(key: string, value: string): string {
  return `"${`${key}=${value}`.replaceAll('"', '""')}"`;
}
