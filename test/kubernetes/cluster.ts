/**
 * A real Kubernetes of one node, and Holdfast on it: etcd, API server, controller manager, scheduler, containerd, kubelet
 * and the daemon, in a room that ends with the tests. Programs come from `build`.
 */
import { existsSync, globSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HOLDFAST, type Outcome, printedBy } from "../e2e/command.ts";
import { makePlace, type Place } from "../e2e/place.ts";
import { request } from "../e2e/request.ts";
import { run } from "../e2e/run.ts";
import { CONTAINERD_SOCKET, type CommandLines, configure, KUBELET_ROOT, NODE_NAME } from "./configuration.ts";
import { groupDirectories, makeGroups, removeGroups } from "./groups.ts";
import { makeBusyboxImage } from "./image.ts";
import { Room } from "./room.ts";
import { Server } from "./server.ts";

const NAME = "kubernetes";
/** Which process a cluster belongs to. */
const OWNER = "owner";
const DISK_MB = 2048;
const SOCKET = "/run/holdfast/holdfast.sock";
const POLL_MS = 300;
const EVENTUALLY_MS_MAX = 120_000;
const GROUPS_MS_MAX = 30_000;

export class Cluster {
  readonly room: Room;
  readonly kubelet: Server;
  readonly holdfastDaemon: Server;
  readonly group: string;
  /** For files of the tests; seen in the room, too. */
  readonly dir: string;
  readonly #place: Place;
  readonly #commandLines: CommandLines;
  #files = 0;

  private constructor(parts: {
    readonly room: Room;
    readonly kubelet: Server;
    readonly daemon: Server;
    readonly group: string;
    readonly place: Place;
    readonly commandLines: CommandLines;
  }) {
    this.room = parts.room;
    this.kubelet = parts.kubelet;
    this.holdfastDaemon = parts.daemon;
    this.group = parts.group;
    this.dir = parts.place.dir;
    this.#place = parts.place;
    this.#commandLines = parts.commandLines;
  }

  /** Starts everything and waits until the node takes pods. `bin` has the programs. */
  static async start(bin: string): Promise<Cluster> {
    const undo: (() => Promise<unknown>)[] = [];
    try {
      await removeAbandoned();
      const place = await makePlace(NAME);
      undo.push(() => place.remove());
      await writeFile(path.join(place.dir, OWNER), `${process.pid}`);
      return await Cluster.#startIn(place, bin, undo);
    } catch (cause) {
      for (const step of undo.toReversed()) await step();
      throw cause;
    }
  }

  static async #startIn(place: Place, bin: string, undo: (() => Promise<unknown>)[]): Promise<Cluster> {
    const { dir } = place;
    const group = `/${path.basename(dir)}`;
    undo.push(() => removeGroupsSoon(group));
    await makeGroups(group);
    const room = await Room.open(dir, await makeDisk(dir));
    undo.push(() => room.close());
    const commandLines = await configure({ dir, bin, group });
    const start = (name: string, isReady: () => Promise<boolean>) =>
      Server.start({ room, dir, name, commandLine: commandLines[name] ?? [], isReady });
    const kubectlWorks = async (...args: string[]) =>
      (await room.run(...(commandLines["kubectl"] ?? []), ...args)).status === 0;

