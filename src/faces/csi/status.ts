/** How a refusal reads in gRPC: one status for every code, and a sentence for people. */
import { type ErrorCode, HoldfastError } from "../../domain/error.ts";

/** gRPC's names and numbers, as far as they are answered here. */
export const STATUS_NUMBERS = {
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type Status = keyof typeof STATUS_NUMBERS;

/** What cannot be helped before somebody has changed the node or the request is FAILED_PRECONDITION: nobody shall hurry. */
const STATUS: Readonly<Record<ErrorCode, Status>> = {
  invalid: "INVALID_ARGUMENT",
  no_such_volume: "NOT_FOUND",
  no_such_app: "NOT_FOUND",
  no_such_container: "NOT_FOUND",
  no_such_operation: "NOT_FOUND",
  no_such_process: "NOT_FOUND",
  not_found: "NOT_FOUND",
  duplicate_volume: "ALREADY_EXISTS",
  duplicate_app: "ALREADY_EXISTS",
  forbidden: "PERMISSION_DENIED",
  unauthenticated: "UNAUTHENTICATED",
  insufficient: "RESOURCE_EXHAUSTED",
  disk_full: "RESOURCE_EXHAUSTED",
  too_large: "RESOURCE_EXHAUSTED",
  in_use: "FAILED_PRECONDITION",
  protected: "FAILED_PRECONDITION",
  busy: "FAILED_PRECONDITION",
  conflict: "FAILED_PRECONDITION",
  unsupported: "FAILED_PRECONDITION",
  damaged: "FAILED_PRECONDITION",
  unavailable: "UNAVAILABLE",
  unknown_agent: "INTERNAL",
  operation_id_reused: "INTERNAL",
  method_not_allowed: "INTERNAL",
  unsupported_media_type: "INTERNAL",
  misdirected: "INTERNAL",
  internal: "INTERNAL",
};

const MESSAGE_CHARACTERS_MAX = 2_000;
const CONTROLS = /\p{Cc}+/gu;

/** A refusal that the specification asks for where our own codes do not tell it. */
export class CsiError extends Error {
  readonly status: Status;

  constructor(status: Status, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "CsiError";
    this.status = status;
  }
}

/** What a caller is told about anything thrown; a failure of our own reveals nothing. */
export function refusalFor(thrown: unknown): { readonly code: Status; readonly message: string } {
  if (thrown instanceof CsiError) return { code: thrown.status, message: shown(thrown.message) };
  if (thrown instanceof HoldfastError && thrown.code !== "internal") {
    return { code: STATUS[thrown.code], message: shown(thrown.message) };
  }
  return { code: "INTERNAL", message: "Cannot answer: see the log" };
}

/** It becomes a header, which has no room for stories. */
function shown(message: string): string {
  return message.replace(CONTROLS, " ").slice(0, MESSAGE_CHARACTERS_MAX);
}
