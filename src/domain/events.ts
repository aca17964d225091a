/**
 * What a commit's changes mean: the events of the audit trail, from what each record was and what it is now. Intents are
 * no events: an attachment counts from `attached` until it is gone or lingers, a volume is destroyed when that is decided.
 */
import type { EventFacts, EventType } from "./event.ts";
import type { AppRecord, Attachment, Change, Container, ReservationRecord, Volume, VolumeNote } from "./records.ts";
import type { Label } from "./resource.ts";
import { type Incarnation, type MilliMb, toMb, ZERO_MB } from "./units.ts";

type FindVolume = (uuid: Incarnation) => Volume | undefined;

/**
 * The events of one commit, in the order of its changes.
 * @param replaced for each change, what was there before it
 * @param find a volume as it is when all the changes are made
 */
export function eventsOf(
  changes: readonly Change[],
  replaced: readonly Change[],
  find: FindVolume,
): readonly EventFacts[] {
  const events: EventFacts[] = [];
  for (const [index, change] of changes.entries()) {
    const before = replaced[index];
    switch (change.table) {
      case "reservations":
        if (before?.table === change.table) ofReservation(events, before.value, change.value);
        break;
      case "volumes":
        if (before?.table === change.table) ofVolume(events, before.value, change.value);
        break;
      case "containers":
        if (before?.table === change.table) ofContainer(events, before.value, change.value, find);
        break;
      case "apps":
        if (before?.table === change.table) ofApp(events, before.value, change.value);
        break;
      case "operations":
      case "disks":
      case "sandboxes":
        break;
    }
  }
  return events;
}

function ofReservation(
  events: EventFacts[],
  before: ReservationRecord | undefined,
  after: ReservationRecord | undefined,
): void {
  const role = (after ?? before)?.reservations.at(-1)?.role;
  const grown = (after?.size ?? ZERO_MB) - (before?.size ?? ZERO_MB);
  if (grown === 0) return;
  const type = grown > 0 ? "reserved" : "unreserved";
  events.push({ type, ...(role === undefined ? {} : { role }), size: Math.abs(grown) as MilliMb });
}

function ofVolume(events: EventFacts[], before: Volume | undefined, after: Volume | undefined): void {
  const subject = after ?? before;
  if (subject === undefined) return;
  const push = (type: EventType, message?: string): void => {
    const { role, id, uuid, size, app } = subject;
    const owner = app === undefined ? {} : { app: app.id };
    events.push({ type, role, id, uuid, size, ...owner, ...(message === undefined ? {} : { message }) });
  };
  // What is just being adopted or copied is no volume yet; when that is taken back, it never was.
  if (before === undefined) {
    if (after?.phase === "live" && after.origin === undefined && after.copying === undefined) push("created");
    return;
  }
  if (before.copying !== undefined) {
    if (after !== undefined && after.copying === undefined) ofCopy(push, after);
    return;
  }
  if (after === undefined) {
    if (before.phase !== "live") push("collected");
    return;
  }
  if (before.phase === "live" && after.phase !== "live") push("destroyed");
  else if (before.phase !== "live" && after.phase === "live") push("restored", renamed(before, after));
  else if (before.origin !== undefined && after.origin === undefined) push("adopted", `from ${before.origin}`);
  ofMarks(push, before, after);
}

function ofCopy(push: (type: EventType, message?: string) => void, { copyOf, snapshotOf }: Volume): void {
  const source = snapshotOf ?? copyOf;
  const message = source === undefined ? undefined : `of ${source.role}/${source.id}`;
  push(snapshotOf === undefined ? "copied" : "snapshot", message);
}

