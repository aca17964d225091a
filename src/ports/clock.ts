/** Time as three facts, handed in so that a test or a simulation can hold it. */
import type { BootId, WallMs } from "../domain/units.ts";

export interface Clock {
  now(): WallMs;
  bootId(): BootId;
  /** Since boot, suspended time included: never jumps. Milliseconds. */
  bootTimeMs(): number;
  /** Calls back once after a while; the returned function cancels it. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}
