/**
 * Sizes that hold on ext4 and XFS: the content of every volume, and of every spare, carries a project id of its own,
 * which the kernel counts and limits.
 */
import { HoldfastError, messageOf } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import { type Incarnation, type MilliMb, type ProjectId, toBytes } from "../domain/units.ts";
import type { Enlisted, Looseness, Spare, VolumeUsage } from "../ports/disk.ts";
import type { Enforcer, EnforcerParts, Walk } from "./enforcer.ts";
import { makeIncarnation, removeUnused } from "./incarnation.ts";
import { ProjectBook } from "./project-book.ts";
import { clearProject, limitProject, type ProjectIdRange, projectQuotaState, usageOfProject } from "./project-quota.ts";
import { isErrno } from "./syscalls.ts";
import { getProject, setProject } from "./syscalls-quota.ts";
import { missingContent, withContent } from "./volume-content.ts";

/** Why volumes cannot be held by projects on a file system, for people; `undefined` when they can. */
export function whyNoProjects(fd: number, type: string, range: ProjectIdRange): string | undefined {
  const { accounting, enforcing } = projectQuotaState(fd);
  if (accounting && enforcing) return whyNotPermitted(fd, range.first);
  if (accounting) return "project quotas are counted but not enforced, mount it with prjquota";
  if (type === "xfs") return "project quotas are off, unmount it and mount it with prjquota (a remount does not do)";
  if (type !== "ext4") return `${type} has no project quotas`;
  return "project quotas are off, unmount it, run tune2fs -O project,quota on its device, and mount it with prjquota";
}

function whyNotPermitted(fd: number, id: number): string | undefined {
  try {
    usageOfProject(fd, id);
    return undefined;
  } catch (error) {
    if (!isErrno(error, "EPERM", "EACCES")) return messageOf(error);
    return "limits are for root alone (CAP_SYS_ADMIN, outside of user namespaces)";
  }
}

/** Limits are whole blocks: these the file system keeps exactly. */
export interface ProjectEnforcerOptions {
  readonly range: ProjectIdRange;
  readonly blockBytes: number;
}

export function createProjectEnforcer(parts: EnforcerParts, options: ProjectEnforcerOptions): Enforcer {
  return new ProjectEnforcer(parts, options);
}

class ProjectEnforcer implements Enforcer {
  readonly enforcement = { by: "project-quota" } as const;
  readonly durability: EnforcerParts["durability"];
  readonly #parts: EnforcerParts;
  readonly #fd: number;
  readonly #blockBytes: number;
  readonly #book: ProjectBook;
  /** Those that are walked through: the limit that they shall have afterwards, and whether they have none meanwhile. */
  readonly #enlisting = new Map<Incarnation, { bytes: number; isLifted: boolean }>();

  constructor(parts: EnforcerParts, { range, blockBytes }: ProjectEnforcerOptions) {
    this.#parts = parts;
    this.durability = parts.durability;
    this.#fd = parts.places.volumes.fd;
    this.#blockBytes = blockBytes;
    this.#book = new ProjectBook(this.#fd, range);
  }

