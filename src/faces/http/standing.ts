/**
 * Answers that go on for long. Who has one may have it no longer than a new one would be given: each time credentials or
 * ACLs became others it is looked at again, and ends with the refusal.
 */
import { HoldfastError } from "../../domain/error.ts";

/** Why somebody who was let in would not be now; `undefined` when they would. */
export type Standing = () => HoldfastError | undefined;

/** Calls back whenever credentials or ACLs became others. @returns what ends that */
export type AccessChanges = (listener: () => void) => () => void;

/** Where everybody who came in may stay. */
export const NEVER_CHANGES: AccessChanges = () => () => {};

/** What a check throws. */
export function refusalOf(check: () => void): HoldfastError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof HoldfastError) return error;
    throw error;
  }
}
