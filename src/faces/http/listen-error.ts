import { getSystemErrorMessage } from "node:util";
import { HoldfastError } from "../../domain/error.ts";

/** Why a door cannot open: a refusal of ours as it is, the kernel's in its words ("address already in use"). */
export function listenError(where: string, cause: unknown): HoldfastError {
  if (cause instanceof HoldfastError) return cause;
  return new HoldfastError("unavailable", `Cannot listen on ${where}: ${reasonOf(cause)}`, { cause });
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return "errno" in cause && typeof cause.errno === "number" ? getSystemErrorMessage(cause.errno) : cause.message;
}
