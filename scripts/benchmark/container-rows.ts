/** Rows with real containers: what the hook costs their start, and how fast a running one gets a volume. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { configOf, makeRoot, openRuntime, removeGroups, runcCommand } from "../../test/e2e/oci.ts";
import { run } from "../../test/e2e/run.ts";
import type { Measured } from "./client-worker.ts";
import { attachAndDetach, attaches, inTurn, settle } from "./measuring.ts";
import { latencies, percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");

/** A static program that does nothing: what any hook costs. */
const IDLE_HOOK = { createRuntime: [{ path: "/bin/busybox", args: ["true"], env: ["PATH=/bin"] }] };

/** The start of a container with our hook, less that of one with a hook that does nothing; each has its own volume. */
export async function hookRows({ journal, sizes, load, node, dir }: Bench): Promise<Row[]> {
  await node.fill(load, sizes.containers);
  const printed = await run(path.join(REPOSITORY, "scripts/holdfast"), ...hookConfig(node.daemon.socket.socketPath));
  const rootfs = path.join(dir, "containers/rootfs");
  const group = `/holdfast-benchmark-${process.pid}`;
  await makeRoot(rootfs);
  const starts = async (name: string, hooks: object): Promise<() => Promise<Measured>> => {
    const commands = await Promise.all(
      Array.from({ length: sizes.containers }, async (_, index): Promise<[string, ...string[]]> => {
        const id = `${name}-${index}`;
        const bundle = path.join(dir, "containers", id);
        const annotations = { "io.holdfast.volumes": JSON.stringify([node.wish(index + 1)]) };
        await mkdir(bundle, { recursive: true });
        const config = configOf({ id, script: "true", annotations }, { rootfs, hooks, group });
        await writeFile(path.join(bundle, "config.json"), JSON.stringify(config));
        return [...runcCommand(path.join(dir, "containers")), "run", "--bundle", bundle, id];
      }),
    );
    return () => load.run({ commands });
  };
  const [ours, idle] = [await starts("ours", JSON.parse(printed)), await starts("idle", IDLE_HOOK)];
  try {
    await settle(node);
    const [hooked, plain] = await inTurn(sizes.blocks, ours, idle);
    const [with_, without] = [percentile(latencies(hooked), 0.5), percentile(latencies(plain), 0.5)];
    return [
      { title: "runc run with a hook that does nothing, p50", journal, figure: without, unit: "ms" },
      {
        title: "what our hook and a volume add, p50",
        journal,
        figure: with_ - without,
        unit: "ms",
        target: { atMost: 10 },
      },
    ];
  } finally {
    await removeGroups(group);
  }
}

function hookConfig(socket: string): readonly string[] {
  return ["hook", "config", "--socket", socket];
}

/** A volume put into a container that runs, beside one put into a sandbox of the host. */
export async function runningRows({ journal, sizes, load, node, dir }: Bench): Promise<Row[]> {
  await node.fill(load, Math.max(node.volumes, sizes.attaches));
  const place = path.join(dir, "running");
  await mkdir(place, { recursive: true });
  const runtime = await openRuntime({ dir: place, hooks: {}, program: runcCommand });
  try {
    await runtime.start({ id: "running", script: "sleep 1000" });
    const inside = await node.guests(1, sizes.attaches, { sandbox: "/", pid: await runtime.pidOf("running") });
    const outside = await node.guests(1, sizes.attaches);
    await settle(node);
    const send = (guests: typeof inside) => () => load.send(node.daemon.socket, guests.flatMap(attachAndDetach));
    const [entered, stayed] = await inTurn(sizes.blocks, send(inside), send(outside));
    const beside = { name: "into a sandbox", figure: percentile(stayed.flatMap(attaches), 0.5) };
    const figure = percentile(entered.flatMap(attaches), 0.5);
    return [{ title: "attach to a running container, p50", journal, figure, unit: "ms", beside }];
  } finally {
    await runtime.clear();
  }
}

/** What Docker waits for when it starts a container with one of our volumes. */
export async function pluginRows({ journal, sizes, load, node }: Bench): Promise<Row[]> {
  await node.fill(load, sizes.attaches);
  const calls = node.loans(1, sizes.attaches);
  await settle(node);
  const measured: Measured[] = [];
  for (let block = 0; block < sizes.blocks; block += 1) {
    measured.push(await load.send(node.plugin, calls.flatMap(attachAndDetach)));
  }
  const figure = percentile(measured.flatMap(attaches), 0.5);
  return [{ title: "VolumeDriver.Mount of the Docker plugin, p50", journal, figure, unit: "ms" }];
}
