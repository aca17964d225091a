/** Whether what lies at a disk's path may be used as that disk. Never by its path alone. */
import { type DirectoryIdentity, type DiskRecord, sameDirectory } from "../domain/records.ts";
import type { DriveSource, Sight } from "../ports/drives.ts";

/** What is known of a disk that shall be used. */
export interface Expected {
  readonly source: DriveSource;
  /** As it was when it was used last. */
  readonly record: DiskRecord | undefined;
  /** Whether volumes of it are on record: then nothing else will do. */
  readonly hasVolumes: boolean;
}

const CURE =
  "mount the old one; if that is gone for good, destroy its volumes and give them up with holdfast gc --lost";
const NOTHING_MOUNTED = "nothing is mounted there: mount it";

/** Why it may not be used, with what to do; `undefined` when it may. */
export function whyNotUsable({ source, record, hasVolumes }: Expected, sight: Sight): string | undefined {
  // What lies below an unmounted disk belongs to another file system.
  if (source.type === "MOUNT" && !sight.isMountPoint) return NOTHING_MOUNTED;
  if (isLeftBehind(record, sight)) return NOTHING_MOUNTED;
  if (!hasVolumes) return undefined;
  if (record !== undefined && otherUuid(record, sight)) {
    const found = `file system UUID ${sight.fileSystemUuid}, expected ${record.fileSystemUuid}`;
    return `another disk is in its place (${found}): ${CURE}`;
  }
  if (sight.directory === undefined) {
    return `it has no directory volumes, so it is not the disk that its volumes are on: ${CURE}`;
  }
  if (record === undefined || sameDirectory(record.directory, sight.directory)) return undefined;
  return `another disk is in its place (${described(sight.directory)}, expected ${described(record.directory)}): ${CURE}`;
}

/** Why what was opened is not there any more; `undefined` when it is. */
export function whyGone(opened: Sight, now: Sight): string | undefined {
  if (!isSameMount(opened, now)) return "it was unmounted, or something else was mounted there: mount it again";
  if (opened.directory === undefined || now.directory === undefined) return `its directory volumes is gone: ${CURE}`;
  if (sameDirectory(opened.directory, now.directory)) return undefined;
  return `its directory volumes is another one now: ${CURE}`;
}

/** Whether the same mount shows the same directory, as long as one of them is held open. */
export function isSameMount(left: Sight, right: Sight): boolean {
  return left.root.ino === right.root.ino && left.root.device === right.root.device && left.mountId === right.mountId;
}

/** A known one whose mount is missing: what shows would be taken for a fresh one. */
function isLeftBehind(record: DiskRecord | undefined, sight: Sight): boolean {
  const isBare = !sight.isMountPoint && sight.directory === undefined;
  return record !== undefined && isBare && otherUuid(record, sight);
}

/** Only where both are known. */
function otherUuid({ fileSystemUuid }: DiskRecord, sight: Sight): boolean {
  if (fileSystemUuid === undefined || sight.fileSystemUuid === undefined) return false;
  return fileSystemUuid !== sight.fileSystemUuid;
}

function described({ ino, birthNs }: DirectoryIdentity): string {
  const born = birthNs === "0" ? "" : ` of ${new Date(Number(BigInt(birthNs) / 1_000_000n)).toISOString()}`;
  return `directory ${ino}${born}`;
}
