import { HoldfastError } from "../../src/domain/error.ts";

/** The error that an action is refused with; anything else it does is the test's failure. */
export function refusalOf(action: () => unknown): HoldfastError {
  try {
    action();
  } catch (error) {
    if (error instanceof HoldfastError) return error;
    throw error;
  }
  throw new Error("Expected a refusal, but it went through");
}

/** Message of a refusal that must be `invalid`. */
export function invalidMessage(action: () => unknown): string {
  const refusal = refusalOf(action);
  if (refusal.code !== "invalid") throw new Error(`Expected invalid, got ${refusal.code}: ${refusal.message}`);
  return refusal.message;
}
