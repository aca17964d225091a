import { readFileSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";

/** The id by which mount tables know the mount of an open file, whatever the kernel's `statx` calls it. */
export function tableIdOf(fd: number): number {
  const id = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1];
  if (id === undefined)
    throw new HoldfastError("internal", `Cannot find the mount of descriptor ${fd}: no id in fdinfo`);
  return Number(id);
}
