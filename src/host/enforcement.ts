/** Chooses how a disk has the kernel hold volumes to their sizes, by asking the kernel what it does. */
import { statfsSync } from "node:fs";
import { createNoEnforcer } from "./enforcement-none.ts";
import { createProjectEnforcer, whyNoProjects } from "./enforcement-project.ts";
import { createQgroupEnforcer, whyNoQgroups } from "./enforcement-qgroup.ts";
import type { Enforcer, EnforcerParts } from "./enforcer.ts";
import type { ProjectIdRange } from "./project-quota.ts";

export interface EnforcementOptions {
  /** The file system's type. */
  readonly type: string;
  readonly range: ProjectIdRange;
}

export function chooseEnforcer(parts: EnforcerParts, { type, range }: EnforcementOptions): Enforcer {
  const { fd } = parts.places.volumes;
  if (type === "btrfs") {
    const reason = whyNoQgroups(fd, parts.root);
    return reason === undefined ? createQgroupEnforcer(parts) : createNoEnforcer(parts, reason);
  }
  const reason = whyNoProjects(fd, type, range);
  if (reason !== undefined) return createNoEnforcer(parts, reason);
  return createProjectEnforcer(parts, { range, blockBytes: statfsSync(`/proc/self/fd/${fd}`).bsize });
}
