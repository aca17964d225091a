/** Rows of the checkpoint: text with a checksum over key and value, so that a flipped bit is found in its own row. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { TABLES, type Table } from "../domain/records.ts";
import type { NodeHeader } from "../ports/store.ts";
import { addToSeal, isSameSeal, NO_ROWS, parseSeal, printSeal } from "./seal.ts";

/** A change in stored form: `value` is JSON text, `undefined` removes. */
export interface RowChange {
  readonly table: Table;
  readonly key: string;
  readonly value: string | undefined;
}

/** The header's rows with a good checksum; forms are judged by whoever reads them. */
export type HeaderRows = ReadonlyMap<string, string>;

/** For one transaction after the other. */
export interface RowWriter {
  /** Forgets what a transaction changed that was rolled back. */
  begin(): void;
  change(change: RowChange): void;
  header(key: string, value: string): void;
  /** Brings the seal up to date with the changes since `begin`. */
  seal(): void;
}

/** The header's row that has the seal. */
export const SEAL = "seal";

export function createRowWriter(database: DatabaseSync): RowWriter {
  const statements = Object.fromEntries(
    TABLES.map((table) => [
      table,
      {
        find: database.prepare(`select crc from ${table} where key = ?`, { returnArrays: true }),
        set: prepareSet(database, table),
        remove: database.prepare(`delete from ${table} where key = ?`),
      },
    ]),
  ) as Record<Table, { find: StatementSync; set: StatementSync; remove: StatementSync }>;
  const setHeader = prepareSet(database, "header");
  const findHeader = database.prepare("select value from header where key = ?", { returnArrays: true });
  const header = (key: string, value: string): void => {
    setHeader.run(key, value, checksum(key, value));
  };
  let changed = NO_ROWS;
  return {
    begin: () => {
      changed = NO_ROWS;
    },
    change: ({ table, key, value }) => {
      const { find, set, remove } = statements[table];
      const [old] = firstOf(find, key);
      if (old !== undefined) changed = addToSeal(changed, -1, -numberOf(old));
      if (value === undefined) {
        remove.run(key);
        return;
      }
      const crc = checksum(key, value);
      set.run(key, value, crc);
      changed = addToSeal(changed, 1, crc);
    },
    header,
    seal: () => {
      if (isSameSeal(changed, NO_ROWS)) return;
      const [text] = firstOf(findHeader, SEAL);
      const seal = parseSeal(typeof text === "string" ? text : undefined) ?? NO_ROWS;
      header(SEAL, printSeal(addToSeal(seal, changed.rows, changed.sum)));
      changed = NO_ROWS;
    },
  };
}

/** The first row that a statement finds; empty when there is none. */
function firstOf(statement: StatementSync, key: string): readonly unknown[] {
  return (statement.get(key) as readonly unknown[] | undefined) ?? [];
}

/** A checksum as it is stored, which may be damaged. */
function numberOf(crc: unknown): number {
  return typeof crc === "number" ? crc : 0;
}

/** The header of a new checkpoint, whose labels are all unwritten. */
export function writeHeader(writer: RowWriter, header: NodeHeader): void {
  writer.header("agentId", header.agentId);
  writer.header("createdAt", String(header.createdAt));
  writer.header("labelledThrough", "0");
  writer.header(SEAL, printSeal(NO_ROWS));
}

export function readHeader(database: DatabaseSync): HeaderRows {
  const rows = new Map<string, string>();
  for (const row of readRows(database, "header")) {
    if (row.sound) rows.set(row.key, row.value);
  }
  return rows;
}

export type Row =
  | { readonly sound: true; readonly key: string; readonly value: string; readonly crc: number }
  | { readonly sound: false; readonly key: string; readonly crc: number };

/** All rows of a table in the order of their keys; the transaction stays open until the last one is read. */
export function* readRows(database: DatabaseSync, table: Table | "header"): Generator<Row> {
  const statement = database.prepare(`select key, value, crc from ${table}`, { returnArrays: true });
  for (const row of statement.iterate() as Iterable<unknown>) {
    const [key, value, crc] = row as [unknown, unknown, unknown];
    if (typeof key === "string" && typeof value === "string" && checksum(key, value) === crc) {
      yield { sound: true, key, value, crc };
    } else {
      yield { sound: false, key: String(key), crc: numberOf(crc) };
    }
  }
}

function prepareSet(database: DatabaseSync, table: Table | "header"): StatementSync {
  return database.prepare(
    `insert into ${table} (key, value, crc) values (?, ?, ?)
     on conflict (key) do update set value = excluded.value, crc = excluded.crc`,
  );
}

function checksum(key: string, value: string): number {
  return crc32(value, crc32(key));
}
