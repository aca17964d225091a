/**
 * SELinux lets a container use a directory only when its label says so, and the label of a daemon's own files does not.
 * So the content directory of a new volume gets one that containers may use, and what is made in it inherits that.
 */
import { readFileSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import { fgetxattr, fsetxattr, isErrno } from "./syscalls.ts";

/** What every container may use, whoever runs it: without categories, so that volumes move between containers. */
const CONTAINER_LABEL = "system_u:object_r:container_file_t:s0";
const ENFORCE = "/sys/fs/selinux/enforce";
const ATTRIBUTE = "security.selinux";

export type SelinuxMode = "enforcing" | "permissive" | "absent";

/** Whether this machine has SELinux, and whether it refuses what its rules do not allow. */
export function selinuxMode(enforceFile: string = ENFORCE): SelinuxMode {
  try {
    return readFileSync(enforceFile, "latin1").trim() === "1" ? "enforcing" : "permissive";
  } catch {
    return "absent";
  }
}

/** The label for new volumes, `undefined` for none. A permissive machine may enforce tomorrow, and labels stay. */
export function selinuxLabelFor(setting: string, mode: SelinuxMode): string | undefined {
  if (setting === "none") return undefined;
  if (setting !== "auto") return setting;
  return mode === "absent" ? undefined : CONTAINER_LABEL;
}

/**
 * Labels an open directory. Says false when its file system has no labels of its own.
 * @throws `unsupported` the policy does not know the label, or does not let us give it
 */
export function setSelinuxLabel(fd: number, label: string): boolean {
  try {
    fsetxattr(fd, ATTRIBUTE, Buffer.from(`${label}\0`));
    return true;
  } catch (error) {
    if (isErrno(error, "ENOTSUP")) return false;
    if (!isErrno(error, "EINVAL", "EPERM", "EACCES", "E2BIG", "ERANGE")) throw error;
    const message = `Cannot give a volume the SELinux label ${label} (${error.errno}): set selinuxLabel to another one, or to none`;
    throw new HoldfastError("unsupported", message, { cause: error });
  }
}

/** The label of an open directory; `undefined` when it has none. */
export function getSelinuxLabel(fd: number): string | undefined {
  try {
    return fgetxattr(fd, ATTRIBUTE).toString().replace(/\0$/, "");
  } catch (error) {
    if (isErrno(error, "ENODATA", "ENOTSUP")) return undefined;
    throw error;
  }
}

/** The third part of a label, which is what access goes by. */
export function selinuxTypeOf(label: string | undefined): string {
  return label?.split(":")[2] ?? "unlabelled";
}
