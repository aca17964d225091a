import { expect, test } from "vitest";
import { registerGauges } from "../src/gauges.ts";
import { createMetrics } from "../src/observe/metrics.ts";
import { makeFakeEngine } from "./fakes/fake-engine.ts";

test("registerGauges shows volumes, disks, containers and problems, and asks the engine once a look", async () => {
  const engine = makeFakeEngine();
  const metrics = createMetrics();
  registerGauges(metrics, engine);
  const text = await metrics.render();
  for (const line of [
    /^holdfast_volumes\{state="detached"\} \d+$/m,
    /^# HELP holdfast_disk_retained_bytes Sizes of the retained volumes$/m,
    /^holdfast_containers \d+$/m,
    /^holdfast_problems \d+$/m,
  ]) {
    expect(text).toMatch(line);
  }
  expect(engine.calls.filter((call) => call.method === "status")).toHaveLength(1);
});
