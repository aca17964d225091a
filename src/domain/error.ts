/**
 * The one error of Holdfast. Whoever refuses or fails throws a `HoldfastError` with a code from this registry; every
 * face maps every code to its protocol, so a new code is a compile error until each face knows it. Impossible things
 * are not errors but failed assertions (`unreachable`).
 *
 * A message is one sentence for people: capital first, no period, the action first, then what is and what was
 * expected: "Cannot destroy volume ads/db: attached to container web-1, detach it first".
 */

/** Every code with the sentence that the README prints for it. */
export const ERROR_CODES = {
  invalid: "The request is malformed: a field is missing, unknown or has a wrong value",
  unknown_agent: "The agent id is not this node's",
  no_such_volume: "No volume has this role and id, or it is not exactly the one that was named",
  no_such_app: "No app has this id, or no instance of it has that one",
  no_such_container: "No container has this id",
  no_such_operation: "No operation has this id",
  no_such_process: "No process has this pid, or it has ended",
  duplicate_volume: "A volume with this role and id exists already",
  duplicate_app: "An app with this id exists already",
  unauthenticated: "Credentials are missing or wrong",
  forbidden: "The ACLs do not allow this",
  insufficient: "The disk asked for is not there to take",
  in_use: "The volume is attached, or somebody holds its directory",
  protected: "The volume is protected from destruction, or pinned; take the mark away first",
  busy: "A process sits in the mount; it can be detached by force",
  conflict: "Something else occupies the place: another volume, sandbox or process",
  unsupported: "This node, file system or mount backend cannot do it",
  damaged: "The volume's directory or mount is not what was recorded; holdfast doctor says what to do",
  operation_id_reused: "The operation id was used before for other content",
  not_found: "There is nothing at this address",
  method_not_allowed: "The address does not take this method",
  too_large: "The request body is larger than the limit",
  unsupported_media_type: "The request body has a content type that is not understood",
  misdirected: "The Host or Origin header does not name this daemon",
  unavailable: "The daemon cannot take this now: starting, stopping, or its disk refuses to store",
  disk_full: "The disk that holds the checkpoint is full",
  internal: "A failure inside Holdfast; the log has the details",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Facts that go with a refusal, for programs: pids of a busy mount, the index of the refused operation, figures. */
export type ErrorDetails = Readonly<Record<string, string | number | readonly (string | number)[]>>;

export class HoldfastError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HoldfastError";
    this.code = code;
    this.details = options.details;
  }
}

/** The code of anything thrown; what is not a `HoldfastError` is `internal`. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof HoldfastError ? error.code : "internal";
}

/** What anything thrown says for itself. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** For branches that cannot be reached: a programmer's error, never an operating one. */
export function unreachable(value: never): never {
  throw new Error(`Unreachable: ${JSON.stringify(value)}`);
}
