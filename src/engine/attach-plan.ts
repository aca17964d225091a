import type { ContainerProcess } from "../domain/records.ts";
import type { AttachRequest } from "./engine.ts";

/** What a face asks for, with the process identified. */
export interface AttachPlan extends Omit<AttachRequest, "process"> {
  readonly process?: ContainerProcess;
  /** Interrupts what may take long. */
  readonly signal?: AbortSignal;
}
