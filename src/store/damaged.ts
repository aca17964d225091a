import { HoldfastError } from "../domain/error.ts";

/** The refusal of a checkpoint that cannot be trusted, with the way out. */
export function damagedCheckpoint(path: string, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError("damaged", `Cannot open the checkpoint ${path}: ${reason}, run holdfast rebuild`, { cause });
}
