/**
 * Gives everything in a tree to a group: readable and writable for it as for the owners, directories such that what is
 * made in them is the group's too. Each directory is changed behind everything in it, so the top, which says that all is
 * done, comes last: what was interrupted is gone through again.
 */
import { chmodSync, constants, fchmodSync } from "node:fs";
import { type Met, type Visitor, walkContent } from "./content-walk.ts";
import { AT, fchownat } from "./syscalls.ts";
import type { Original } from "./syscalls-copy.ts";

export interface GroupOrder {
  /** An open directory, to be kept open until the end. */
  readonly fd: number;
  readonly group: number;
}

const PERMISSIONS = 0o7777;
const [GROUP_ALL, GROUP_READ_WRITE, GROUP_EXECUTE, ANY_EXECUTE] = [0o070, 0o060, 0o010, 0o111];
const [SET_USER, SET_GROUP] = [0o4000, 0o2000];
const KEEP_OWNER = 0xffff_ffff;
const { S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT } = constants;

/** Whether a directory at the top says that all below it is the group's. */
export function isGroups({ gid, mode }: Pick<Original, "gid" | "mode">, group: number): boolean {
  return gid === group && (mode & SET_GROUP) !== 0 && (mode & GROUP_ALL) === GROUP_ALL;
}

/**
 * One name between two yields. Symlinks and devices become the group's and keep their modes; nothing but directories is
 * opened. Throws as `walkContent`, and whatever the kernel says.
 */
export function* giveToGroup({ fd, group }: GroupOrder): Generator<undefined, void> {
  yield* walkContent(fd, new GroupVisitor(group));
}

class GroupVisitor implements Visitor {
  readonly #group: number;

  constructor(group: number) {
    this.#group = group;
  }

  enter(): boolean {
    return true;
  }

  leave({ fd, found }: Met): void {
    const mode = (found.mode & PERMISSIONS) | GROUP_ALL | SET_GROUP;
    if (found.gid !== this.#group) fchownat(fd, "", KEEP_OWNER, this.#group, AT.EMPTY_PATH);
    if (found.gid !== this.#group || mode !== (found.mode & PERMISSIONS)) fchmodSync(fd, mode);
  }

  visit({ fd, found }: Met): undefined {
    const isChanged = found.gid !== this.#group;
    if (isChanged) fchownat(fd, "", KEEP_OWNER, this.#group, AT.EMPTY_PATH);
    const type = found.mode & S_IFMT;
    if (type === S_IFLNK || type === S_IFCHR || type === S_IFBLK) return;
    const mode = modeOf(found);
    // The change of a group takes set-id bits away; it is what it was before, also where somebody is faster.
    if (isChanged || mode !== (found.mode & PERMISSIONS)) chmodSync(`/proc/self/fd/${fd}`, mode);
  }

  release(): void {}
}

/** A program that ran as another group does so no more: it would be this one. */
function modeOf({ mode }: Original): number {
  const executable = (mode & ANY_EXECUTE) === 0 ? 0 : GROUP_EXECUTE;
  return (mode & (0o777 | SET_USER)) | GROUP_READ_WRITE | executable;
}
