/** What happened on the node, as the audit trail keeps it: one event, what it is about, and who asked. */
import type { AppId, ContainerId, Incarnation, MilliMb, Role, VolumeId, WallMs } from "./units.ts";

export const EVENT_TYPES = [
  "reserved",
  "unreserved",
  "created",
  "grown",
  "shrunk",
  "attached",
  "detached",
  "destroyed",
  "restored",
  "collected",
  "protected",
  "unprotected",
  "pinned",
  "unpinned",
  "described",
  "adopted",
  "copied",
  "snapshot",
  "damaged",
  "repaired",
  "nearly-full",
  "disk-lost",
  "disk-back",
  "app-created",
  "app-changed",
  "app-scaled",
  "app-deleted",
  "instance-lost",
  "framework-subscribed",
  "framework-gone",
  // Of the trail itself: its disk was full or failed.
  "events-lost",
] as const;

export type EventType = (typeof EVENT_TYPES)[number];

/** Who stands in an event for what the daemon did by itself. */
export const DAEMON_ITSELF = "holdfast";

/** What happened, to what. */
export interface EventFacts {
  readonly type: EventType;
  /** Who may view this role may view the event; without one, everybody. */
  readonly role?: Role;
  readonly id?: VolumeId;
  readonly uuid?: Incarnation;
  /** Of the volume as it is now; of a reservation, how much more or less it is. */
  readonly size?: MilliMb;
  readonly container?: ContainerId;
  readonly app?: AppId;
  /** What else people want to know. */
  readonly message?: string;
}

/** An event that has yet to get its number. */
export interface EventDraft extends EventFacts {
  readonly at: WallMs;
  /** Who asked: an actor's name, or `DAEMON_ITSELF`. */
  readonly by: string;
}

export interface NodeEvent extends EventDraft {
  /** Grows with every event of this node, over restarts too, and is never used again. */
  readonly seq: number;
}

/** Which events are wanted: those that have all of this. */
export interface EventFilter {
  readonly type?: EventType;
  readonly by?: string;
  readonly role?: Role;
  readonly id?: VolumeId;
  readonly uuid?: Incarnation;
  readonly app?: AppId;
}

export function isWanted(event: NodeEvent, filter: EventFilter): boolean {
  return (
    (filter.uuid === undefined || event.uuid === filter.uuid) &&
    (filter.id === undefined || event.id === filter.id) &&
    (filter.role === undefined || event.role === filter.role) &&
    (filter.by === undefined || event.by === filter.by) &&
    (filter.app === undefined || event.app === filter.app) &&
    (filter.type === undefined || event.type === filter.type)
  );
}
