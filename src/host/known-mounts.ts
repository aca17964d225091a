/**
 * What the mounts of one namespace show, kept between looks. A mount's id is given only once and it shows the same
 * directory as long as it lives, so that only those that came since the last look are asked for. Only who moves that
 * directory by its path makes it another volume's.
 */
import type { Incarnation } from "../domain/units.ts";

/** @returns the volumes whose content a mount shows, mostly none; `undefined` when it is gone or cannot be told */
type Ask = (mountId: number) => readonly Incarnation[] | undefined;

export class KnownMounts {
  /** Ascending, as the kernel lists them. */
  #ids: Float64Array = new Float64Array();
  readonly #uuids = new Map<number, readonly Incarnation[]>();
  readonly #mounts = new Map<Incarnation, readonly number[]>();

  /** The mounts that show a volume, or something in it. */
  of(uuid: Incarnation): readonly number[] {
    return this.#mounts.get(uuid) ?? [];
  }

  /** @param ids of all mounts that there are now, ascending */
  update(ids: Float64Array, ask: Ask): void {
    let unanswered = 0;
    let at = 0;
    for (const [index, id] of ids.entries()) {
      for (; (this.#ids[at] ?? Number.POSITIVE_INFINITY) < id; at += 1) this.#forget(this.#ids[at]);
      if (this.#ids[at] === id) at += 1;
      else if (!this.#learn(id, ask(id))) {
        ids[index] = Number.NaN;
        unanswered += 1;
      }
    }
    for (; at < this.#ids.length; at += 1) this.#forget(this.#ids[at]);
    this.#ids = unanswered === 0 ? ids : ids.filter((id) => !Number.isNaN(id));
  }

  #learn(id: number, uuids: readonly Incarnation[] | undefined): boolean {
    if (uuids === undefined) return false;
    if (uuids.length > 0) this.#uuids.set(id, uuids);
    for (const uuid of uuids) this.#mounts.set(uuid, [...this.of(uuid), id]);
    return true;
  }

  #forget(id: number | undefined): void {
    if (id === undefined) return;
    for (const uuid of this.#uuids.get(id) ?? []) {
      const others = this.of(uuid).filter((other) => other !== id);
      if (others.length === 0) this.#mounts.delete(uuid);
      else this.#mounts.set(uuid, others);
    }
    this.#uuids.delete(id);
  }
}
