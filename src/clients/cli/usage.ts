/** What a volume takes, beside its size in MB. */
import { BYTES_PER_MB } from "../../domain/units.ts";
import type { VolumeJson } from "../../faces/agent-socket/wire.ts";

/** Under this, tenths are shown. */
const SMALL_MB = 10;

/**
 * `300 MB (59 %)`, `undefined` when it is not known. How much that is of the size says something while the size is held,
 * so not of a destroyed volume.
 */
export function usedText({ usedBytes, sizeMb, retiredAt }: VolumeJson, unit: "" | " MB"): string | undefined {
  if (usedBytes === undefined) return undefined;
  const usedMb = usedBytes / BYTES_PER_MB;
  const percent = retiredAt === undefined ? ` (${Math.round((usedMb / sizeMb) * 100)} %)` : "";
  return `${roundedUp(usedMb)}${unit}${percent}`;
}

/** What takes anything is never 0. */
function roundedUp(mb: number): number {
  return mb < SMALL_MB ? Math.ceil(mb * 10) / 10 : Math.ceil(mb);
}
