/**
 * The operations of Mesos that concern disk, as every door hands them to the engine: parsed, frozen, and authorised
 * and executed as one list.
 */
import type { DiskResource } from "./resource.ts";
import type { MilliMb, Principal } from "./units.ts";

export type Operation =
  | {
      readonly type: "RESERVE";
      readonly resources: readonly DiskResource[];
      /** What is consumed; without it one reservation level is pushed on what lies below. */
      readonly source?: readonly DiskResource[];
    }
  | { readonly type: "UNRESERVE"; readonly resources: readonly DiskResource[] }
  | { readonly type: "CREATE"; readonly volumes: readonly DiskResource[] }
  | { readonly type: "DESTROY"; readonly volumes: readonly DiskResource[] }
  | {
      readonly type: "GROW_VOLUME";
      readonly volume: DiskResource;
      readonly addition: DiskResource;
      /** Also a shared one, which Mesos never resizes. */
      readonly sharedToo?: true;
    }
  | { readonly type: "SHRINK_VOLUME"; readonly volume: DiskResource; readonly subtract: MilliMb };

export type OperationType = Operation["type"];

/**
 * Who asks. A peer that could open the agent socket is the superuser: no ACL applies. `anonymous` is an HTTP caller
 * where no credentials are configured.
 */
export type Actor =
  | { readonly kind: "peer"; readonly uid: number; readonly name?: string }
  | { readonly kind: "principal"; readonly principal: Principal }
  | { readonly kind: "anonymous" };

/** How an actor is recorded: `ops`, `uid:1000(ada)`, `anonymous`. */
export function actorName(actor: Actor): string {
  switch (actor.kind) {
    case "peer":
      return actor.name === undefined ? `uid:${actor.uid}` : `uid:${actor.uid}(${actor.name})`;
    case "principal":
      return actor.principal;
    case "anonymous":
      return "anonymous";
  }
}
