/** Puts what the worker read together: every record is judged alone, and a bad one only costs itself. */
import type { Records, Table, Volume } from "../domain/records.ts";
import { poolKey } from "../domain/resource.ts";
import type { DamagedRecord, StoreContents } from "../ports/store.ts";
import { damagedCheckpoint } from "./damaged.ts";
import { SEAL } from "./rows.ts";
import { keyOf, parseHeader, parseLabelledThrough, parseRecord } from "./schema.ts";
import { isSameSeal, parseSeal, type Seal } from "./seal.ts";

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type MutableTables = { readonly [T in Table]: Map<string, Records[T]> };

export class ContentsBuilder {
  readonly #path: string;
  readonly #records: MutableTables = {
    reservations: new Map(),
    volumes: new Map(),
    containers: new Map(),
    operations: new Map(),
    disks: new Map(),
    sandboxes: new Map(),
    apps: new Map(),
  };
  readonly #damaged: DamagedRecord[] = [];
  readonly #stacks = new Map<string, Pick<Volume, "source" | "reservations">>();

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

  /**
   * @param seal of all rows that were read
   * @throws `damaged` when the node's own header is lost, or rows are missing and nothing tells which
   */
  finish(rows: ReadonlyMap<string, string>, seal: Seal): StoreContents {
    const header = parseHeader(rows);
    if (!header.ok) throw damagedCheckpoint(this.#path, `its header is lost (${header.reason})`);
    const sealed = parseSeal(rows.get(SEAL));
    if (sealed !== undefined && !isSameSeal(sealed, seal) && this.#damaged.length === 0) {
      throw damagedCheckpoint(
        this.#path,
        "its records are of different times, a disk lost a write or a file was put back",
      );
    }
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
    if (ownKey !== key) {
      this.refuse(table, key, "it lies under another record's key");
      return;
    }
    if (table === "volumes") this.#shareStack(parsed.value as Mutable<Volume>);
    this.#records[table].set(ownKey, parsed.value);
  }

  /** Tens of thousands of volumes lie in few pools: they need not keep equal copies of its stack. */
  #shareStack(volume: Mutable<Volume>): void {
    const key = poolKey(volume.source, volume.reservations);
    const shared = this.#stacks.get(key);
    if (shared === undefined) {
      this.#stacks.set(key, { source: volume.source, reservations: volume.reservations });
      return;
    }
    volume.source = shared.source;
    volume.reservations = shared.reservations;
  }
}
