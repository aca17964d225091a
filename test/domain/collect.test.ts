import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ageMs,
  assess,
  assessAll,
  type CollectRule,
  compareRetirements,
  type DiskState,
  type Moment,
  noteAge,
  requiredAgeMs,
  usedPart,
} from "../../src/domain/collect.ts";
import type { Retirement, Volume } from "../../src/domain/records.ts";
import type { BootId, Incarnation, WallMs } from "../../src/domain/units.ts";
import { volumeOn } from "../support/sample-volume.ts";

const HOUR = 3_600_000;
const WEEK = 7 * 24 * HOUR;
const RULE: CollectRule = { delayMs: WEEK, headroom: 0.1, minAgeMs: HOUR };
const AT = Date.parse("2030-01-01T00:00:00Z") as WallMs;
const boot = (number: number): BootId => `boot-${number}` as BootId;

/** `hours` after the node booted for the `number`th time, by a wall clock that is `offMs` ahead of the truth. */
const moment = (number: number, hours: number, offMs = 0): Moment => ({
  now: (AT + number * WEEK + hours * HOUR + offMs) as WallMs,
  bootId: boot(number),
  bootTimeMs: hours * HOUR,
});

const retiredAt = ({ now, bootId, bootTimeMs }: Moment): Retirement => ({ at: now, bootId, bootTimeMs });

const filled = (usage: number): DiskState => ({ usage, inDanger: false });

function retained(retired: Retirement | undefined, uuid = "a"): Volume {
  return volumeOn(
    { uuid: uuid as Incarnation, directory: { ino: "1", birthNs: "0" } },
    { phase: "retained", ...(retired === undefined ? {} : { retired }) },
  );
}

const part = fc.double({ min: 0, max: 1, noNaN: true });
const duration = fc.integer({ min: 0, max: 2 * WEEK });
const jump = fc.integer({ min: -50 * WEEK, max: 50 * WEEK });
const rule: fc.Arbitrary<CollectRule> = fc.record({ delayMs: duration, headroom: part, minAgeMs: duration });

describe("usedPart", () => {
  test("is between 0 and 1, whatever a file system says", () => {
    expect(usedPart({ totalBytes: 100, freeBytes: 25 })).toBe(0.75);
    expect(usedPart({ totalBytes: 0, freeBytes: 0 })).toBe(0);
    expect(usedPart({ totalBytes: 100, freeBytes: 130 })).toBe(0);
    expect(usedPart({ totalBytes: 100, freeBytes: -5 })).toBe(1);
  });
});

describe("requiredAgeMs", () => {
  test.each([
    [0, 0.9 * WEEK],
    [0.4, 0.5 * WEEK],
    [0.9, HOUR],
    [1, HOUR],
  ])("at a usage of %d is Mesos's, and not less than the least age", (usage, expected) => {
    expect(requiredAgeMs(RULE, usage)).toBeCloseTo(expected);
  });

  test("is the delay where the least age is longer", () => {
    expect(requiredAgeMs({ ...RULE, delayMs: 1_000 }, 0)).toBe(1_000);
  });

  test("never grows with usage, and stays between the least age and the delay", () => {
    fc.assert(
      fc.property(rule, part, part, (any, one, other) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        const [more, less] = [requiredAgeMs(any, low), requiredAgeMs(any, high)];
        expect(more).toBeGreaterThanOrEqual(less);
        expect(less).toBeGreaterThanOrEqual(Math.min(any.minAgeMs, any.delayMs));
        expect(more).toBeLessThanOrEqual(any.delayMs);
      }),
    );
  });
});

describe("ageMs", () => {
  test("in the same boot is boot time, wherever the wall clock jumped", () => {
    fc.assert(
      fc.property(duration, jump, (passedMs, offMs) => {
        const start = moment(1, 5);
        const later = { ...start, now: (start.now + offMs) as WallMs, bootTimeMs: start.bootTimeMs + passedMs };
        expect(ageMs(retiredAt(start), later)).toBe(passedMs);
      }),
    );
  });

  test("after a reboot counts what was noted and the time since boot, not the wall clock's jump", () => {
    const retired = { ...retiredAt(moment(1, 5)), agedMs: 3 * HOUR };
    expect(ageMs(retired, moment(2, 2, 50 * WEEK))).toBe(5 * HOUR);
  });

  test("after a reboot is never more than the wall clock says, and never negative", () => {
    const retired = retiredAt(moment(1, 5));
    expect(ageMs(retired, { ...moment(2, 9), now: (retired.at + HOUR) as WallMs })).toBe(HOUR);
    expect(ageMs(retired, { ...moment(2, 9), now: (retired.at - HOUR) as WallMs })).toBe(0);
  });
});

