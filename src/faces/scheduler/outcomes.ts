/**
 * Which of a framework's operations were performed: the engine remembers the outcome of a list under one id, and here
 * each operation has its own. The list's id is made of theirs, so that it can be found again after a restart, too.
 */
import { HoldfastError } from "../../domain/error.ts";
import type { Actor, Operation } from "../../domain/operation.ts";
import type { OperationRecord } from "../../domain/records.ts";
import type { Engine } from "../../engine/engine.ts";

/** So many operations of one framework are known to have been performed, the latest ones. */
const KNOWN_MAX = 10_000;

/** An operation of a framework's, and the id that the framework gave it. */
export interface NamedOperation {
  readonly id?: string;
  readonly operation: Operation;
}

/** An operation in a list that was performed. */
export interface Performed {
  readonly record: OperationRecord;
  readonly index: number;
}

interface Place {
  readonly listId: string;
  readonly index: number;
  /** The framework knows of it. */
  isAcknowledged: boolean;
}

export class Outcomes {
  readonly #engine: Pick<Engine, "operation" | "operations">;
  readonly #frameworkId: string;
  /** By operation id, the oldest first. */
  readonly #places = new Map<string, Place>();

  constructor(engine: Pick<Engine, "operation" | "operations">, frameworkId: string) {
    this.#engine = engine;
    this.#frameworkId = frameworkId;
  }

  /** Finds what this principal's framework of this id had performed before this process was there. */
  async recall(actor: Actor): Promise<void> {
    const prefix = listIdOf(this.#frameworkId, []).slice(0, -1);
    const records = await this.#engine.operations(actor);
    for (const record of records.toReversed()) {
      const ids = record.id.startsWith(`${prefix},`) ? idsIn(record.id) : undefined;
      if (ids !== undefined) this.#remember(record.id, ids);
    }
  }

  /** The id of a list under which the engine remembers it; `undefined` when none of its operations has one. */
  listId(list: readonly Pick<NamedOperation, "id">[]): string | undefined {
    if (list.every(({ id }) => id === undefined)) return undefined;
    return listIdOf(
      this.#frameworkId,
      list.map(({ id }) => id ?? null),
    );
  }

  performed(list: readonly NamedOperation[], listId: string): void {
    this.#remember(
      listId,
      list.map(({ id }) => id ?? null),
    );
  }

  /** The operation that had this id, `undefined` when none was performed, or it is forgotten. */
  async find(actor: Actor, operationId: string): Promise<Performed | undefined> {
    const place = this.#places.get(operationId);
    if (place === undefined) return undefined;
    try {
      return { record: await this.#engine.operation(actor, place.listId), index: place.index };
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "no_such_operation") throw error;
      this.#places.delete(operationId);
      return undefined;
    }
  }

  acknowledge(operationId: string): void {
    const place = this.#places.get(operationId);
    if (place !== undefined) place.isAcknowledged = true;
  }

  /** Those that were performed and, as far as is known, not acknowledged. */
  openIds(): readonly string[] {
    return [...this.#places].filter(([, { isAcknowledged }]) => !isAcknowledged).map(([id]) => id);
  }

  #remember(listId: string, ids: readonly (string | null)[]): void {
    for (const [index, id] of ids.entries()) {
      if (id === null) continue;
      this.#places.delete(id);
      this.#places.set(id, { listId, index, isAcknowledged: false });
    }
    for (const id of this.#places.keys()) {
      if (this.#places.size <= KNOWN_MAX) break;
      this.#places.delete(id);
    }
  }
}

/** Whether it was performed as it is asked for now. */
export function isSame({ record, index }: Performed, operation: Operation): boolean {
  const asked: unknown = (JSON.parse(record.request) as readonly unknown[])[index];
  return JSON.stringify(asked) === JSON.stringify(operation);
}

function listIdOf(frameworkId: string, ids: readonly (string | null)[]): string {
  return JSON.stringify([frameworkId, ...ids]);
}

/** `undefined` where it only looks like the id of a list: principals give ids of their own by other doors. */
function idsIn(listId: string): readonly (string | null)[] | undefined {
  try {
    const ids = (JSON.parse(listId) as unknown[]).slice(1);
    return ids.every((id) => id === null || typeof id === "string") ? ids : undefined;
  } catch {
    return undefined;
  }
}
