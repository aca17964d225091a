/** What the adapter and its worker say to each other. Requests are answered in their order, so they need no ids. */
import { type ErrorCode, HoldfastError } from "../domain/error.ts";
import type { Table } from "../domain/records.ts";
import type { NodeHeader } from "../ports/store.ts";
import type { RowChange } from "./rows.ts";
import type { Seal } from "./seal.ts";

/** Chunks of rows that may be on their way at once: bounds the memory of a load. */
export const CHUNKS_AHEAD = 4;

export interface WorkerSettings {
  readonly directory: string;
  readonly create: NodeHeader | undefined;
  readonly ballastBytes: number;
  /** One `Int32Array` element: how many chunks of rows the adapter has taken in. */
  readonly taken: SharedArrayBuffer;
}

export interface CommitRequest {
  readonly kind: "commit";
  readonly changes: readonly RowChange[];
  readonly durable: boolean;
  readonly releases: boolean;
  readonly labelledThrough: number | undefined;
}

export type Request =
  | { readonly kind: "open" }
  | CommitRequest
  | { readonly kind: "reload" }
  | { readonly kind: "ping" }
  | { readonly kind: "close" };

export type Reply =
  /** Sound rows, as key, value, key, value. */
  | { readonly kind: "rows"; readonly table: Table; readonly rows: readonly string[] }
  | { readonly kind: "unsound"; readonly table: Table; readonly key: string }
  | { readonly kind: "loaded"; readonly header: ReadonlyMap<string, string>; readonly seal: Seal }
  | { readonly kind: "load-failed"; readonly error: WireError }
  /** The oldest `count` commits that had no answer yet. */
  | { readonly kind: "committed"; readonly count: number; readonly durationMs: number }
  | { readonly kind: "rejected"; readonly count: number; readonly error: WireError }
  /** Answers the oldest `ping`. */
  | { readonly kind: "pong" }
  | { readonly kind: "fatal"; readonly error: WireError }
  | {
      readonly kind: "note";
      readonly level: "info" | "warn" | "error";
      readonly fields: object;
      readonly text: string;
    };

/** An error in a form that structured cloning keeps whole. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly cause: string | undefined;
}

export function toWire(error: HoldfastError): WireError {
  const { code, message, cause } = error;
  return { code, message, cause: cause === undefined ? undefined : String(cause) };
}

export function fromWire({ code, message, cause }: WireError): HoldfastError {
  return new HoldfastError(code, message, cause === undefined ? {} : { cause: new Error(cause) });
}
