import { HoldfastError } from "../../src/domain/error.ts";
import type { ProjectId } from "../../src/domain/units.ts";

/** The ids that a memory disk gives out, all of them. */
export const MEMORY_PROJECTS = { first: 2_000_000, last: 2_000_999 };

/** The kernel's books of a memory disk: limits by project id, which outlive the daemon, and which ids are taken. */
export class MemoryQuota {
  readonly #limits = new Map<ProjectId, number>();
  readonly #taken = new Set<ProjectId>();

  claim(id: ProjectId): void {
    this.#taken.add(id);
  }

  /** The lowest free one, so that a test knows it. */
  allocate(): ProjectId {
    const { first, last } = MEMORY_PROJECTS;
    for (let id = first as ProjectId; id <= last; id = (id + 1) as ProjectId) {
      if (this.#taken.has(id)) continue;
      this.#taken.add(id);
      return id;
    }
    throw new HoldfastError("insufficient", `Cannot give out a project id: all from ${first} to ${last} are in use`);
  }

  release(id: ProjectId): void {
    this.#taken.delete(id);
    this.#limits.delete(id);
  }

  limit(id: ProjectId, bytes: number): void {
    this.#limits.set(id, bytes);
  }

  /** Bytes; `undefined` when there is none. */
  limitOf(id: ProjectId | undefined): number | undefined {
    return id === undefined ? undefined : this.#limits.get(id);
  }

  /** The power fails: no limit was synced. */
  loseLimits(): void {
    this.#limits.clear();
  }

  /** The daemon is gone: which ids are taken is known to its books alone. */
  forget(): void {
    this.#taken.clear();
  }
}