function ofMarks(push: (type: EventType, message?: string) => void, before: Volume, after: Volume): void {
  if (after.size !== before.size) {
    push(after.size > before.size ? "grown" : "shrunk", `from ${toMb(before.size)} MB to ${toMb(after.size)} MB`);
  }
  if (after.protected !== before.protected) push(after.protected === true ? "protected" : "unprotected");
  if (after.pinned !== before.pinned) push(after.pinned === true ? "pinned" : "unpinned");
  // A copy of the same note is no change.
  const note = printNote(after.note);
  if (after.note !== before.note && note !== printNote(before.note)) push("described", note);
}

function renamed(before: Volume, after: Volume): string | undefined {
  return before.id === after.id ? undefined : `it was ${before.role}/${before.id}`;
}

/** A note as one line for people. */
function printNote(note: VolumeNote | undefined): string {
  const labels = (note?.labels ?? []).map(printLabel);
  const parts = [...(note?.description === undefined ? [] : [note.description]), ...labels];
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

function printLabel({ key, value }: Label): string {
  return value === undefined ? key : `${key}=${value}`;
}

function ofContainer(
  events: EventFacts[],
  before: Container | undefined,
  after: Container | undefined,
  find: FindVolume,
): void {
  const container = (after ?? before)?.id;
  if (container === undefined) return;
  const had = before?.attachments ?? [];
  const has = after?.attachments ?? [];
  const push = (type: EventType, { uuid, containerPath, mode }: Attachment, lingers: boolean): void => {
    const volume = find(uuid);
    events.push({
      type,
      ...(volume === undefined ? {} : { role: volume.role, id: volume.id }),
      uuid,
      container,
      ...(volume?.app === undefined ? {} : { app: volume.app.id }),
      message: `${lingers ? "by force, somebody still has it " : ""}at ${containerPath}${mode === "RO" ? ", read-only" : ""}`,
    });
  };
  for (const one of had) {
    const same = has.find((other) => isSame(one, other));
    if (isPresent(one) && !isPresent(same)) push("detached", one, same?.phase === "lingering");
  }
  for (const one of has) {
    if (isPresent(one) && !isPresent(had.find((other) => isSame(one, other)))) push("attached", one, false);
  }
}

function isSame(left: Attachment, right: Attachment): boolean {
  return left.uuid === right.uuid && left.containerPath === right.containerPath;
}

/** An engine that gives back what it was lent only hints at its end. */
function isPresent(attachment: Attachment | undefined): boolean {
  switch (attachment?.phase) {
    case "attached":
    case "detaching":
      return true;
    case "lingering":
      return attachment.mount?.backend === "lent";
    case "attaching":
    case undefined:
      return false;
  }
}

function ofApp(events: EventFacts[], before: AppRecord | undefined, after: AppRecord | undefined): void {
  const subject = after ?? before;
  if (subject === undefined) return;
  const app = { role: subject.role, app: subject.id };
  if (before === undefined) {
    events.push({ type: "app-created", ...app, message: instances(subject.instances) });
    return;
  }
  if (after === undefined) {
    events.push({ type: "app-deleted", ...app });
    return;
  }
  if (after.instances !== before.instances) {
    const message = `from ${before.instances} to ${instances(after.instances)}`;
    events.push({ type: "app-scaled", ...app, message });
  } else if (after.definition !== before.definition) events.push({ type: "app-changed", ...app });
  pushLosses(events, before, after);
}

/** At each attach and detach of an app's container, so that the many that nothing happened to must cost next to nothing. */
function pushLosses(events: EventFacts[], before: AppRecord, after: AppRecord): void {
  const lost = after.members.filter(({ lost: loss }) => loss !== undefined);
  if (lost.length === 0) return;
  const known = new Set(before.members.filter(({ lost: loss }) => loss !== undefined).map(({ id }) => id));
  for (const member of lost) {
    if (member.lost === undefined || known.has(member.id)) continue;
    const message = `instance ${member.id}: its container vanished`;
    events.push({ type: "instance-lost", role: after.role, app: after.id, container: member.lost.container, message });
  }
}

function instances(count: number): string {
  return count === 1 ? "1 instance" : `${count} instances`;
}
