/** What a volume shall be able to do, as CSI says it. */
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { optionalText } from "./fields.ts";

const ACCESS_MODES = [
  "UNKNOWN",
  "SINGLE_NODE_WRITER",
  "SINGLE_NODE_READER_ONLY",
  "MULTI_NODE_READER_ONLY",
  "MULTI_NODE_SINGLE_WRITER",
  "MULTI_NODE_MULTI_WRITER",
  "SINGLE_NODE_SINGLE_WRITER",
  "SINGLE_NODE_MULTI_WRITER",
] as const;

const FLAGS_BYTES_MAX = 4 * 1024;
/** What every mount of ours has anyway, and what may be asked for. */
const FLAGS = ["ro", "rw", "nosuid", "nodev"];
/** What the kernel keeps for "no group". */
const GROUP_MAX = 2 ** 32 - 2;

const MOUNT = z.object({
  fs_type: optionalText,
  mount_flags: z
    .array(z.string())
    .refine(
      (flags) => Buffer.byteLength(flags.join("")) <= FLAGS_BYTES_MAX,
      `expected at most ${FLAGS_BYTES_MAX} bytes`,
    ),
  volume_mount_group: optionalText,
});

const WIRE = z.object({
  block: z.object({}).nullish(),
  mount: MOUNT.nullish(),
  access_mode: z.object({ mode: z.number().int() }, { error: "expected an access mode, none was given" }),
});

export interface Capability {
  /** More than one pod or task of the node may have it. */
  readonly shared: boolean;
  /** Nobody may write. */
  readonly readOnly: boolean;
  /** The group that shall be able to write. */
  readonly group?: number;
  /** Empty for "any". */
  readonly fsType: string;
  /** Why no volume of ours can have it. */
  readonly obstacle?: string;
}

/** One capability. What it asks for and cannot be had is its `obstacle`. */
const capability = capabilityIn(ACCESS_MODES.slice(1));

function capabilityIn(modes: readonly string[]) {
  return WIRE.transform((wire, context): Capability => {
    const reason = whyBroken(wire, modes);
    if (reason === undefined) return read(wire);
    context.addIssue({ code: "custom", message: reason });
    return z.NEVER;
  });
}

export const requiredCapability = z.preprocess(
  (value) => value ?? undefined,
  z
    .unknown()
    .refine((value) => value !== undefined, "expected a capability, none was given")
    .pipe(capability),
);
export const optionalCapability = capability.nullish();
export const someCapabilities = z.array(capability).min(1, "expected at least one capability");
/** Of capacity, which older provisioners ask for with the access mode UNKNOWN: any. */
export const anyCapabilities = z.array(capabilityIn(ACCESS_MODES));

/** @throws `invalid` what none of our volumes can do */
export function requirePossible(wanted: readonly Capability[]): void {
  const obstacle = wanted.find((one) => one.obstacle !== undefined)?.obstacle;
  if (obstacle !== undefined) throw new HoldfastError("invalid", `Cannot serve such a volume: ${obstacle}`);
}

/** What contradicts itself, or says nothing. */
function whyBroken(
  { block, mount, access_mode: { mode } }: z.output<typeof WIRE>,
  modes: readonly string[],
): string | undefined {
  if (block != null && mount != null) return "expected block or mount, and both were given";
  if (block == null && mount == null) return "expected block or mount, none was given";
  if (!modes.includes(ACCESS_MODES[mode] ?? "")) return "expected an access mode of the specification";
  const flags = mount?.mount_flags ?? [];
  if (flags.includes("ro") && flags.includes("rw"))
    return "expected ro or rw among the mount flags, and both were given";
  const group = mount?.volume_mount_group ?? "";
  return group === "" || parseGroup(group) !== undefined ? undefined : "expected a number as volume_mount_group";
}

function read({ mount, access_mode }: z.output<typeof WIRE>): Capability {
  const mode = ACCESS_MODES[access_mode.mode] ?? "UNKNOWN";
  const group = parseGroup(mount?.volume_mount_group ?? "");
  const flags = mount?.mount_flags ?? [];
  const obstacle = whyImpossible(mode, mount?.mount_flags);
  return {
    shared: mode === "SINGLE_NODE_MULTI_WRITER",
    readOnly: mode === "SINGLE_NODE_READER_ONLY" || flags.includes("ro"),
    ...(group === undefined ? {} : { group }),
    fsType: mount?.fs_type ?? "",
    ...(obstacle === undefined ? {} : { obstacle }),
  };
}

/** Flags may be secrets, so that which one it is is told by its place. */
function whyImpossible(mode: (typeof ACCESS_MODES)[number], flags: readonly string[] | undefined): string | undefined {
  if (flags === undefined) return "a volume is a directory, and no block device";
  if (mode.startsWith("MULTI_NODE")) return `a volume lives on one node, and the access mode ${mode} wants several`;
  const place = flags.findIndex((flag) => !FLAGS.includes(flag));
  return place < 0 ? undefined : `mount flag ${place + 1} is none of ${FLAGS.join(", ")}`;
}

function parseGroup(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,9})$/.test(text)) return undefined;
  const group = Number(text);
  return group <= GROUP_MAX ? group : undefined;
}
