/**
 * What a volume goes through, drawn once.
 *
 *              CREATE                attach                             detach
 *  (reserved) ────────▶ detached ─────────▶ attaching ─▶ attached ─────────▶ detaching ─▶ detached
 *                          │ DESTROY  ▲                      │ by force
 *                          ▼          │ restore              ▼
 *                     destroying ─▶ retained             lingering ─▶ detached
 *                                     │ its time has come, or forced
 *                                     ▼
 *                                 collecting ─▶ (gone)
 *
 *  (a directory) ─▶ adopting ─▶ detached
 *
 * A volume's own record has a phase (`live`, `destroying`, `retained`, `collecting`), each of its attachments has one
 * too; what people see is derived from both, and `damaged` is an observation that covers every live state. A live one
 * that has an `origin` is being adopted: it is nobody's yet, and the directory goes back if that is not finished.
 */
import type { ErrorCode } from "./error.ts";
import type { AttachmentPhase, Volume } from "./records.ts";

export type VolumeState =
  | "adopting"
  | "detached"
  | "attaching"
  | "attached"
  | "detaching"
  | "lingering"
  | "damaged"
  | "destroying"
  | "retained"
  | "collecting";

/** What may be asked of a volume. `share` is `attach` of a volume that was created as shared. */
export type VolumeEvent = "attach" | "share" | "detach" | "resize" | "destroy" | "restore" | "collect";

type Verdict = "allowed" | ErrorCode;

/** Every state with every event: allowed, or the code it is refused with. */
export const LIFECYCLE: Readonly<Record<VolumeState, Readonly<Record<VolumeEvent, Verdict>>>> = {
  //           attach             share              detach             resize             destroy            restore            collect
  adopting: row("busy", "busy", "allowed", "busy", "busy", "duplicate_volume", "in_use"),
  detached: row("allowed", "allowed", "allowed", "allowed", "allowed", "duplicate_volume", "in_use"),
  attaching: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use"),
  attached: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use"),
  detaching: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use"),
  lingering: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use"),
  damaged: row("damaged", "damaged", "allowed", "damaged", "allowed", "duplicate_volume", "damaged"),
  destroying: row("no_such_volume", "no_such_volume", "allowed", "no_such_volume", "no_such_volume", "busy", "busy"),
  retained: row(
    "no_such_volume",
    "no_such_volume",
    "allowed",
    "no_such_volume",
    "no_such_volume",
    "allowed",
    "allowed",
  ),
  collecting: row("no_such_volume", "no_such_volume", "allowed", "no_such_volume", "no_such_volume", "busy", "allowed"),
};

function row(
  attach: Verdict,
  share: Verdict,
  detach: Verdict,
  resize: Verdict,
  destroy: Verdict,
  restore: Verdict,
  collect: Verdict,
): Readonly<Record<VolumeEvent, Verdict>> {
  return { attach, share, detach, resize, destroy, restore, collect };
}

/** The refusal of an event in a state, `undefined` when it is allowed. */
export function refusalOf(state: VolumeState, event: VolumeEvent): ErrorCode | undefined {
  const verdict = LIFECYCLE[state][event];
  return verdict === "allowed" ? undefined : verdict;
}

/** The state that people see: the most urgent thing about a volume. */
export function stateOf(
  { phase, origin }: Pick<Volume, "phase" | "origin">,
  attachments: readonly AttachmentPhase[],
  damaged: boolean,
): VolumeState {
  if (phase !== "live") return phase;
  if (damaged) return "damaged";
  if (origin !== undefined) return "adopting";
  for (const urgent of ["attaching", "detaching", "attached", "lingering"] as const) {
    if (attachments.includes(urgent)) return urgent;
  }
  return "detached";
}