describe("assess", () => {
  test("is due from its time on, and not a millisecond before", () => {
    const retired = retiredAt(moment(1, 0));
    const dueMs = requiredAgeMs(RULE, 0.5);
    const at = (bootTimeMs: number): Moment => ({
      ...moment(1, 0),
      now: (AT + WEEK + bootTimeMs) as WallMs,
      bootTimeMs,
    });
    expect(assess(retained(retired), RULE, at(Math.floor(dueMs) - 1), filled(0.5)).isDue).toBe(false);
    const due = assess(retained(retired), RULE, at(Math.ceil(dueMs)), filled(0.5));
    expect(due).toMatchObject({ isDue: true, dueAt: AT + WEEK + Math.ceil(dueMs) });
  });

  test("says when, and at that time it is due", () => {
    fc.assert(
      fc.property(rule, part, duration, (any, usage, agedMs) => {
        const now = { ...moment(1, 1), bootTimeMs: agedMs };
        const volume = retained({ at: AT, bootId: boot(1), bootTimeMs: 0 });
        const { dueAt = now.now, isDue } = assess(volume, any, now, filled(usage));
        expect(isDue).toBe(dueAt === now.now);
        const waitMs = dueAt - now.now;
        const then = { ...now, now: dueAt, bootTimeMs: now.bootTimeMs + waitMs };
        expect(assess(volume, any, then, filled(usage)).isDue).toBe(true);
      }),
    );
  });

  test("without a retirement is as young as can be", () => {
    expect(assess(retained(undefined), RULE, moment(3, 9), filled(0.95))).toMatchObject({ ageMs: 0, isDue: false });
  });

  test("pinned is never due, and nobody says when it will be", () => {
    const volume: Volume = { ...retained(retiredAt(moment(1, 0))), pinned: true };
    const old = { ...moment(1, 0), bootTimeMs: 100 * WEEK };
    expect(assess(volume, RULE, old, filled(1))).toMatchObject({ isDue: false, dueAt: undefined });
    expect(assess(volume, RULE, old, { usage: 1, inDanger: true })).toMatchObject({ isDue: false, dueAt: undefined });
  });

  test("is due at once, however young, when live volumes need what they were promised", () => {
    const young = moment(1, 1);
    expect(assess(retained(retiredAt(young)), RULE, young, { usage: 0.2, inDanger: true })).toMatchObject({
      isDue: true,
      dueAt: young.now,
    });
  });

  test("in the first ten minutes after a reboot nothing of an earlier boot is due, however full the disk", () => {
    const retired = { ...retiredAt(moment(1, 0)), agedMs: 2 * WEEK };
    const young = { ...moment(9, 0), bootTimeMs: 599_999 };
    expect(assess(retained(retired), RULE, young, filled(1))).toMatchObject({ isDue: false, dueAt: young.now + 1 });
    expect(assess(retained(retired), RULE, { ...young, bootTimeMs: 600_000 }, filled(1)).isDue).toBe(true);
  });
});

describe("assessAll", () => {
  test("puts the oldest first, by age and not by the wall clock, and settles ties by id", () => {
    const older = retained({ at: (AT + WEEK) as WallMs, bootId: boot(1), bootTimeMs: 0 }, "older");
    const younger = retained({ at: AT, bootId: boot(1), bootTimeMs: HOUR }, "younger");
    const twin = retained({ at: AT, bootId: boot(1), bootTimeMs: HOUR }, "twin");
    const order = assessAll([younger, twin, older], RULE, moment(1, 2), filled(0)).map(({ volume }) => volume.uuid);
    expect(order).toEqual(["older", "twin", "younger"]);
  });
});

