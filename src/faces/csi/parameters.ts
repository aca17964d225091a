/** The parameters of a storage class, as far as they are ours. */
import { HoldfastError } from "../../domain/error.ts";
import { parseContainerPath, parseRole } from "../../domain/names.ts";
import { oneOf, refuse, show } from "../../domain/refusal.ts";
import type { DiskResource } from "../../domain/resource.ts";
import type { ContainerPath, Role } from "../../domain/units.ts";

/** What was said; what was not said is for the node to choose, or may be anything. */
export interface Parameters {
  readonly role?: Role;
  readonly containerPath?: ContainerPath;
  /** The root of a PATH or MOUNT disk. */
  readonly disk?: string;
}

/** Kubernetes' own, which its sidecars add. */
const OF_KUBERNETES = "csi.storage.k8s.io/";

const PARSERS: { readonly [Name in keyof Required<Parameters>]: (value: string) => Required<Parameters>[Name] } = {
  role: (value) => parseRole(value, "parameter role"),
  containerPath: (value) => parseContainerPath(value, "parameter containerPath"),
  disk: parseDisk,
};

/** @throws `invalid` naming the unknown or wrong one */
export function parseParameters(values: Readonly<Record<string, string>>): Parameters {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => !name.startsWith(OF_KUBERNETES))
      .map(([name, value]) => {
        if (!isParameter(name)) return refuse("the parameters", show(name), oneOf(Object.keys(PARSERS)));
        return [name, PARSERS[name](value)];
      }),
  );
}

/** Whether a resource lies where it was asked to. */
export function isOn({ disk }: Parameters, { source }: Pick<DiskResource, "source">): boolean {
  return disk === undefined || (source.type !== "ROOT" && source.root === disk);
}

function isParameter(name: string): name is keyof typeof PARSERS {
  return Object.hasOwn(PARSERS, name);
}

function parseDisk(value: string): string {
  if (value.startsWith("/")) return value;
  throw new HoldfastError("invalid", `Cannot parse parameter disk: it is ${show(value)}, expected the root of a disk`);
}
