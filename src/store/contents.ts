/** Puts what the worker read together: every record is judged alone, and a bad one only costs itself. */
import type { Records, Table } from "../domain/records.ts";
import type { DamagedRecord, StoreContents } from "../ports/store.ts";
import { damagedCheckpoint } from "./damaged.ts";
import { keyOf, parseHeader, parseLabelledThrough, parseRecord } from "./schema.ts";

type MutableTables = { readonly [T in Table]: Map<string, Records[T]> };

export class ContentsBuilder {
  readonly #path: string;
  readonly #records: MutableTables = {
    reservations: new Map(),
    volumes: new Map(),
    containers: new Map(),
    operations: new Map(),
  };
  readonly #damaged: DamagedRecord[] = [];

  /** `path` of the checkpoint, for its refusal. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Takes rows as key, value, key, value. */
  add(table: Table, rows: readonly string[]): void {
    for (let at = 0; at + 1 < rows.length; at += 2) this.#addRecord(table, rows[at] as string, rows[at + 1] as string);
  }

  refuse(table: Table, key: string, reason: string): void {
    this.#damaged.push({ table, key, reason });
  }

  /** @throws `damaged` when the node's own header is lost */
  finish(rows: ReadonlyMap<string, string>): StoreContents {
    const header = parseHeader(rows);
    if (!header.ok) throw damagedCheckpoint(this.#path, `its header is lost (${header.reason})`);
    return {
      header: header.value,
      records: this.#records,
      damaged: this.#damaged,
      labelledThrough: parseLabelledThrough(rows),
    };
  }

  #addRecord<T extends Table>(table: T, key: string, json: string): void {
    const parsed = parseRecord(table, json);
    if (!parsed.ok) {
      this.refuse(table, key, parsed.reason);
      return;
    }
    // The record's own string becomes the key: 50,000 equal copies need not be kept.
    const ownKey = keyOf(table, parsed.value);
    if (ownKey === key) this.#records[table].set(ownKey, parsed.value);
    else this.refuse(table, key, "it lies under another record's key");
  }
}
