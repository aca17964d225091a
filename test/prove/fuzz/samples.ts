/** Valid inputs of every kind, to make strange ones of. */
import type { JsonObject } from "../../../src/domain/json.ts";
import type { TABLES } from "../../../src/domain/records.ts";
import { encodeNodeLabel, encodeVolumeLabel } from "../../../src/store/label.ts";
import * as records from "../../contract/samples.ts";
import { persistent, samson, withVolumes } from "../../domain/app-samples.ts";

const RESERVATION = {
  type: "DYNAMIC",
  role: "web",
  principal: "ops",
  labels: { labels: [{ key: "tier", value: "gold" }] },
};
const DISK = { name: "disk", type: "SCALAR", scalar: { value: 16 } };
export const RESERVED = { ...DISK, reservations: [RESERVATION] };
export const VOLUME = {
  ...RESERVED,
  disk: {
    persistence: { id: "db", principal: "ops" },
    volume: { mode: "RW", container_path: "data" },
    source: { type: "PATH", path: { root: "/nonexistent/disk" } },
  },
  shared: {},
};

export const OPERATIONS: readonly object[] = [
  { type: "RESERVE", reserve: { resources: [RESERVED], source: [DISK] } },
  { type: "UNRESERVE", unreserve: { resources: [RESERVED] } },
  { type: "CREATE", create: { volumes: [VOLUME] } },
  { type: "DESTROY", destroy: { volumes: [VOLUME] } },
  { type: "GROW_VOLUME", grow_volume: { volume: VOLUME, addition: RESERVED } },
  { type: "SHRINK_VOLUME", shrink_volume: { volume: VOLUME, subtract: { value: 8.5 } } },
];

/** Every form in which Mesos writes disk. */
export const RESOURCES: readonly object[] = [
  DISK,
  { ...DISK, role: "ads" },
  { ...DISK, role: "ads", reservation: { principal: "ops", labels: { labels: [{ key: "a" }] } } },
  { ...DISK, reservation: { type: "STATIC", role: "ads" } },
  RESERVED,
  VOLUME,
  { ...DISK, disk: { source: { type: "MOUNT", mount: { root: "/mnt/one" } } } },
];

export const DECLARED: readonly string[] = [
  "disk(ads):2048;disk(*):8192;cpus:4;ports:[31000-32000]",
  "disk:1024.5",
  JSON.stringify([DISK, { ...DISK, role: "ads" }, { name: "cpus", type: "SCALAR", scalar: { value: 4 } }]),
  JSON.stringify(RESOURCES),
];

export const MOUNT_TABLE: readonly string[] = [
  "24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:5 - proc proc rw",
  "31 28 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:1 propagate_from:2 - cgroup2 cgroup2 rw",
  "98 28 253:0 /var/lib/a\\040b/volumes/0/content//deleted /run/x\\134y\\012z rw - ext4 /dev/vda rw,errors=remount-ro",
  "99 28 253:0 / /un unbindable - tmpfs  rw",
].flatMap((line, index, all) => [line, `${all.slice(0, index + 1).join("\n")}\n`]);

export const SETTINGS: readonly string[] = [
  `workRoot: /data\nlisten: 127.0.0.1:5055\nsocket: /run/a.sock\nresources: disk(ads):2048;disk(*):8192\ngcDelay: 1w\n`,
  `workRoot: /data\nresources:\n  - {name: disk, type: SCALAR, scalar: {value: 10}, role: "*"}\nsandboxRoot: [/a, /b]\nallowedHosts: [a.example, "[::1]"]\n`,
  `gcHeadroom: 0.25\ngcMinAge: 90s\ngcInterval: 500ms\nmountBackend: symlink\nlogLevel: warn\nprojectRange: 5-10\nselinuxLabel: auto\n`,
  `credentials: file:///etc/holdfast/credentials.json\nacls: /etc/acls\ntlsCert: /c.pem\ntlsKey: /k.pem\ndockerPlugin: /run/docker/plugins/h.sock\ndockerPluginSize: 512M\ndockerPluginRole: eng/web\n`,
];

