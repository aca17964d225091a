/** What `/metrics` says of the node whenever somebody looks: volumes, disks, containers, problems. */
import type { Actor } from "./domain/operation.ts";
import { BYTES_PER_MB, toBytes } from "./domain/units.ts";
import type { Engine, NodeStatus, VolumeView } from "./engine/engine.ts";
import type { PrometheusMetrics, Sample } from "./observe/metrics.ts";

const DAEMON: Actor = { kind: "peer", uid: process.getuid?.() ?? 0 };

type Disk = NodeStatus["disks"][number];

/** Numbers of each disk, by the name of the metric. */
const DISK_GAUGES: readonly (readonly [name: string, help: string, value: (disk: Disk) => number])[] = [
  ["total_bytes", "Size of the disk's file system", (disk) => disk.totalBytes],
  ["free_bytes", "Free space of the disk's file system", (disk) => disk.freeBytes],
  ["declared_bytes", "Disk that is declared", (disk) => disk.declaredMb * BYTES_PER_MB],
  ["reserved_bytes", "Disk that is reserved, under volumes or not", (disk) => disk.reservedMb * BYTES_PER_MB],
  ["volumes_bytes", "Sizes of the live volumes", (disk) => disk.volumesMb * BYTES_PER_MB],
  ["retained_bytes", "Sizes of the retained volumes", (disk) => disk.retainedMb * BYTES_PER_MB],
  ["used_by_volumes_bytes", "What live volumes' content takes, as far as it is known", (disk) => disk.usedByVolumes],
  [
    "used_by_retained_bytes",
    "What retained volumes' content takes, as far as it is known",
    (disk) => disk.usedByRetained,
  ],
  ["promised_bytes", "What live volumes may still fill, as far as it is known", (disk) => disk.promised],
  ["unmeasured_volumes", "Volumes whose content has yet to be measured", (disk) => disk.unmeasured],
  [
    "enforces_sizes",
    "Whether the kernel holds volumes to their sizes",
    (disk) => (disk.enforcement.by === "nothing" ? 0 : 1),
  ],
];

const VOLUME_LABELS = ["role", "id", "uuid", "state"] as const;

/** Numbers of each volume, as far as they are known. */
const VOLUME_GAUGES: readonly (readonly [
  name: string,
  help: string,
  value: (view: VolumeView) => number | undefined,
])[] = [
  ["size_bytes", "Size of a volume", ({ volume }) => toBytes(volume.size)],
  ["used_bytes", "What a volume's content takes", ({ usage }) => usage?.usedBytes],
  ["inodes", "Files and directories of a volume", ({ usage }) => usage?.inodes],
];

/** Which program runs: always 1, and what there is to know in the labels. */
export function registerBuild(metrics: PrometheusMetrics, version: string): void {
  metrics.labelledGauge({
    name: "holdfast_build_info",
    help: "The program that runs",
    labels: ["version"],
    collect: () => [[{ version }, 1]],
  });
}

export function registerGauges(metrics: PrometheusMetrics, engine: Engine): void {
  const status = shared(() => engine.status(DAEMON));
  const volumes = shared(() => engine.volumes(DAEMON));
  metrics.labelledGauge({
    name: "holdfast_volumes",
    help: "Volumes by state",
    labels: ["state"],
    collect: async () => Object.entries((await status()).volumes).map(([state, count]) => [{ state }, count]),
  });
  for (const [name, help, value] of VOLUME_GAUGES) {
    metrics.labelledGauge({
      name: `holdfast_volume_${name}`,
      help,
      labels: VOLUME_LABELS,
      collect: async () => (await volumes()).flatMap((view) => volumeSample(view, value(view))),
    });
  }
  for (const [name, help, value] of DISK_GAUGES) {
    metrics.labelledGauge({
      name: `holdfast_disk_${name}`,
      help,
      labels: ["disk"],
      collect: async () => (await status()).disks.map((disk) => [{ disk: disk.root }, value(disk)]),
    });
  }
  metrics.gauge("holdfast_containers", "Containers that have volumes", async () => (await status()).containers);
  metrics.gauge("holdfast_problems", "What an operator must look at", async () => (await status()).problems.length);
}

/** One answer for all who ask before it is there: all gauges of one look. */
function shared<Answer>(ask: () => Promise<Answer>): () => Promise<Answer> {
  let asked: Promise<Answer> | undefined;
  return () => {
    asked ??= ask().finally(() => {
      asked = undefined;
    });
    return asked;
  };
}

/** Live or retained, and no more of its state: a volume that is attached and detached stays one time series. */
function volumeSample(
  { volume: { role, id, uuid, phase } }: VolumeView,
  value: number | undefined,
): readonly Sample<(typeof VOLUME_LABELS)[number]>[] {
  if (value === undefined) return [];
  return [[{ role, id, uuid, state: phase === "live" ? "live" : "retained" }, value]];
}
