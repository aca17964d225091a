/** Who would lose a volume's content if it were deleted now, whatever our books say. */
import { messageOf } from "../domain/error.ts";
import type { Incarnation } from "../domain/units.ts";
import type { Parts } from "./parts.ts";

/** Scans every mount namespace and process once. The answer says who holds a volume; unknown means held. */
export async function lookForHolds(
  parts: Parts,
  uuids: readonly Incarnation[],
): Promise<(uuid: Incarnation) => string | undefined> {
  try {
    const mounts = await parts.holders.mounts(uuids, "everywhere");
    const processes = await parts.holders.processes(uuids);
    return (uuid) => {
      const mount = mounts.find((entry) => entry.uuid === uuid);
      if (mount !== undefined) return `it is mounted at ${mount.mountPoint} (${describe(mount)})`;
      const process = processes.find((entry) => entry.uuid === uuid);
      return process === undefined ? undefined : `it is used by ${describe(process)}`;
    };
  } catch (error) {
    const reason = `it cannot be ruled out that somebody holds it: ${messageOf(error)}`;
    return () => reason;
  }
}

function describe({
  pid,
  command,
  cgroup,
}: {
  readonly pid: number;
  readonly command: string;
  readonly cgroup: string;
}) {
  return `process ${pid}, ${command}, ${cgroup}`;
}
