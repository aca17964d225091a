/** Gives spares of one disk the SELinux label that their volumes shall have. */
import { closeSync } from "node:fs";
import { messageOf } from "../domain/error.ts";
import type { Spare } from "../ports/disk.ts";
import type { Log } from "../ports/log.ts";
import { contentOf, SCOPE } from "./incarnation.ts";
import { getSelinuxLabel, setSelinuxLabel } from "./selinux.ts";
import { O, openat2 } from "./syscalls.ts";

export interface SelinuxOptions {
  readonly label: string;
  /** Whether a volume that cannot get it is refused. */
  readonly required: boolean;
  /** Told once when volumes have to do without. */
  readonly onUnlabelled: (notice: string) => void;
}

interface Place {
  readonly root: string;
  readonly volumesFd: number;
  readonly log: Log;
}

/** Labels a spare, not yet durable. Throws `unsupported` when it must have a label and cannot get it. */
export function createLabelling(
  { root, volumesFd, log }: Place,
  selinux: SelinuxOptions | undefined,
): (spare: Spare) => void {
  if (selinux === undefined) return () => {};
  const { label, required, onUnlabelled } = selinux;
  let isTold = false;

  function doWithout(reason: string): void {
    if (isTold) return;
    isTold = true;
    const notice = `New volumes on ${root} get no SELinux label: ${reason}`;
    log.warn({ root }, notice);
    onUnlabelled(notice);
  }

  return ({ uuid }) => {
    const fd = openat2(volumesFd, contentOf(uuid), { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE });
    try {
      if (getSelinuxLabel(fd) === label || setSelinuxLabel(fd, label)) return;
      doWithout("its file system keeps none");
    } catch (error) {
      if (required) throw error;
      doWithout(messageOf(error));
    } finally {
      closeSync(fd);
    }
  };
}
