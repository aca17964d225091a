import { expect, test } from "vitest";
import { registerGauges } from "../src/gauges.ts";
import { createMetrics } from "../src/observe/metrics.ts";
import { type FakeEngine, makeFakeEngine, VOLUME_UUID } from "./fakes/fake-engine.ts";

const MB = 1024 * 1024;
const LABELS = `role="ads",id="db",uuid="${VOLUME_UUID}"`;

function look(engine: FakeEngine): Promise<string> {
  const metrics = createMetrics();
  registerGauges(metrics, engine);
  return metrics.render();
}

test("registerGauges shows no number of an engine that fails, and harms no other metric", async () => {
  const engine = makeFakeEngine();
  engine.failure = new Error("EIO");
  const text = await look(engine);
  expect(text).not.toMatch(/^holdfast_(?:volume|disk)\w*\{/m);
  expect(text).toContain("holdfast_problems Nan");
  expect(text).toContain("process_resident_memory_bytes");
});

test("registerGauges shows nothing of what a volume takes before it is known", async () => {
  const engine = makeFakeEngine();
  const [{ usage: _usage, ...unmeasured } = expect.fail()] = await engine.volumes({ kind: "anonymous" });
  engine.volumes = async () => [unmeasured];
  const text = await look(engine);
  expect(text).toContain(`holdfast_volume_size_bytes{${LABELS},state="live"} ${512 * MB}`);
  expect(text).not.toMatch(/^holdfast_volume_(?:used_bytes|inodes)\{/m);
});

test("registerGauges shows volumes, disks, containers and problems, and asks the engine once a look", async () => {
  const engine = makeFakeEngine();
  const lines = (await look(engine)).split("\n");
  expect(lines).toEqual(
    expect.arrayContaining([
      'holdfast_volumes{state="detached"} 0',
      'holdfast_volumes{state="attached"} 1',
      `holdfast_volume_size_bytes{${LABELS},state="live"} ${512 * MB}`,
      `holdfast_volume_used_bytes{${LABELS},state="live"} ${300 * MB}`,
      `holdfast_volume_inodes{${LABELS},state="live"} 12`,
      "# HELP holdfast_disk_retained_bytes Sizes of the retained volumes",
      `holdfast_disk_retained_bytes{disk="/data"} ${64 * MB}`,
      `holdfast_disk_used_by_volumes_bytes{disk="/data"} ${300 * MB}`,
      `holdfast_disk_used_by_retained_bytes{disk="/data"} ${20 * MB}`,
      `holdfast_disk_promised_bytes{disk="/data"} ${212 * MB}`,
      'holdfast_disk_unmeasured_volumes{disk="/data"} 0',
      'holdfast_disk_enforces_sizes{disk="/data"} 1',
      "holdfast_containers 1",
      "holdfast_problems 0",
    ]),
  );
  expect(engine.calls.map((call) => call.method).sort()).toEqual(["status", "volumes"]);
});

test("registerGauges tells retained volumes and disks that enforce nothing apart", async () => {
  const engine = makeFakeEngine();
  const [view = expect.fail()] = await engine.volumes({ kind: "anonymous" });
  const { disks, ...status } = await engine.status({ kind: "anonymous" });
  engine.volumes = async () => [{ ...view, volume: { ...view.volume, phase: "retained" }, state: "retained" }];
  engine.status = async () => ({
    ...status,
    disks: disks.map((disk) => ({ ...disk, enforcement: { by: "nothing", reason: "project quotas are off" } })),
  });
  const text = await look(engine);
  expect(text).toContain(`holdfast_volume_used_bytes{${LABELS},state="retained"} ${300 * MB}`);
  expect(text).toContain('holdfast_disk_enforces_sizes{disk="/data"} 0');
});
