/** A daemon with volumes, and a way to start containers that ask for them. */
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { mustHoldfast } from "./command.ts";
import { Daemon } from "./daemon.ts";
import { type ContainerTool, crunCommand, isInstalled, openRuntime, runcCommand } from "./oci.ts";
import { openPodman } from "./oci-podman.ts";
import { makePlace } from "./place.ts";
import { requestJson } from "./request.ts";

export interface HookScene {
  readonly dir: string;
  readonly daemon: Daemon;
  readonly tool: ContainerTool;
  /** Makes a volume of the role `ads`. */
  createVolume(id: string): Promise<void>;
  state(id: string): Promise<string>;
  /** Where a volume's content is. */
  content(id: string): Promise<string>;
  containers(): Promise<readonly ContainerFacts[]>;
  /** What must be as it was when every container has ended: mounts, and the directories of the root. */
  traces(): Promise<object>;
  close(): Promise<void>;
}

interface ContainerFacts {
  readonly id: string;
  readonly runtime?: string;
  readonly pid?: number;
  readonly sandbox?: string;
}

export const TOOLS = ["runc", "crun", "podman"] as const;
export type Tool = (typeof TOOLS)[number];

/** Says what a person has to install. */
function requireTool(tool: Tool): void {
  if (!isInstalled(tool)) throw new Error(`${tool} is not installed: apt-get install ${tool}`);
}

export async function openScene(
  kind: Tool,
  { daemonArgs = [] }: { readonly daemonArgs?: readonly string[] } = {},
): Promise<HookScene> {
  requireTool(kind);
  const place = await makePlace(`hook-${kind}`);
  const { dir } = place;
  const daemon = await Daemon.start({ dir, args: ["--resources", "disk(ads):1024", ...daemonArgs] });
  const tool = await openTool(kind, dir, daemon.socket.socketPath);
  const volume = (id: string) =>
    requestJson<{ state: string; path: string }>(daemon.socket, { path: `/v1/volumes/ads/${id}` });
  return {
    dir,
    daemon,
    tool,
    async createVolume(id) {
      const disk = { persistence: { id }, volume: { mode: "RW", container_path: "data" } };
      const resource = { name: "disk", type: "SCALAR", scalar: { value: 8 }, role: "ads", disk };
      const body = { operations: [{ type: "CREATE", create: { volumes: [resource] } }] };
      await requestJson(daemon.socket, { method: "POST", path: "/v1/operations", body });
    },
    state: async (id) => (await volume(id)).state,
    content: async (id) => (await volume(id)).path,
    containers: async () =>
      (await requestJson<{ containers: ContainerFacts[] }>(daemon.socket, { path: "/v1/containers" })).containers,
    traces: async () => ({
      mounts: await mountsBelow(dir),
      root: tool.rootfs === undefined ? [] : (await readdir(tool.rootfs)).sort(),
    }),
    async close() {
      await tool.clear();
      await daemon.kill9();
      await place.remove();
    },
  };
}

async function openTool(kind: Tool, dir: string, socket: string): Promise<ContainerTool> {
  if (kind === "podman") {
    const hooksDir = path.join(dir, "hooks.d");
    await mustHoldfast("hook", "install", "--hooks-dir", hooksDir, "--socket", socket);
    return openPodman({ dir, hooksDir });
  }
  const hooks = JSON.parse(await mustHoldfast("hook", "config", "--socket", socket));
  return openRuntime({ dir, hooks, program: kind === "runc" ? runcCommand : crunCommand });
}

/** Mounts of the host below a directory, without what a tool keeps for itself. */
async function mountsBelow(dir: string): Promise<readonly string[]> {
  const table = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  return table.map((line) => line.split(" ")[4] ?? "").filter((target) => target.startsWith(`${dir}/`));
}

/** The annotation that asks for volumes. */
export function asking(...volumes: readonly object[]): Readonly<Record<string, string>> {
  return { "io.holdfast.volumes": JSON.stringify(volumes) };
}
