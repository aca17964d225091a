/** A disk for people: every line is a sum that adds up. */
import { BYTES_PER_MB } from "../../domain/units.ts";
import type { DiskJson } from "../../faces/agent-socket/wire.ts";
import { counted } from "./counted.ts";
import { renderFacts } from "./table.ts";
import { printable } from "./text.ts";

export function describeDisk(disk: DiskJson): string {
  const { root, source, fileSystem, declaredMb, reservedMb, volumesMb, retainedMb, pinnedMb, unmeasured } = disk;
  const facts = renderFacts([
    ["File system", describeFileSystem(disk)],
    [
      "Declared",
      sum(
        declaredMb,
        [reservedMb, "reserved"],
        [declaredMb - reservedMb - pinnedMb, "not reserved"],
        [pinnedMb, "pinned"],
      ),
    ],
    ["Reserved", sum(reservedMb, [volumesMb, "under volumes"], [reservedMb - volumesMb, "free"])],
    ["Retained", `${exact(retainedMb)} MB in destroyed volumes`],
    ["Promised", `${wholeMb(disk.promisedBytes)} MB that volumes may still fill`],
    ["Unmeasured", unmeasured === 0 ? undefined : `${counted(unmeasured, "volume")}, counted as other until they are`],
  ]);
  const head = printable(`Disk ${root} (${source.type}, ${fileSystem}): ${describeEnforcement(disk)}`);
  return [head, ...facts.split("\n").map((line) => `  ${line}`)].join("\n");
}

function describeEnforcement({ enforcement: { by, reason } }: DiskJson): string {
  switch (by) {
    case "project-quota":
      return "sizes enforced by project quotas";
    case "qgroup":
      return "sizes enforced by btrfs qgroups";
    case "nothing":
      return `sizes not enforced: ${reason ?? "the file system cannot"}`;
  }
}

function describeFileSystem({ totalBytes, freeBytes, usedByVolumesBytes, usedByRetainedBytes }: DiskJson): string {
  if (totalBytes === 0) return "could not be measured";
  const [total, free] = [wholeMb(totalBytes), wholeMb(freeBytes)];
  const [volumes, retained] = [wholeMb(usedByVolumesBytes), wholeMb(usedByRetainedBytes)];
  const parts = sum(
    total,
    [volumes, "used by volumes"],
    [retained, "used by retained"],
    [Math.max(0, total - free - volumes - retained), "other"],
    [free, "free"],
  );
  return `${parts} (${Math.round((freeBytes / totalBytes) * 100)} %)`;
}

/** `2048 MB = 512 under volumes + 1536 free`; the first two parts always, others where there are any. */
function sum(totalMb: number, ...parts: readonly (readonly [mb: number, what: string])[]): string {
  const shown = parts.filter(([mb], index) => index < 2 || mb !== 0);
  return `${exact(totalMb)} MB = ${shown.map(([mb, what]) => `${exact(mb)} ${what}`).join(" + ")}`;
}

/** Sizes have three decimals at most. */
function exact(mb: number): string {
  return String(Math.round(mb * 1000) / 1000);
}

function wholeMb(bytes: number): number {
  return Math.round(bytes / BYTES_PER_MB);
}
