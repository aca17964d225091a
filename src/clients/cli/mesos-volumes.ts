/**
 * The persistent volumes that lie on a disk of a Mesos agent: `volumes/roles/<role>/<id>`, each `/` of a role a space
 * there. Only looked for here; the daemon looks at every directory again.
 */
import { isUtf8 } from "node:buffer";
import { type Dirent, readdirSync } from "node:fs";
import { HoldfastError, messageOf } from "../../domain/error.ts";
import { parseRole, parseVolumeId } from "../../domain/names.ts";
import type { VolumeName } from "./options.ts";

export interface FoundVolume extends VolumeName {
  readonly directory: string;
}

interface SkippedName {
  readonly path: string;
  readonly reason: string;
}

export interface MesosVolumes {
  readonly volumes: readonly FoundVolume[];
  /** What is no volume, and why. */
  readonly skipped: readonly SkippedName[];
}

/**
 * @param roots absolute paths of directories `volumes/roles`
 * @throws `invalid` one of them cannot be read
 */
export function findMesosVolumes(roots: readonly string[]): MesosVolumes {
  const volumes: FoundVolume[] = [];
  const skipped: SkippedName[] = [];
  const skip = (path: string, reason: string): void => void skipped.push({ path, reason });
  for (const root of roots) {
    for (const roleName of directoriesIn(root, skip)) {
      const path = `${root}/${roleName}`;
      const role = parsed(() => parseRole(roleName.replaceAll(" ", "/")), path, skip);
      if (role === undefined) continue;
      for (const name of directoriesIn(path, skip)) {
        const directory = `${path}/${name}`;
        const id = parsed(() => parseVolumeId(name), directory, skip);
        if (id !== undefined) volumes.push({ role, id, directory });
      }
    }
  }
  return { volumes, skipped };
}

type Skip = (path: string, reason: string) => void;

function directoriesIn(path: string, skip: Skip): readonly string[] {
  const names: string[] = [];
  for (const entry of read(path)) {
    const name = entry.name.toString();
    if (!isUtf8(entry.name)) skip(`${path}/${name}`, "its name is not UTF-8");
    else if (entry.isDirectory()) names.push(name);
    else skip(`${path}/${name}`, entry.isSymbolicLink() ? "it is a symlink" : "it is no directory");
  }
  return names.sort();
}

function read(path: string): readonly Dirent<Buffer>[] {
  try {
    return readdirSync(path, { withFileTypes: true, encoding: "buffer" });
  } catch (cause) {
    throw new HoldfastError("invalid", `Cannot look for volumes in ${path}: ${messageOf(cause)}`, { cause });
  }
}

function parsed<Value>(parse: () => Value, path: string, skip: Skip): Value | undefined {
  try {
    return parse();
  } catch (error) {
    skip(path, messageOf(error));
    return undefined;
  }
}
