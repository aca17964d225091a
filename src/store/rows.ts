/** Rows of the checkpoint: text with a checksum over key and value, so that a flipped bit is found in its own row. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { TABLES, type Table } from "../domain/records.ts";
import type { NodeHeader } from "../ports/store.ts";

/** A change in stored form: `value` is JSON text, `undefined` removes. */
export interface RowChange {
  readonly table: Table;
  readonly key: string;
  readonly value: string | undefined;
}

/** The header's rows with a good checksum; forms are judged by whoever reads them. */
export type HeaderRows = ReadonlyMap<string, string>;

export interface RowWriter {
  change(change: RowChange): void;
  header(key: string, value: string): void;
}

export function createRowWriter(database: DatabaseSync): RowWriter {
  const statements = Object.fromEntries(
    TABLES.map((table) => [
      table,
      { set: prepareSet(database, table), remove: database.prepare(`delete from ${table} where key = ?`) },
    ]),
  ) as Record<Table, { set: StatementSync; remove: StatementSync }>;
  const setHeader = prepareSet(database, "header");
  return {
    change: ({ table, key, value }) => {
      const { set, remove } = statements[table];
      if (value === undefined) remove.run(key);
      else set.run(key, value, checksum(key, value));
    },
    header: (key, value) => {
      setHeader.run(key, value, checksum(key, value));
    },
  };
}

/** The header of a new checkpoint, whose labels are all unwritten. */
export function writeHeader(writer: RowWriter, header: NodeHeader): void {
  writer.header("agentId", header.agentId);
  writer.header("createdAt", String(header.createdAt));
  writer.header("labelledThrough", "0");
}

export function readHeader(database: DatabaseSync): HeaderRows {
  const rows = new Map<string, string>();
  for (const row of readRows(database, "header")) {
    if (row.sound) rows.set(row.key, row.value);
  }
  return rows;
}

export type Row =
  | { readonly sound: true; readonly key: string; readonly value: string }
  | { readonly sound: false; readonly key: string };

/** All rows of a table in the order of their keys; the transaction stays open until the last one is read. */
export function* readRows(database: DatabaseSync, table: Table | "header"): Generator<Row> {
  const statement = database.prepare(`select key, value, crc from ${table}`, { returnArrays: true });
  for (const row of statement.iterate() as Iterable<unknown>) {
    const [key, value, crc] = row as [unknown, unknown, unknown];
    if (typeof key === "string" && typeof value === "string" && checksum(key, value) === crc) {
      yield { sound: true, key, value };
    } else {
      yield { sound: false, key: String(key) };
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
