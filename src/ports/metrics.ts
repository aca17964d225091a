/** What the core measures; the adapter turns it into Prometheus's families. */
import type { ErrorCode } from "../domain/error.ts";

export interface Metrics {
  /** One operation of any kind ended: `reserve`, `attach`, ...; `ok` or its error code. */
  operation(type: string, outcome: "ok" | ErrorCode, durationMs: number): void;
  /** One commit with so many transactions ended. */
  commit(transactions: number, durationMs: number): void;
  /** A recovery or reconcile ended. */
  reconciled(kind: "recover" | "reconcile", durationMs: number): void;
}
