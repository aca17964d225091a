/** What `/metrics` says of the node whenever somebody looks: volumes by state, disks, containers, problems. */
import type { Actor } from "./domain/operation.ts";
import type { Engine, NodeStatus } from "./engine/engine.ts";
import type { PrometheusMetrics } from "./observe/metrics.ts";

const BYTES_PER_MB = 1024 * 1024;
const DAEMON: Actor = { kind: "peer", uid: process.getuid?.() ?? 0 };

type Disk = NodeStatus["disks"][number];

/** Bytes of each disk, by the name of the metric. */
const DISK_BYTES: readonly (readonly [name: string, help: string, bytes: (disk: Disk) => number])[] = [
  ["total", "Size of the disk's file system", (disk) => disk.totalBytes],
  ["free", "Free space of the disk's file system", (disk) => disk.freeBytes],
  ["declared", "Disk that is declared", (disk) => disk.declaredMb * BYTES_PER_MB],
  ["reserved", "Disk that is reserved, under volumes or not", (disk) => disk.reservedMb * BYTES_PER_MB],
  ["volumes", "Sizes of the live volumes", (disk) => disk.volumesMb * BYTES_PER_MB],
  ["retained", "Sizes of the retained volumes", (disk) => disk.retainedMb * BYTES_PER_MB],
];

export function registerGauges(metrics: PrometheusMetrics, engine: Engine): void {
  // All of one look share one answer.
  let asked: Promise<NodeStatus> | undefined;
  const status = (): Promise<NodeStatus> => {
    asked ??= engine.status(DAEMON).finally(() => {
      asked = undefined;
    });
    return asked;
  };
  metrics.labelledGauge({
    name: "holdfast_volumes",
    help: "Volumes by state",
    label: "state",
    collect: async () => Object.entries((await status()).volumes),
  });
  for (const [name, help, bytes] of DISK_BYTES) {
    metrics.labelledGauge({
      name: `holdfast_disk_${name}_bytes`,
      help,
      label: "disk",
      collect: async () => (await status()).disks.map((disk): [string, number] => [disk.root, bytes(disk)]),
    });
  }
  metrics.gauge("holdfast_containers", "Containers that have volumes", async () => (await status()).containers);
  metrics.gauge("holdfast_problems", "What an operator must look at", async () => (await status()).problems.length);
}