    // The API server waits for it.
    await start("etcd", async () => true);
    const containerd = start("containerd", async () => (await ctr(room, "version")).status === 0);
    await start("kube-apiserver", () => kubectlWorks("get", "--raw=/readyz"));
    await containerd;
    printedBy("ctr", await ctr(room, "images", "import", await makeBusyboxImage(dir)));
    await start("kube-controller-manager", () => kubectlWorks("get", "serviceaccount", "default"));
    await start("kube-scheduler", async () => true);
    const daemon = await startHoldfast(room, dir);
    const kubelet = await start(
      "kubelet",
      async () =>
        (await kubectlWorks("get", "--raw", `/api/v1/nodes/${NODE_NAME}/proxy/healthz`)) &&
        kubectlWorks("wait", "--for=condition=Ready", `node/${NODE_NAME}`, "--timeout=1s"),
    );
    return new Cluster({ room, kubelet, daemon, group, place, commandLines });
  }

  /** Ends everything, and removes what it made. */
  async remove(): Promise<void> {
    await this.room.close();
    await removeGroupsSoon(this.group);
    await this.#place.remove();
  }

  /** Runs kubectl to its end, however that is. */
  kubectl(...args: readonly string[]): Promise<Outcome> {
    return this.room.run(...(this.#commandLines["kubectl"] ?? []), ...args);
  }

  /** Like `kubectl`, for callers that know that it must work; returns what it printed. */
  async mustKubectl(...args: readonly string[]): Promise<string> {
    return printedBy(`kubectl ${args.join(" ")}`, await this.kubectl(...args));
  }

  /** Applies objects. */
  async apply(...objects: readonly object[]): Promise<void> {
    await this.applyText(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
  }

  /** Applies what a file would say. */
  async applyText(yaml: string, ...options: readonly string[]): Promise<void> {
    await this.mustKubectl("apply", "-f", await this.#write(yaml), ...options);
  }

  /** One object, as the API server has it. */
  async get(kind: string, name: string): Promise<KubernetesObject> {
    return JSON.parse(await this.mustKubectl("get", kind, name, "-o", "json")) as KubernetesObject;
  }

  /** Runs a shell script in a pod's container and returns what it printed. */
  async inPod(pod: string, script: string): Promise<string> {
    return this.mustKubectl("exec", pod, "--", "sh", "-c", script);
  }

  /** Returns when the pod runs and is ready. */
  async untilReady(pod: string): Promise<void> {
    await this.mustKubectl("wait", "--for=condition=Ready", `pod/${pod}`, "--timeout=90s");
  }

  /** Deletes pods, and returns when kubelet says that they are gone with everything of theirs. */
  async deletePods(...pods: readonly string[]): Promise<void> {
    await this.mustKubectl("delete", "pod", ...pods, "--timeout=90s");
  }

  /** What happened to an object, one message a line. */
  async eventsOf(name: string): Promise<string> {
    const fields = `--field-selector=involvedObject.name=${name}`;
    return this.mustKubectl("get", "events", fields, "-o", 'jsonpath={range .items[*]}{.message}{"\\n"}{end}');
  }

  /** Makes an image known to the node; `file` is a tar file. */
  async importImage(file: string): Promise<void> {
    printedBy("ctr", await ctr(this.room, "images", "import", file));
  }

  /** Runs `holdfast`; it must work. */
  async holdfast(...args: readonly string[]): Promise<string> {
    return printedBy(`holdfast ${args.join(" ")}`, await this.room.run(HOLDFAST, ...args));
  }

  /** Mounts of volumes in the room that are anybody's but the daemon's. */
  async volumeMounts(): Promise<readonly string[]> {
    const { stdout } = await this.room.run("cat", "/proc/self/mountinfo");
    const targets = stdout.split("\n").map((line) => line.split(" ")[4] ?? "");
    return targets.filter((target) => target.startsWith(KUBELET_ROOT) && target.includes("kubernetes.io~csi"));
  }

  async #write(text: string): Promise<string> {
    this.#files += 1;
    const file = path.join(this.#place.dir, `objects-${this.#files}.yaml`);
    await writeFile(file, text);
    return file;
  }
}

export interface KubernetesObject {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

/** Repeats a look until it finds what it looks for. */
export async function eventually<Found>(look: () => Promise<Found | undefined | false>): Promise<Found> {
  const deadline = performance.now() + EVENTUALLY_MS_MAX;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`It did not come to be within ${EVENTUALLY_MS_MAX} ms: ${look}`);
    await sleep(POLL_MS);
  }
}

/** A small disk of its own, whose size the scheduler and the daemon can see. */
async function makeDisk(dir: string): Promise<string> {
  const image = path.join(dir, "disk.ext4");
  await run("truncate", "--size", `${DISK_MB}M`, image);
  await run("mkfs.ext4", "-q", "-m", "0", image);
  return image;
}

async function startHoldfast(room: Room, dir: string): Promise<Server> {
  const options = [`--csi=${KUBELET_ROOT}/plugins/csi.holdfast.dev/csi.sock`, `--csi-node-id=${NODE_NAME}`];
  options.push(`--kubelet-registration=${KUBELET_ROOT}/plugins_registry`);
  const socketPath = path.join(dir, "room", SOCKET);
  return Server.start({
    room,
    dir,
    name: "holdfast",
    commandLine: [HOLDFAST, "daemon", ...options],
    isReady: async () => (await request({ socketPath }, { path: "/readyz" })).status === 200,
  });
}

function ctr(room: Room, ...args: readonly string[]): Promise<Outcome> {
  return room.run("ctr", `--address=${CONTAINERD_SOCKET}`, "--namespace=k8s.io", ...args);
}

/** What a run left that was killed itself: its room ended with it, files and groups did not. */
async function removeAbandoned(): Promise<void> {
  for (const owner of globSync(path.join(os.tmpdir(), `holdfast-${NAME}-*`, OWNER))) {
    if (existsSync(`/proc/${await readFile(owner, "utf8")}`)) continue;
    const dir = path.dirname(owner);
    await removeGroupsSoon(`/${path.basename(dir)}`);
    await rm(dir, { recursive: true, force: true });
  }
}

/** The kernel lets go of what has ended a little later. */
async function removeGroupsSoon(group: string): Promise<void> {
  const deadline = performance.now() + GROUPS_MS_MAX;
  while ((await groupDirectories(group)).length > 0) {
    try {
      await removeGroups(group);
    } catch (cause) {
      if (performance.now() > deadline) throw cause;
      await sleep(POLL_MS);
    }
  }
}
