/** Compares what is mounted at a recorded place with the record. */
import type { BindOrLink, MountedAt, MountFinding } from "../ports/mounter.ts";
import { bindRecord, isOurs, isRecordedMount, liesOnRecorded, recordedMount } from "./bind-identity.ts";
import { type ContainerNamespace, unlessEnded } from "./container-namespace.ts";
import { isDirectory } from "./leftovers.ts";
import { factsOf, type MountFacts, mountOf } from "./mount-facts.ts";
import { openRemains, type Place, type Remains } from "./place.ts";
import { refusing } from "./refusal.ts";
import { MOUNT_ATTR, type Stat } from "./syscalls.ts";
import { examineChild, pathOf } from "./walk.ts";

/** As `Mounter.inspect`. */
export function inspectBind(mounted: MountedAt): MountFinding {
  const action = `Cannot inspect ${pathOf(mounted)}`;
  return unlessEnded(
    () =>
      refusing(action, (keep) => {
        const remains = openRemains(mounted, action, keep);
        return remains === undefined ? GONE : (inspectMoved(remains, mounted) ?? inspectAt(remains, mounted));
      }),
    () => GONE,
  );
}

const GONE: MountFinding = Object.freeze({ state: "sandbox_gone" });

/** A container's mount that is not on top at its place, nor covered there, is right wherever the container moved it. */
function inspectMoved({ place, namespace }: Remains, mounted: MountedAt): MountFinding | undefined {
  if (namespace === undefined) return undefined;
  const facts = recordedMount(mounted, namespace);
  if (facts === undefined || mounted.mount === undefined) return undefined;
  const seen = place && examineChild(place.directory, place.name);
  if (seen?.mountRoot === true && liesOnRecorded(seen, mounted, namespace)) return undefined;
  return judge(facts, { mounted, namespace, mount: mounted.mount });
}

function inspectAt({ place }: Remains, mounted: MountedAt): MountFinding {
  if (place === undefined) return GONE;
  const seen = examineChild(place.directory, place.name);
  if (seen === undefined) return { state: "missing" };
  if (!seen.mountRoot) {
    return isDirectory(seen)
      ? { state: "missing" }
      : { state: "foreign", reason: "a file or a symlink is in its place" };
  }
  if (!isOurs(seen, mounted)) return { state: "foreign", reason: "something else is mounted there" };
  const facts = factsOf(seen, place.namespace);
  // It has gone since it was seen.
  if (facts === undefined) return { state: "missing" };
  // It lies on another mount at the same place.
  if (facts.parentId !== mountOf(place.directory).mountId) return { state: "stacked" };
  return judge(facts, { mounted, namespace: place.namespace, mount: recordOf(seen, place, mounted) });
}

/** In a container's namespace its runtime may change the propagation after us: that makes it no other mount. */
function recordOf(seen: Stat, place: Place, mounted: MountedAt): BindOrLink {
  const recorded = place.namespace !== undefined && isRecordedMount(seen, mounted) ? mounted.mount : undefined;
  return recorded ?? bindRecord(seen, place);
}

interface Found {
  readonly mounted: MountedAt;
  readonly namespace: ContainerNamespace | undefined;
  /** What is to be recorded about it. */
  readonly mount: BindOrLink;
}

function judge({ attributes }: MountFacts, { mounted, namespace, mount }: Found): MountFinding {
  const reason = wrongMode(attributes, mounted) ?? (namespace?.owner === undefined ? unsafe(attributes) : undefined);
  return reason === undefined ? { state: "exact", mount } : { state: "foreign", reason };
}

function wrongMode(attributes: number, { mode }: MountedAt): string | undefined {
  const readOnly = (attributes & MOUNT_ATTR.RDONLY) !== 0;
  if (readOnly && mode === "RW") return "it is mounted read-only instead of read-write";
  if (!readOnly && mode === "RO") return "it is mounted read-write instead of read-only";
  return undefined;
}

/** Not asked of a mount whose namespace has another owner: the root there may change these, for itself alone. */
function unsafe(attributes: number): string | undefined {
  if ((attributes & MOUNT_ATTR.NOSUID) === 0) return "it is mounted without nosuid";
  if ((attributes & MOUNT_ATTR.NODEV) === 0) return "it is mounted without nodev";
  return undefined;
}
