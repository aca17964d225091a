/** Looks at directories that are to be adopted, before anything is done with them. */
import { HoldfastError } from "../domain/error.ts";
import type { Disk, Spare, VolumeUsage } from "../ports/disk.ts";
import type { Adoption } from "./engine.ts";
import type { Parts } from "./parts.ts";

/** A directory as it was found: on a disk, or why not. */
export type Plan = Found | Refused;

export interface Found {
  readonly adoption: Adoption;
  readonly disk: Disk;
  readonly spare: Pick<Spare, "uuid" | "directory">;
  readonly usage?: VolumeUsage;
  readonly refusal?: undefined;
}

interface Refused extends Partial<Pick<Found, "disk" | "usage">> {
  readonly adoption: Adoption;
  readonly refusal: HoldfastError;
}

/** Looks for each directory, for who has it, and counts what it takes. */
export async function survey(
  parts: Parts,
  adoptions: readonly Adoption[],
  signal: AbortSignal,
): Promise<readonly Plan[]> {
  const found = adoptions.map((adoption) => find(parts, adoption));
  const there = found.flatMap((plan) => (plan.refusal === undefined ? plan.adoption.directory : []));
  const holds = await lookForHolds(parts, there);
  const plans: Plan[] = [];
  for (const plan of found) {
    if (plan.refusal !== undefined) plans.push(plan);
    else plans.push(await measured(plan, holds(plan.adoption.directory), signal));
  }
  return plans;
}

function find(parts: Parts, adoption: Adoption): Plan {
  try {
    return { adoption, ...chooseDisk(parts, adoption.directory) };
  } catch (error) {
    return { adoption, refusal: asRefusal(error) };
  }
}

/** Every disk is asked, because each knows what is its own. The one that it lies in, else the work root's. */
function chooseDisk(parts: Parts, directory: string): Pick<Found, "disk" | "spare"> {
  const candidates = [...parts.disks.values()].flatMap((disk) => {
    const spare = disk.examineForeign(directory);
    return spare === undefined ? [] : { disk, spare };
  });
  const rank = ({ root, source }: Disk): number =>
    directory.startsWith(`${root}/`) ? root.length : source.type === "ROOT" ? 0 : -1;
  const [best] = candidates.sort((left, right) => rank(right.disk) - rank(left.disk));
  if (best !== undefined) return best;
  const roots = [...parts.disks.values()].map(({ root }) => root).join(", ");
  throw new HoldfastError(
    "unsupported",
    `Cannot adopt ${directory}: it lies on another file system or mount than the disks ${roots}, and would have to be copied`,
  );
}

async function measured(plan: Found, hold: HoldfastError | undefined, signal: AbortSignal): Promise<Plan> {
  const { adoption, disk } = plan;
  try {
    const usage = await disk.measureForeign(adoption.directory, { signal });
    return hold === undefined ? { ...plan, usage } : { adoption, disk, usage, refusal: hold };
  } catch (error) {
    if (signal.aborted) throw error;
    return { adoption, disk, refusal: hold ?? asRefusal(error) };
  }
}

/** Who has these directories, by their paths, as a refusal. Unknown means in use. */
export async function lookForHolds(
  parts: Parts,
  paths: readonly string[],
  nameOfPath: (path: string) => string = (path) => path,
): Promise<(path: string) => HoldfastError | undefined> {
  if (paths.length === 0) return () => undefined;
  try {
    const holders = await parts.holders.ofDirectories(paths);
    return (path) => {
      const here = holders.filter(({ directory }) => directory === path);
      const [first] = here;
      if (first === undefined) return undefined;
      const pids = [...new Set(here.flatMap(({ pid }) => pid ?? []))];
      return new HoldfastError("in_use", `Cannot adopt ${nameOfPath(path)}: ${first.phrase}`, {
        ...(pids.length === 0 ? {} : { details: { pids } }),
      });
    };
  } catch (error) {
    const refusal = asRefusal(error);
    return () => refusal;
  }
}

/** What is no refusal is a fault, and nobody's list is to blame. */
export function asRefusal(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  throw error;
}
