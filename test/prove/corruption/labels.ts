/** Labels with every bit flipped, cut at every byte, zeroed and mixed up: each is refused or says what it said. */
import { HoldfastError } from "../../../src/domain/error.ts";
import type { Volume } from "../../../src/domain/records.ts";
import { decodeNodeLabel, decodeVolumeLabel, encodeNodeLabel, encodeVolumeLabel } from "../../../src/store/label.ts";
import { SAMPLE_HEADER, sampleVolume, setMarkedVolume, setReservation } from "../../contract/samples.ts";
import { Chance } from "../../simulation/chance.ts";
import { canonical } from "./history.ts";

interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
  readonly decode: (bytes: Buffer) => unknown;
}

const MESSAGE_CHARACTERS_MAX = 2_000;
const RANDOM_DAMAGES = 500;

export function tryLabels(seed: number): { readonly count: number; readonly violations: readonly string[] } {
  const samples = makeSamples();
  const chance = new Chance(seed);
  const violations: string[] = [];
  let count = 0;
  for (const sample of samples) {
    for (const { what, bytes } of damagesOf(sample.bytes, samples, chance)) {
      // Whole and of another volume: its uuid is for others to compare.
      if (samples.some((other) => other.bytes.equals(bytes))) continue;
      count += 1;
      const fault = judgeLabel(sample, bytes);
      if (fault !== undefined) violations.push(`the label of ${sample.name}, ${what} (seed ${seed}): ${fault}`);
    }
  }
  return { count, violations };
}

function makeSamples(): readonly Sample[] {
  const volume = (name: string, value: Volume) => ({
    name,
    bytes: encodeVolumeLabel(value),
    decode: decodeVolumeLabel,
  });
  const node = encodeNodeLabel({
    agentId: SAMPLE_HEADER.agentId,
    reservations: [setReservation().value as never],
  });
  return [
    volume("a live volume", sampleVolume(2)),
    volume("a retained volume", sampleVolume(1)),
    volume("a marked volume", setMarkedVolume().value as Volume),
    { name: "a node", bytes: node, decode: decodeNodeLabel },
  ];
}

function* damagesOf(
  sound: Buffer,
  others: readonly Sample[],
  chance: Chance,
): Generator<{ readonly what: string; readonly bytes: Buffer }> {
  for (let at = 0; at < sound.length; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const bytes = Buffer.from(sound);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
      yield { what: `bit ${bit} of byte ${at} flipped`, bytes };
    }
    yield { what: `cut to ${at} bytes`, bytes: sound.subarray(0, at) };
    yield { what: `without its first ${at + 1} bytes`, bytes: sound.subarray(at + 1) };
    yield {
      what: `zeroed from byte ${at}`,
      bytes: Buffer.concat([sound.subarray(0, at), Buffer.alloc(sound.length - at)]),
    };
  }
  for (const { name, bytes } of others) {
    if (bytes.equals(sound)) continue;
    for (let at = 1; at < sound.length; at += 64) {
      yield {
        what: `${at} bytes of it, then that of ${name}`,
        bytes: Buffer.concat([sound.subarray(0, at), bytes.subarray(at)]),
      };
    }
    yield { what: `followed by that of ${name}`, bytes: Buffer.concat([bytes, sound]).subarray(1) };
  }
  for (let number = 0; number < RANDOM_DAMAGES; number += 1) {
    const bytes = Buffer.from(sound);
    for (let times = 1 + chance.below(4); times > 0; times -= 1)
      bytes.writeUInt8(chance.below(256), chance.below(bytes.length));
    yield { what: `random damage ${number}`, bytes };
  }
}

function judgeLabel({ bytes: sound, decode }: Sample, bytes: Buffer): string | undefined {
  try {
    const value = canonical(decode(bytes));
    return value === canonical(decode(sound)) ? undefined : `it is read as ${value}`;
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "damaged") return `it throws ${String(error)}`;
    return error.message.length > MESSAGE_CHARACTERS_MAX
      ? `its refusal has ${error.message.length} characters`
      : undefined;
  }
}
