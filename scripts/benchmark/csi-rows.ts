/** What a cluster waits for when a pod comes and goes: publish and unpublish through gRPC, beside the agent socket's own calls. */
import { openClient } from "../../test/faces/csi/client.ts";
import type { Measured } from "./client-worker.ts";
import { attachAndDetach, inTurn, pairs, settle } from "./measuring.ts";
import { percentile, type Row } from "./report.ts";
import type { Bench } from "./rows.ts";

/** A volume and where it is published. */
type Target = Awaited<ReturnType<Bench["node"]["csiTarget"]>>;

const CAPABILITY = { mount: {}, access_mode: { mode: 1 } };

export async function csiRows({ journal, sizes, load, node }: Bench): Promise<Row[]> {
  const count = sizes.attaches;
  await node.fill(load, Math.max(node.volumes, 2 * count));
  const guests = await node.guests(1, count);
  const targets = await Promise.all(Array.from({ length: count }, (_, index) => node.csiTarget(count + 1 + index)));
  const client = openClient(node.csi);
  try {
    const publish = () => publishAndUnpublish((name, target) => client.call(name, target), targets);
    const attach = () => load.send(node.daemon.socket, guests.flatMap(attachAndDetach));
    // A daemon that has served for a while: its code is compiled when it has answered some hundred calls.
    for (let calls = 0; calls < sizes.warmUp; calls += count) await inTurn(1, publish, attach);
    await settle(node);
    const [published, attached] = await inTurn(sizes.blocks, publish, attach);
    const beside = { name: "agent socket", figure: percentile(pairs(attached), 0.5) };
    const figure = percentile(pairs(published), 0.5);
    const title = "CSI publish + unpublish";
    return [
      { title: `${title}, p50`, journal, figure, unit: "ms", target: { atMost: 2 } },
      { title: `${title} beside attach + detach, p50`, journal, figure, unit: "ms", beside },
    ];
  } finally {
    client.close();
  }
}

async function publishAndUnpublish(
  call: (name: string, target: object) => Promise<{ readonly status: string; readonly message: string }>,
  targets: readonly Target[],
): Promise<Measured> {
  const latenciesMs = new Float64Array(2 * targets.length);
  const started = performance.now();
  for (const [index, target] of targets.entries()) {
    for (const [step, name] of ["NodePublishVolume", "NodeUnpublishVolume"].entries()) {
      const before = performance.now();
      const { status, message } = await call(name, { ...target, volume_capability: CAPABILITY });
      latenciesMs[2 * index + step] = performance.now() - before;
      if (status !== "OK") throw new Error(`${name}: ${status}: ${message}`);
    }
  }
  return { latenciesMs, elapsedMs: performance.now() - started };
}
