import type { Random } from "../../src/ports/random.ts";

/** Random ids that a seed repeats: version 4 UUIDs in form, a counter and the seed in substance. */
export function fakeRandom(seed = 1): Random {
  let state = seed >>> 0;
  const next = (): number => {
    // mulberry32: small, and good enough to look random
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    uuid() {
      const hex = [next(), next(), next(), next()].map((word) => word.toString(16).padStart(8, "0")).join("");
      const variant = "89ab"[Number.parseInt(hex[16] ?? "0", 16) % 4];
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
  };
}
