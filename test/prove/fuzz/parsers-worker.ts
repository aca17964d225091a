/**
 * Gives strange inputs to every parser in turn, in a process of its own: one that never ends could not be stopped
 * otherwise. Says where it is before every batch, and every fault.
 *
 * Arguments: the seed, the first batch, and the one to end before.
 */
import { HoldfastError } from "../../../src/domain/error.ts";
import { Chance } from "../../simulation/chance.ts";
import { tell } from "../telling.ts";
import { BATCH } from "./parsers.ts";
import { MESSAGE_CHARACTERS_MAX, TARGETS, type Target } from "./targets.ts";

/** One line of what the worker says. */
export interface Said {
  readonly batch: number;
  readonly target: string;
  readonly fault?: string;
}

/** A machine that is busy can make anything slow once. */
const REPEATS = 3;
const SHOWN_CHARACTERS = 300;

const [seed = 0, first = 0, end = 0] = process.argv.slice(2).map(Number);
const innocence = fingerprint();
for (let batch = first; batch < end; batch += 1) {
  const target = TARGETS[batch % TARGETS.length] as Target;
  tell({ batch, target: target.name } satisfies Said);
  const chance = new Chance(seed + batch * 7_919);
  for (let number = 0; number < BATCH; number += 1) {
    const input = target.input(chance);
    const fault = tryInput(target, input);
    if (fault !== undefined)
      tell({ batch, target: target.name, fault: `${fault}, for ${shown(input)}` } satisfies Said);
  }
  if (fingerprint() !== innocence)
    tell({ batch, target: target.name, fault: "it changes what all objects have" } satisfies Said);
}

function tryInput(target: Target, input: unknown): string | undefined {
  const { fault, ms } = attempt(target, input);
  if (fault !== undefined) return fault;
  if (ms <= target.msMax) return undefined;
  const least = Math.min(...Array.from({ length: REPEATS }, () => attempt(target, input).ms));
  return least > target.msMax ? `it takes ${Math.round(least)} ms` : undefined;
}

function attempt(target: Target, input: unknown): { readonly ms: number; readonly fault?: string } {
  const start = performance.now();
  try {
    target.read(input as never);
    return { ms: performance.now() - start };
  } catch (error) {
    const ms = performance.now() - start;
    const fault = judge(target, error);
    return fault === undefined ? { ms } : { ms, fault };
  }
}

/** A refusal has the right code and can be read by a person. */
function judge({ codes }: Target, error: unknown): string | undefined {
  if (typeof error === "string") return error;
  if (!(error instanceof HoldfastError)) return `it throws ${String(error)}`;
  if (!codes.includes(error.code)) return `it refuses as ${error.code}: ${error.message.slice(0, SHOWN_CHARACTERS)}`;
  return error.message.length > MESSAGE_CHARACTERS_MAX
    ? `its refusal has ${error.message.length} characters: ${error.message.slice(0, 80)}`
    : undefined;
}

function fingerprint(): string {
  return [Object.prototype, Array.prototype, String.prototype, Map.prototype, globalThis]
    .map((object) => Object.getOwnPropertyNames(object).join(" "))
    .join("; ");
}

function shown(input: unknown): string {
  const text =
    input instanceof Buffer
      ? `bytes ${JSON.stringify(input.toString("latin1"))}`
      : (JSON.stringify(input) ?? String(input));
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}... (${text.length} characters)` : text;
}
