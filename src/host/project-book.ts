/** Which incarnation has which project id, spares and volumes alike: an id is taken as long as one of them has it. */
import type { Incarnation, ProjectId } from "../domain/units.ts";
import { type ProjectIdRange, ProjectIds } from "./project-quota.ts";

export class ProjectBook {
  readonly #range: ProjectIdRange;
  readonly #ids: ProjectIds;
  readonly #idOf = new Map<Incarnation, ProjectId>();
  /** How many have it; more than one only if the books are wrong. */
  readonly #owners = new Map<ProjectId, number>();
  #takenOfRange = 0;

  /** `fd` is of anything on the file system. */
  constructor(fd: number, range: ProjectIdRange) {
    this.#range = range;
    this.#ids = new ProjectIds(fd, range);
  }

  /** How many of the range nobody here has. Others on the same file system may have some of them. */
  get free(): number {
    return this.#range.last - this.#range.first + 1 - this.#takenOfRange;
  }

  isInRange(id: number): boolean {
    return id >= this.#range.first && id <= this.#range.last;
  }

  has(uuid: Incarnation): boolean {
    return this.#idOf.has(uuid);
  }

  isTaken(id: number): boolean {
    return this.#owners.has(id as ProjectId);
  }

  /** A free one, which the caller gives to a directory before anybody else asks. @throws `insufficient` */
  allocate(): ProjectId {
    return this.#ids.allocate() as ProjectId;
  }

  note(uuid: Incarnation, id: ProjectId): void {
    if (this.#idOf.get(uuid) === id) return;
    this.#leave(uuid);
    const owners = this.#owners.get(id) ?? 0;
    if (owners === 0 && this.isInRange(id)) this.#takenOfRange += 1;
    this.#owners.set(id, owners + 1);
    this.#idOf.set(uuid, id);
    this.#ids.claim(id);
  }

  /** Its id is free as soon as no file has it. */
  forget(uuid: Incarnation): void {
    const id = this.#leave(uuid);
    // A limit that cannot be removed keeps the id taken.
    if (id !== undefined && !this.#owners.has(id)) this.#ids.release(id);
  }

  #leave(uuid: Incarnation): ProjectId | undefined {
    const id = this.#idOf.get(uuid);
    if (id === undefined) return undefined;
    this.#idOf.delete(uuid);
    const others = (this.#owners.get(id) ?? 1) - 1;
    if (others > 0) {
      this.#owners.set(id, others);
      return id;
    }
    this.#owners.delete(id);
    if (this.isInRange(id)) this.#takenOfRange -= 1;
    return id;
  }
}
