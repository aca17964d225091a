/** Bytes as CSI says them, and sizes as the node has them: a new size is a whole number of MB (MiB). */
import { BYTES_PER_MB, type MilliMb } from "../../domain/units.ts";
import { CsiError } from "./status.ts";

/** 0 is "not said". */
export interface CapacityRange {
  readonly required_bytes: bigint;
  readonly limit_bytes: bigint;
}

const ANY: CapacityRange = { required_bytes: 0n, limit_bytes: 0n };
const MB = BigInt(BYTES_PER_MB);

/** Exact, as a 64-bit number is written. */
export function bytesOf(size: MilliMb): string {
  return String(exactBytes(size));
}

/**
 * The size to make: what is required in whole MB, else the usual one as far as the limit lets it; and at least so much.
 * @throws OUT_OF_RANGE when the limit leaves no such size
 */
export function sizeFor(
  range: CapacityRange | null | undefined,
  { usual, least }: { readonly usual: MilliMb; readonly least: MilliMb },
): MilliMb {
  const { required_bytes: required, limit_bytes: limit } = range ?? ANY;
  const wanted =
    required > 0n ? required : limit > 0n && limit < exactBytes(usual) ? wholeMb(limit) : exactBytes(usual);
  const bytes = [wanted, exactBytes(least), 1n].reduce((left, right) => (left > right ? left : right));
  const mb = (bytes + MB - 1n) / MB;
  if (limit > 0n && mb * MB > limit) {
    throw new CsiError(
      "OUT_OF_RANGE",
      `Cannot have ${limit} bytes or less: it takes ${mb} MiB, which are ${mb * MB} bytes`,
    );
  }
  return Number(mb * 1000n) as MilliMb;
}

/** Whether a volume of this size is what the range asks for. */
export function fits(size: MilliMb, range: CapacityRange | null | undefined): boolean {
  const { required_bytes: required, limit_bytes: limit } = range ?? ANY;
  const bytes = exactBytes(size);
  return bytes >= required && (limit === 0n || bytes <= limit);
}

function exactBytes(size: MilliMb): bigint {
  return (BigInt(size) * MB) / 1000n;
}

function wholeMb(bytes: bigint): bigint {
  return (bytes / MB) * MB;
}
