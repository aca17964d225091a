/**
 * Everything that lies on a disk, read without a checkpoint: for `rebuild`, for `doctor`, and for telling a first start
 * from a lost checkpoint. All of it is the daemon's own, behind mode 0700; no container can write here.
 */
import { closeSync, constants, existsSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { DirectoryIdentity } from "../domain/records.ts";
import type { Incarnation } from "../domain/units.ts";
import { contentOf, examineContent, isIncarnation, SCOPE } from "./incarnation.ts";
import { LABEL_BYTES_MAX } from "./label-files.ts";
import { getSelinuxLabel } from "./selinux.ts";
import { readSmallFile } from "./small-files.ts";
import { AT, O, openat2, statx } from "./syscalls.ts";

export interface SurveyedVolume {
  readonly uuid: Incarnation;
  readonly place: "volumes" | "trash";
  /** Absent where there is none, or it cannot be read. */
  readonly label?: Buffer;
  /** Absent where there is no content directory. */
  readonly directory?: DirectoryIdentity;
  /** What is there instead of a content directory: "is a symlink". */
  readonly foreign?: string;
  /** What cannot be looked into is not. */
  readonly empty: boolean;
}

export interface Survey {
  /** The disk's own label. */
  readonly node?: Buffer;
  /** Spares are among them: empty and without a label. */
  readonly volumes: readonly SurveyedVolume[];
}

export function surveyDisk(root: string): Survey {
  const node = readNodeLabel(root);
  return {
    ...(node === undefined ? {} : { node }),
    volumes: [...surveyPlace(root, "volumes"), ...surveyPlace(root, "trash")],
  };
}

function readNodeLabel(root: string): Buffer | undefined {
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return readSmallFile(fd, "label", LABEL_BYTES_MAX);
  } finally {
    closeSync(fd);
  }
}

/** Whether anything here ever belonged to a checkpoint. A work root without any of it is a new one. */
export function hasHistory(root: string): boolean {
  if (existsSync(join(root, "label"))) return true;
  if (incarnationsIn(join(root, "trash")).length > 0) return true;
  const volumes = join(root, "volumes");
  return incarnationsIn(volumes).some((uuid) => existsSync(join(volumes, uuid, "label")));
}

/** The SELinux label of every live volume's content; what goes away meanwhile is left out. */
export function surveySelinuxLabels(
  root: string,
): readonly { readonly path: string; readonly label: string | undefined }[] {
  const folder = join(root, "volumes");
  const labelled = incarnationsIn(folder).filter((uuid) => existsSync(join(folder, uuid, "label")));
  if (labelled.length === 0) return [];
  const parent = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return labelled.flatMap((uuid) => {
      const fd = openContent(parent, uuid);
      if (fd === undefined) return [];
      try {
        return [{ path: `${folder}/${contentOf(uuid)}`, label: getSelinuxLabel(fd) }];
      } finally {
        closeSync(fd);
      }
    });
  } finally {
    closeSync(parent);
  }
}

/** What is missing or something else is another check's business. */
function openContent(parentFd: number, uuid: Incarnation): number | undefined {
  try {
    return openat2(parentFd, contentOf(uuid), { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
  } catch {
    return undefined;
  }
}

function surveyPlace(root: string, place: SurveyedVolume["place"]): SurveyedVolume[] {
  const folder = join(root, place);
  const uuids = incarnationsIn(folder);
  if (uuids.length === 0) return [];
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const parent = { fd, mountId: statx(fd, "", AT.EMPTY_PATH).mountId };
    return uuids.map((uuid) => {
      const label = readSmallFile(fd, `${uuid}/label`, LABEL_BYTES_MAX);
      const finding = examineContent(parent, uuid);
      return {
        uuid,
        place,
        ...(label === undefined ? {} : { label }),
        ...(finding.state === "present" ? { directory: finding.directory } : {}),
        ...(finding.state === "foreign" ? { foreign: finding.reason } : {}),
        empty: isEmpty(join(folder, uuid, "content")),
      };
    });
  } finally {
    closeSync(fd);
  }
}

function incarnationsIn(folder: string): Incarnation[] {
  try {
    return readdirSync(folder).filter(isIncarnation);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function isEmpty(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}