/** What happens to a node while a volume is retained. */
const event = fc.oneof(
  fc.record({ type: fc.constant("passes" as const), ms: fc.integer({ min: 0, max: 2 * 24 * HOUR }) }),
  fc.record({ type: fc.constant("jumps" as const), ms: jump }),
  fc.record({ type: fc.constant("reboots" as const), ms: fc.integer({ min: 0, max: WEEK }) }),
);

describe("a retained volume through jumps and reboots", () => {
  test("is never older than the time that has passed, and never collected before it is old enough", () => {
    fc.assert(
      fc.property(rule, part, fc.array(event, { maxLength: 30 }), (any, usage, events) => {
        let truthMs = 0;
        let offMs = 0;
        let boots = 1;
        let bootTimeMs = 10 * HOUR;
        const now = (): Moment => ({ now: (AT + truthMs + offMs) as WallMs, bootId: boot(boots), bootTimeMs });
        let retired = retiredAt(now());
        for (const { type, ms } of events) {
          if (type === "jumps") offMs += ms;
          else truthMs += ms;
          if (type === "passes") bootTimeMs += ms;
          if (type === "reboots") {
            boots += 1;
            bootTimeMs = 0;
          }
          retired = noteAge(retired, now()) ?? retired;
          expect(ageMs(retired, now())).toBeLessThanOrEqual(truthMs);
          if (assess(retained(retired), any, now(), filled(usage)).isDue) {
            expect(truthMs).toBeGreaterThanOrEqual(Math.floor(requiredAgeMs(any, usage)));
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test("loses at most an hour of age to each reboot, besides the time it was off", () => {
    let now = moment(1, 1);
    let retired = retiredAt(now);
    for (let boots = 1; boots <= 5; boots += 1) {
      for (let minutes = 0; minutes < 600; minutes += 1) {
        now = { ...now, now: (now.now + 60_000) as WallMs, bootTimeMs: now.bootTimeMs + 60_000 };
        retired = noteAge(retired, now) ?? retired;
      }
      now = { now: (now.now + 60_000) as WallMs, bootId: boot(boots + 1), bootTimeMs: 0 };
    }
    expect(ageMs(retired, now)).toBeGreaterThanOrEqual(45 * HOUR);
    expect(ageMs(retired, now)).toBeLessThanOrEqual(50 * HOUR);
  });
});

describe("what was retired later", () => {
  const first = { ...retiredAt(moment(1, 5)), order: 7 };
  const second = { ...retiredAt(moment(1, 6)), order: 8 };

  test("is the newer one also when a reboot has made both equally old", () => {
    const noted = [first, second].map((retired) => noteAge(retired, moment(2, 1)));
    expect(noted[0]?.agedMs).toBe(noted[1]?.agedMs);
    expect(compareRetirements(noted[0], noted[1])).toBeLessThan(0);
  });

  test("is the newer one also when the clock was set back in between and the machine was rebooted", () => {
    const setBack = { ...second, at: (first.at - HOUR) as WallMs, bootId: boot(2) };
    expect(compareRetirements(first, setBack)).toBeLessThan(0);
  });

  test("is told by the clocks where nobody noted the order", () => {
    const { order: _order, ...unordered } = second;
    expect(compareRetirements(first, unordered)).toBeLessThan(0);
  });
});

describe("noteAge", () => {
  test("is made once after a reboot, when the first minutes are over, and keeps when it happened", () => {
    const retired = { ...retiredAt(moment(1, 5)), agedMs: 2 * HOUR };
    expect(noteAge(retired, { ...moment(2, 0), bootTimeMs: 599_999 })).toBeUndefined();
    const noted = noteAge(retired, moment(2, 1));
    expect(noted).toEqual({ at: retired.at, bootId: boot(2), bootTimeMs: HOUR, agedMs: 3 * HOUR });
    expect(noteAge(noted, moment(2, 1.9))).toBeUndefined();
    expect(noteAge(noted, moment(2, 2))).toMatchObject({ agedMs: 4 * HOUR });
  });

  test("gives a retirement to a volume that has none", () => {
    expect(noteAge(undefined, moment(2, 1))).toEqual(retiredAt(moment(2, 1)));
  });
});
