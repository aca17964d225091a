/**
 * Labels beside the content, and the symlinks `volumes/roles/<role>/<id>` for people. Both are copies: written at once
 * and unsynced, made durable behind the answer. A symlink that cannot be made is only a missing convenience.
 */
import { closeSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import type { Incarnation } from "../domain/units.ts";
import type { LabelCodec } from "../ports/labels.ts";
import type { Log } from "../ports/log.ts";
import { syncAt, syncEach } from "./durable.ts";
import { contentOf, PRIVATE_MODE, SCOPE } from "./incarnation.ts";
import { createFile, readSmallFile, removeIfPresent, replaceFile } from "./small-files.ts";
import { isErrno, mkdirat, O, openat2, readlinkat, renameat2, symlinkat, unlinkat } from "./syscalls.ts";

/** A symlink on its way into its role's directory. */
export const NEW_LINK = "link.new";
const NAME_BYTES_MAX = 255;
/** A label is a few hundred bytes; anything larger is none. */
export const LABEL_BYTES_MAX = 1024 * 1024;

/** Descriptors that stay open while the disk is. */
export interface LabelPlaces {
  readonly volumesFd: number;
  readonly trashFd: number;
  readonly rolesFd: number;
  /** Whether the sync of a new file makes its name durable too, as ext4, XFS and btrfs do. */
  readonly syncsNames: boolean;
}

export interface LabelFiles {
  /** Writes label and symlink. @throws `damaged` when the directory is gone */
  write(volume: Volume): void;
  /** What the label says; `undefined` when there is none, or none that can be read. */
  revision(volume: Volume): number | undefined;
  /** Makes labels durable, and every symlink that changed since the last time. Missing ones are skipped. */
  sync(uuids: readonly Incarnation[]): Promise<void>;
  /** Puts the symlink to this volume, in place of one to another incarnation. */
  link(volume: Volume): void;
  /** Removes the symlink when it points to this volume. */
  unlink(volume: Volume): void;
  /** Takes back the label of a volume that did not come to be. */
  remove(uuid: Incarnation): void;
}

export function openLabelFiles(
  places: LabelPlaces,
  codec: Pick<LabelCodec, "encodeVolume" | "decodeVolume">,
  log: Log,
): LabelFiles {
  /** Role directories that changed since they were synced; `.` is the directory of them all. */
  let changed = new Set<string>();

  function write(volume: Volume): void {
    const bytes = codec.encodeVolume(volume);
    const [first, second] = placesOf(places, volume);
    if (!writeLabelFile(first, volume.uuid, bytes) && !writeLabelFile(second, volume.uuid, bytes)) {
      throw new HoldfastError("damaged", `Cannot label volume ${volume.role}/${volume.id}: its directory is missing`);
    }
    if (volume.phase === "live") link(volume);
  }

  function revision(volume: Volume): number | undefined {
    for (const place of placesOf(places, volume)) {
      const bytes = readSmallFile(place, labelOf(volume.uuid), LABEL_BYTES_MAX);
      if (bytes === undefined) continue;
      try {
        return codec.decodeVolume(bytes).revision;
      } catch {
        return undefined;
      }
    }
    return undefined;
  }

  async function sync(uuids: readonly Incarnation[]): Promise<void> {
    const roles = changed;
    changed = new Set();
    try {
      await syncEach(uuids, async (uuid) => {
        if (!(await syncLabelFile(places, places.volumesFd, uuid))) await syncLabelFile(places, places.trashFd, uuid);
      });
      await syncEach(roles, async (role) => {
        await syncAt(places.rolesFd, role, { directory: true, resolve: SCOPE });
      });
    } catch (error) {
      changed = changed.union(roles);
      throw error;
    }
  }

  function link(volume: Volume): void {
    const role = roleDirectory(volume);
    if (role === undefined) {
      log.debug({ uuid: volume.uuid }, "Symlink left out: the role is too long for a name");
      return;
    }
    try {
      withRole(role, (roleFd) => placeLink(places.volumesFd, roleFd, volume));
      changed.add(role);
    } catch (error) {
      log.warn({ uuid: volume.uuid, err: error }, "Symlink to the volume cannot be made");
    }
  }

  /** Opens the role's directory and makes it when it is not there. */
  function withRole(role: string, work: (roleFd: number) => void): void {
    try {
      withDirectory(places.rolesFd, role, work);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
      mkdirat(places.rolesFd, role, PRIVATE_MODE);
      changed.add(".");
      withDirectory(places.rolesFd, role, work);
    }
  }

  function unlink(volume: Volume): void {
    const role = roleDirectory(volume);
    if (role === undefined) return;
    try {
      withDirectory(places.rolesFd, role, (roleFd) => {
        if (readlinkat(roleFd, volume.id) === linkText(volume.uuid)) unlinkat(roleFd, volume.id, 0);
      });
      changed.add(role);
    } catch (error) {
      // Nothing there, or something that is no symlink: neither is ours to remove.
      if (!isErrno(error, "ENOENT", "EINVAL")) {
        log.warn({ uuid: volume.uuid, err: error }, "Symlink to the volume cannot be removed");
      }
    }
  }

  function remove(uuid: Incarnation): void {
    removeIfPresent(places.volumesFd, labelOf(uuid));
  }

  return { write, revision, sync, link, unlink, remove };
}

/** `false` when the volume's directory is not here. */
function writeLabelFile(dirFd: number, uuid: Incarnation, bytes: Buffer): boolean {
  const path = labelOf(uuid);
  try {
    createFile(dirFd, path, bytes);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    if (!isErrno(error, "EEXIST")) throw error;
    replaceFile(dirFd, path, bytes);
    return true;
  }
}

async function syncLabelFile({ syncsNames }: LabelPlaces, dirFd: number, uuid: Incarnation): Promise<boolean> {
  if (!(await syncAt(dirFd, labelOf(uuid), { directory: false, resolve: SCOPE }))) return false;
  return syncsNames || syncAt(dirFd, uuid, { directory: true, resolve: SCOPE });
}

function placeLink(volumesFd: number, roleFd: number, volume: Volume): void {
  const text = linkText(volume.uuid);
  try {
    symlinkat(text, roleFd, volume.id);
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
    if (readlinkat(roleFd, volume.id) === text) return;
    removeIfPresent(volumesFd, NEW_LINK);
    symlinkat(text, volumesFd, NEW_LINK);
    renameat2(volumesFd, NEW_LINK, roleFd, volume.id, 0);
  }
}

function withDirectory(parentFd: number, name: string, work: (fd: number) => void): void {
  const fd = openat2(parentFd, name, { flags: O.PATH | O.DIRECTORY, resolve: SCOPE });
  try {
    work(fd);
  } finally {
    closeSync(fd);
  }
}

/** Where a volume's directory lies, and where it may lie instead while it moves. */
function placesOf(places: LabelPlaces, volume: Volume): readonly [number, number] {
  const inTrash = volume.phase === "retained" || volume.phase === "collecting";
  return inTrash ? [places.trashFd, places.volumesFd] : [places.volumesFd, places.trashFd];
}

/** Mesos's encoding: roles cannot contain a space. */
function roleDirectory(volume: Volume): string | undefined {
  const name = volume.role.replaceAll("/", " ");
  return Buffer.byteLength(name) > NAME_BYTES_MAX ? undefined : name;
}

/** Relative, so that it stays right when the disk is mounted elsewhere. */
function linkText(uuid: Incarnation): string {
  return `../../${contentOf(uuid)}`;
}

function labelOf(uuid: Incarnation): string {
  return `${uuid}/label`;
}
