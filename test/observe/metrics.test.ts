import { describe, expect, test } from "vitest";
import { createMetrics, type Sample } from "../../src/observe/metrics.ts";

describe("createMetrics", () => {
  test("shows NaN for a number that cannot be told, and everything else", async () => {
    const metrics = createMetrics();
    metrics.gauge("holdfast_broken", "Broken", () => Promise.reject(new Error("EIO")));
    metrics.labelledGauge({
      name: "holdfast_broken_too",
      help: "Broken too",
      labels: ["disk"],
      collect: () => {
        throw new Error("EIO");
      },
    });
    metrics.gauge("holdfast_fine", "Fine", () => 5);
    const text = await metrics.render();
    expect(text).toContain("holdfast_broken Nan");
    expect(text).not.toMatch(/^holdfast_broken_too\{/m);
    expect(text).toContain("holdfast_fine 5");
  });

  test("refuses a second metric of the same name", () => {
    const metrics = createMetrics();
    expect(() => metrics.gauge("holdfast_commits_total", "Again", () => 1)).toThrow("already been registered");
  });

  test("counts operations by type and outcome, in seconds from 100 µs", async () => {
    const metrics = createMetrics();
    metrics.operation("reserve", "ok", 0.09);
    metrics.operation("reserve", "ok", 300);
    metrics.operation("reserve", "insufficient", 1);
    const text = await metrics.render();
    expect(text).toContain('holdfast_operations_total{type="reserve",outcome="ok"} 2');
    expect(text).toContain('holdfast_operations_total{type="reserve",outcome="insufficient"} 1');
    expect(text).toContain('holdfast_operation_duration_seconds_bucket{le="0.0001",type="reserve"} 1');
    expect(text).toContain('holdfast_operation_duration_seconds_count{type="reserve"} 3');
  });

  test("counts commits, their transactions and reconciles", async () => {
    const metrics = createMetrics();
    metrics.commit(1, 0.2);
    metrics.commit(7, 0.3);
    metrics.reconciled("recover", 20);
    const text = await metrics.render();
    expect(text).toContain("holdfast_commits_total 2");
    expect(text).toContain('holdfast_commit_transactions_bucket{le="4"} 1');
    expect(text).toContain("holdfast_commit_transactions_sum 8");
    expect(text).toContain("holdfast_commit_duration_seconds_sum 0.0005");
    expect(text).toContain('holdfast_reconcile_duration_seconds_count{kind="recover"} 1');
  });

  test("asks for gauges whenever somebody looks, and forgets labels that are gone", async () => {
    const metrics = createMetrics();
    const samples: Sample<"state" | "role">[] = [[{ state: "attached", role: 'a"b' }, 2]];
    metrics.labelledGauge({
      name: "holdfast_volumes",
      help: "Volumes",
      labels: ["state", "role"],
      collect: () => samples,
    });
    expect(await metrics.render()).toContain('holdfast_volumes{state="attached",role="a\\"b"} 2');
    samples[0] = [{ state: "detached", role: "ads" }, 3];
    const text = await metrics.render();
    expect(text).toContain('holdfast_volumes{state="detached",role="ads"} 3');
    expect(text).not.toContain('state="attached"');
  });

  test("shows the process too, in Prometheus's text format", async () => {
    const metrics = createMetrics();
    const text = await metrics.render();
    expect(text).toContain("nodejs_eventloop_lag_p99_seconds");
    expect(text).toContain("process_resident_memory_bytes");
    expect(metrics.contentType).toContain("text/plain; version=0.0.4");
  });
});