  /** The other half of what is free is for those who want more at once than the pool has. */
  mostSpares(ready: number): number {
    return Math.floor((this.#book.free + ready) / 2);
  }

  claim({ uuid, projectId }: Pick<Volume, "uuid" | "projectId">): void {
    if (projectId !== undefined) this.#book.note(uuid, projectId);
  }

  make(uuid: Incarnation): Spare {
    const projectId = this.#book.allocate();
    this.#book.note(uuid, projectId);
    try {
      const spare = makeIncarnation(this.#fd, uuid);
      this.#inSpare(uuid, (fd) => setProject(fd, { id: projectId, inherit: true }));
      return { ...spare, projectId };
    } catch (error) {
      this.discard(uuid);
      throw error;
    }
  }

  /** It uses the id that it has if that is nobody else's: not in the books, and on no other file. */
  keep(spare: Spare): Spare | undefined {
    const { id, inherit } = this.#inSpare(spare.uuid, getProject);
    if (!inherit || !this.#book.isInRange(id) || this.#book.isTaken(id)) return undefined;
    if (usageOfProject(this.#fd, id).inodes !== 1) return undefined;
    const projectId = id as ProjectId;
    this.#book.note(spare.uuid, projectId);
    return { ...spare, projectId };
  }

  discard(uuid: Incarnation): void {
    this.#noteUnknown(uuid);
    removeUnused(this.#fd, uuid);
    this.forget(uuid);
  }

  /** An id with a limit is nobody's until that is gone: a kill may have come between limit and commit. */
  #noteUnknown(uuid: Incarnation): void {
    if (this.#book.has(uuid)) return;
    const id = withContent(this.#parts.places, { uuid, phase: "live" }, getProject)?.id ?? 0;
    if (!this.#book.isInRange(id) || this.#book.isTaken(id) || usageOfProject(this.#fd, id).inodes !== 1) return;
    this.#book.note(uuid, id as ProjectId);
  }

  limit(volume: Volume): void {
    const action = `Cannot limit volume ${volume.role}/${volume.id}`;
    const found = withContent(this.#parts.places, volume, getProject);
    if (found === undefined) throw missingContent(action);
    const { projectId } = volume;
    if (projectId === undefined || found.id !== projectId) {
      const reason = projectId === undefined ? "has no project id yet" : `has project id ${found.id}, not ${projectId}`;
      throw new HoldfastError("unsupported", `${action}: its directory ${reason}`);
    }
    this.#book.note(volume.uuid, projectId);
    const bytes = this.#limitOf(volume.size);
    const enlisting = this.#enlisting.get(volume.uuid);
    if (enlisting !== undefined) enlisting.bytes = bytes;
    if (enlisting?.isLifted !== true) limitProject(this.#fd, projectId, bytes);
  }

  looseness(volume: Volume): Looseness | undefined {
    const found = withContent(this.#parts.places, volume, getProject);
    // What is not there is another check's business.
    if (found === undefined) return undefined;
    const { projectId } = volume;
    if (projectId === undefined) return { reason: "it has been there before project quotas were", cure: "enlist" };
    if (found.id !== projectId) {
      return { reason: `its directory has project id ${found.id}, expected ${projectId}`, cure: "enlist" };
    }
    if (!found.inherit) return { reason: "new files in it would not belong to its project", cure: "enlist" };
    if (this.#enlisting.has(volume.uuid)) return undefined;
    const [limit, expected] = [usageOfProject(this.#fd, projectId).limitBytes, this.#limitOf(volume.size)];
    if (limit === expected) return undefined;
    return { reason: `its limit is ${limit ?? "no"} bytes, expected ${expected}`, cure: "limit" };
  }

  usageOf(volume: Volume): VolumeUsage | undefined {
    const { projectId } = volume;
    const found = projectId === undefined ? undefined : withContent(this.#parts.places, volume, getProject);
    if (projectId === undefined || found?.id !== projectId) return undefined;
    const { usedBytes, inodes } = usageOfProject(this.#fd, projectId);
    return { usedBytes, inodes };
  }

  newProjectId(): ProjectId {
    return this.#book.allocate();
  }

  /**
   * Files that come into the project count there. Where its limit refuses them it has none while they come; else the
   * limit stays, for whoever writes meanwhile, and if this process does not live to set it again.
   */
  async enlist(volume: Volume, { parent, name }: Walk, options: { readonly signal?: AbortSignal }): Promise<Enlisted> {
    const { uuid, projectId: id } = volume;
    if (id === undefined) throw new HoldfastError("invalid", `Cannot enlist volume ${uuid}: it has no project id`);
    this.#book.note(uuid, id);
    const enlisting = { bytes: this.#limitOf(volume.size), isLifted: false };
    this.#enlisting.set(uuid, enlisting);
    const walk = async (): Promise<Enlisted> => {
      const { usedBytes, inodes, wrong, refused } = await this.#parts.census.enlist(parent, name, { id }, options);
      return { usedBytes, inodes, wrong, refused };
    };
    try {
      const first = await walk();
      if (first.refused === 0 || usageOfProject(this.#fd, id).limitBytes === undefined) return first;
      enlisting.isLifted = true;
      clearProject(this.#fd, id);
      const second = await walk();
      return { ...second, wrong: first.wrong + second.wrong };
    } finally {
      this.#enlisting.delete(uuid);
      limitProject(this.#fd, id, enlisting.bytes);
    }
  }

  async destroy(): Promise<number> {
    return 0;
  }

  async reclaimed(): Promise<boolean> {
    return false;
  }

  forget(uuid: Incarnation): void {
    try {
      this.#book.forget(uuid);
    } catch (error) {
      this.#parts.log.warn({ root: this.#parts.root, uuid, err: error }, "The limit of a project id cannot be removed");
    }
  }

  #limitOf(size: MilliMb): number {
    const unit = this.#blockBytes;
    return Math.max(Math.floor(toBytes(size) / unit), 1) * unit;
  }

  #inSpare<Result>(uuid: Incarnation, work: (contentFd: number) => Result): Result {
    const done = withContent(this.#parts.places, { uuid, phase: "live" }, (fd) => ({ result: work(fd) }));
    if (done === undefined) throw missingContent(`Cannot make spare ${uuid}`);
    return done.result;
  }
}
