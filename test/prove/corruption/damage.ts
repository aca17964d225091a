/** What can become of the bytes of a checkpoint: first every byte of it once, then what disks and people do besides. */
import type { Chance } from "../../simulation/chance.ts";
import type { Generations } from "./history.ts";

export interface Damage {
  /** A phrase: "bit 3 of byte 4711 of the log flipped". */
  readonly what: string;
  readonly file: Buffer;
  /** Empty for none. */
  readonly log: Buffer;
}

const PAGE_BYTES = 4096;
const SECTOR_BYTES = 512;
/** A prime larger than what there is to flip: leads to every byte once. */
const STRIDE = 1_000_003;
const LENGTHS = [1, 2, 8, 64, SECTOR_BYTES, PAGE_BYTES, 3 * PAGE_BYTES] as const;
const NONE = Buffer.alloc(0);

/** How many bytes there are to flip: of file and log after a kill, and of the file after a clean stop. */
function bytesOf({ last, stopped }: Generations): number {
  return last.file.length + last.log.length + stopped.file.length;
}

/** The damage of this number: three of four flip the next byte, as long as there is one that was not flipped. */
export function damageOf(number: number, history: Generations, chance: Chance): Damage {
  const flips = Math.floor((number * 3) / 4);
  if (number % 4 === 3 || flips >= bytesOf(history)) return chance.pick(OTHERS)(history, chance);
  return flipByte((flips * STRIDE) % bytesOf(history), history, chance.below(8));
}

function flipByte(at: number, { last, stopped }: Generations, bit: number): Damage {
  const flip = (bytes: Buffer, index: number): Buffer =>
    edited(bytes, (copy) => copy.writeUInt8(copy.readUInt8(index) ^ (1 << bit), index));
  const what = (index: number, of: string) => `bit ${bit} of byte ${index} of ${of} flipped`;
  if (at < last.file.length) return { ...last, what: what(at, "the file"), file: flip(last.file, at) };
  const inLog = at - last.file.length;
  if (inLog < last.log.length) return { ...last, what: what(inLog, "the log"), log: flip(last.log, inLog) };
  const inStopped = inLog - last.log.length;
  return { ...stopped, what: what(inStopped, "the file without log"), file: flip(stopped.file, inStopped) };
}

type Maker = (history: Generations, chance: Chance) => Damage;

const OTHERS: readonly Maker[] = [
  (history, chance) => somewhere(history, chance, "zeroed", (bytes, from, to) => bytes.fill(0, from, to)),
  (history, chance) => somewhere(history, chance, "scrambled", (bytes, from, to) => scramble(bytes, from, to, chance)),
  cut,
  misdirectedWrite,
  lostWrite,
  olderFile,
  ({ last }) => ({ what: "the newest file without its log", file: last.file, log: NONE }),
  olderWhole,
];

function somewhere(
  history: Generations,
  chance: Chance,
  verb: string,
  edit: (bytes: Buffer, from: number, to: number) => void,
): Damage {
  return onOneFile(history, chance, (bytes) => {
    const length = Math.min(chance.pick(LENGTHS), bytes.length);
    const step = chance.pick([1, SECTOR_BYTES]);
    const from = Math.floor(chance.below(bytes.length - length + 1) / step) * step;
    edit(bytes, from, from + length);
    return { bytes, what: `${length} bytes from ${from} ${verb}` };
  });
}

function scramble(bytes: Buffer, from: number, to: number, chance: Chance): void {
  for (let at = from; at < to; at += 1) bytes.writeUInt8(chance.below(256), at);
}

function cut(history: Generations, chance: Chance): Damage {
  return onOneFile(history, chance, (bytes) => {
    const length = chance.below(bytes.length);
    return { bytes: bytes.subarray(0, length), what: `cut to ${length} bytes` };
  });
}

function misdirectedWrite(history: Generations, chance: Chance): Damage {
  return onOneFile(history, chance, (bytes) => {
    const [from, to] = [sectorIn(bytes, chance), sectorIn(bytes, chance)];
    bytes.copy(bytes, to, from, from + SECTOR_BYTES);
    return { bytes, what: `the sector at ${from} written over the one at ${to}` };
  });
}

/** Blocks are what they were earlier. */
function lostWrite({ last, stopped, older }: Generations, chance: Chance): Damage {
  const generation = chance.below(older.length);
  const source = older[generation]?.file ?? NONE;
  const length = chance.pick([SECTOR_BYTES, PAGE_BYTES]);
  const whole = chance.pick([last, stopped]);
  const at = Math.floor(chance.below(whole.file.length) / length) * length;
  const of = whole === last ? "the file" : "the file without log";
  return {
    what: `the ${length} bytes at ${at} of ${of} as they were in generation ${generation}`,
    // A file that was shorter then has nothing there.
    file: edited(whole.file, (copy) => copy.set(source.subarray(at, at + length), at)),
    log: whole.log,
  };
}

function olderFile({ last, older }: Generations, chance: Chance): Damage {
  const generation = chance.below(older.length);
  return {
    what: `generation ${generation} of the file under the newest log`,
    file: older[generation]?.file ?? NONE,
    log: last.log,
  };
}

function olderWhole({ older }: Generations, chance: Chance): Damage {
  const generation = chance.below(older.length);
  return { what: `all of generation ${generation}`, ...(older[generation] ?? { file: NONE, log: NONE }) };
}

function onOneFile(
  { last, stopped }: Generations,
  chance: Chance,
  edit: (copy: Buffer) => { readonly bytes: Buffer; readonly what: string },
): Damage {
  const whole = chance.pick([last, stopped] as const);
  const part = whole.log.length > 0 ? chance.pick(["file", "log"] as const) : "file";
  const { bytes, what } = edit(Buffer.from(whole[part]));
  const name = whole === stopped ? "the file without log" : `the ${part}`;
  return { ...whole, what: `${name}: ${what}`, [part]: bytes };
}

function sectorIn(bytes: Buffer, chance: Chance): number {
  return chance.below(Math.floor(bytes.length / SECTOR_BYTES)) * SECTOR_BYTES;
}

function edited(bytes: Buffer, edit: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  edit(copy);
  return copy;
}
