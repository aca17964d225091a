import { describe, expect, test } from "vitest";
import { ERROR_CODES } from "../../src/domain/error.ts";
import { LIFECYCLE, refusalOf, stateOf, type VolumeEvent, type VolumeState } from "../../src/domain/lifecycle.ts";
import type { AttachmentPhase } from "../../src/domain/records.ts";
import type { MilliMb } from "../../src/domain/units.ts";

const STATES = Object.keys(LIFECYCLE) as VolumeState[];
const EVENTS: VolumeEvent[] = ["attach", "share", "detach", "resize", "destroy", "restore", "collect", "copy"];

/** The picture in words: which events each state allows. Everything else is refused. */
const ALLOWED: Record<VolumeState, VolumeEvent[]> = {
  adopting: ["detach"],
  copying: ["detach"],
  detached: ["attach", "share", "detach", "resize", "destroy", "copy"],
  attaching: ["share", "detach", "resize", "copy"],
  attached: ["share", "detach", "resize", "copy"],
  detaching: ["share", "detach", "resize", "copy"],
  lingering: ["share", "detach", "resize", "copy"],
  damaged: ["detach", "destroy"],
  destroying: ["detach"],
  retained: ["detach", "restore", "collect"],
  collecting: ["detach", "collect"],
};

describe("LIFECYCLE", () => {
  test.each(STATES.flatMap((state) => EVENTS.map((event) => [state, event] as const)))("%s × %s", (state, event) => {
    const refusal = refusalOf(state, event);
    if (ALLOWED[state].includes(event)) expect(refusal).toBeUndefined();
    else expect(Object.keys(ERROR_CODES)).toContain(refusal);
  });

  test("has no state without a row and no row without every event", () => {
    for (const state of STATES) expect(Object.keys(LIFECYCLE[state]).sort()).toEqual([...EVENTS].sort());
  });

  test("never lets a volume in use be destroyed, collected or attached exclusively", () => {
    for (const state of ["attaching", "attached", "detaching", "lingering"] as const) {
      for (const event of ["destroy", "collect", "attach"] as const) expect(refusalOf(state, event)).toBe("in_use");
    }
  });
});

const LIVE = { phase: "live" } as const;

describe("stateOf", () => {
  const phases: AttachmentPhase[] = ["attaching", "attached", "detaching", "lingering"];

  test("shows the record's phase whatever is attached or damaged once the volume is not live", () => {
    for (const phase of ["destroying", "retained", "collecting"] as const) {
      for (const attachment of phases) expect(stateOf({ phase }, [attachment], true)).toBe(phase);
    }
  });

  test("shows damage before any attachment", () => {
    for (const attachment of phases) expect(stateOf(LIVE, [attachment], true)).toBe("damaged");
  });

  test("shows that it is being copied, unless it is damaged", () => {
    const copying = { ...LIVE, copying: { reserved: 0 as MilliMb } };
    expect(stateOf(copying, [], false)).toBe("copying");
    expect(stateOf(copying, [], true)).toBe("damaged");
  });

  test("shows that it is being adopted, unless it is damaged", () => {
    const adopting = { ...LIVE, origin: "/srv/db" };
    expect(stateOf(adopting, [], false)).toBe("adopting");
    expect(stateOf(adopting, [], true)).toBe("damaged");
  });

  test("shows the most urgent of several attachments", () => {
    expect(stateOf(LIVE, [], false)).toBe("detached");
    expect(stateOf(LIVE, ["lingering"], false)).toBe("lingering");
    expect(stateOf(LIVE, ["lingering", "attached"], false)).toBe("attached");
    expect(stateOf(LIVE, ["attached", "detaching"], false)).toBe("detaching");
    expect(stateOf(LIVE, ["detaching", "attaching"], false)).toBe("attaching");
  });
});
