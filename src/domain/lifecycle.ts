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
 *  (a directory) ─▶ adopting ─▶ detached          (a volume) ─▶ copying ─▶ detached
 *
 * A volume's own record has a phase (`live`, `destroying`, `retained`, `collecting`), each of its attachments has one
 * too; what people see is derived from both, and `damaged` is an observation that covers every live state. A live one
 * that has an `origin` is being adopted: it is nobody's yet, and the directory goes back if that is not finished. One
 * that is `copying` has its room and not yet its content; what there is of that is thrown away if it is not finished.
 */
import type { ErrorCode } from "./error.ts";
import type { AttachmentPhase, Volume } from "./records.ts";

export type VolumeState =
  | "adopting"
  | "copying"
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
export type VolumeEvent = "attach" | "share" | "detach" | "resize" | "destroy" | "restore" | "collect" | "copy";

type Verdict = "allowed" | ErrorCode;

type Gone = readonly [attach: Verdict, share: Verdict, detach: Verdict, resize: Verdict, destroy: Verdict];

/** Of what was destroyed. */
const GONE: Gone = ["no_such_volume", "no_such_volume", "allowed", "no_such_volume", "no_such_volume"];

/** Every state with every event: allowed, or the code it is refused with. */
export const LIFECYCLE: Readonly<Record<VolumeState, Readonly<Record<VolumeEvent, Verdict>>>> = {
  //           attach             share              detach             resize             destroy            restore            collect     copy
  adopting: row("busy", "busy", "allowed", "busy", "busy", "duplicate_volume", "in_use", "busy"),
  copying: row("busy", "busy", "allowed", "busy", "busy", "duplicate_volume", "in_use", "busy"),
  detached: row("allowed", "allowed", "allowed", "allowed", "allowed", "duplicate_volume", "in_use", "allowed"),
  attaching: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use", "allowed"),
  attached: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use", "allowed"),
  detaching: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use", "allowed"),
  lingering: row("in_use", "allowed", "allowed", "allowed", "in_use", "duplicate_volume", "in_use", "allowed"),
  damaged: row("damaged", "damaged", "allowed", "damaged", "allowed", "duplicate_volume", "damaged", "damaged"),
  destroying: row(...GONE, "busy", "busy", "no_such_volume"),
  retained: row(...GONE, "allowed", "allowed", "no_such_volume"),
  collecting: row(...GONE, "busy", "allowed", "no_such_volume"),
};

function row(...verdicts: readonly [...Gone, restore: Verdict, collect: Verdict, copy: Verdict]) {
  const [attach, share, detach, resize, destroy, restore, collect, copy] = verdicts;
  return { attach, share, detach, resize, destroy, restore, collect, copy };
}

/** The refusal of an event in a state, `undefined` when it is allowed. */
export function refusalOf(state: VolumeState, event: VolumeEvent): ErrorCode | undefined {
  const verdict = LIFECYCLE[state][event];
  return verdict === "allowed" ? undefined : verdict;
}

/** The state that people see: the most urgent thing about a volume. */
export function stateOf(
  { phase, origin, copying }: Pick<Volume, "phase" | "origin" | "copying">,
  attachments: readonly AttachmentPhase[],
  damaged: boolean,
): VolumeState {
  if (phase !== "live") return phase;
  if (damaged) return "damaged";
  if (origin !== undefined) return "adopting";
  if (copying !== undefined) return "copying";
  for (const urgent of ["attaching", "detaching", "attached", "lingering"] as const) {
    if (attachments.includes(urgent)) return urgent;
  }
  return "detached";
}