export const CREDENTIALS: readonly string[] = [
  JSON.stringify({
    credentials: [
      { principal: "ops", secret: "s3cret" },
      { principal: "eng", secret: `scrypt$15$8$1$${"A".repeat(22)}==$${"B".repeat(43)}=` },
    ],
  }),
];

export const ACLS: readonly string[] = [
  JSON.stringify({
    permissive: false,
    reserve_resources: [{ principals: { values: ["ops"] }, roles: { values: ["ads", "eng/%"] } }],
    create_volumes: [{ principals: { type: "ANY" }, roles: { type: "NONE" } }],
    view_roles: [{ principals: { type: "ANY" }, roles: { type: "ANY" } }],
  }),
];

export const STATES: readonly object[] = [
  {
    ociVersion: "1.0.2",
    id: "c1",
    status: "creating",
    pid: 4_000_000,
    bundle: "/run/bundle",
    annotations: { "io.holdfast.volumes": '[{"role":"ads","id":"db"}]', "io.holdfast.sandbox": "/mnt/data" },
  },
  { id: "c2", pid: 0, bundle: "/run/bundle" },
];

export const BUNDLES: readonly object[] = [
  {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: ["sh"] },
    root: { path: "rootfs", readonly: true },
    annotations: {
      "io.holdfast.volumes": '[{"role":"ads","id":"db","containerPath":"data","mode":"RO"}]',
      "io.holdfast.sandbox": "/",
    },
  },
];

export const FORMS: readonly string[] = [
  `slaveId=a-S0&resources=${encodeURIComponent(JSON.stringify([RESERVED]))}`,
  `slaveId=a+b%20c;volumes=${encodeURIComponent(JSON.stringify([VOLUME]))}`,
];

export const NAMES: readonly string[] = [
  "ads",
  "eng/web/front",
  "db-1",
  "data",
  "a".repeat(255),
  "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
  "web-1",
];
export const SIZES: readonly string[] = ["512", "512M", "1.5G", "2 TB", "0.001", "1KiB", "9007199254740 M"];
export const DURATIONS: readonly string[] = [
  "1w",
  "1.5h",
  "90s",
  "500ms",
  "1weeks",
  "10secs",
  "999999999999.999999999d",
];
export const HEADERS: readonly string[] = [
  "Basic b3BzOnMzY3JldA==",
  "basic  OnM=",
  "localhost:5055",
  "[::1]:80",
  "127.0.0.1",
  "a.example.",
];
export const CGROUPS: readonly string[] = [
  `0::/system.slice/docker-${"a1".repeat(32)}.scope`,
  `0::/kubepods.slice/burstable/pod1/${"b2".repeat(32)}`,
  `12:devices:/docker/${"c3".repeat(32)}\n0::/`,
];

export const APPS: readonly JsonObject[] = [
  samson(),
  withVolumes(
    persistent("data", {
      type: "mount",
      size: 10,
      maxSize: 20,
      constraints: [["path", "LIKE", "/mnt/(ssd|nvme)-[0-9]+"]],
    }),
  ),
];
export const PATTERNS: readonly string[] = ["/mnt/(?:ssd|nvme)-[0-9a-f]+", "((a*)*)*b", "[^/]?.*\\w+"];

export const ROWS: { readonly [T in (typeof TABLES)[number]]: unknown } = {
  reservations: records.setReservation().value,
  volumes: records.setMarkedVolume().value,
  containers: records.setContainer().value,
  operations: records.setOperation().value,
  disks: records.setDisk().value,
  sandboxes: records.setSandbox().value,
  apps: records.setApp().value,
};

export const LABELS: readonly Buffer[] = [
  encodeVolumeLabel(records.sampleVolume(1)),
  encodeVolumeLabel(records.sampleVolume(2)),
  encodeVolumeLabel(records.setNotedVolume().value as never),
  encodeNodeLabel({ agentId: records.SAMPLE_HEADER.agentId, reservations: [records.setReservation().value as never] }),
];
