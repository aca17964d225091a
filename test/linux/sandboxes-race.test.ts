import { chownSync, existsSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf } from "../../src/domain/error.ts";
import { createSandboxes } from "../../src/host/sandboxes.ts";
import { isErrno, MS, mount } from "../../src/host/syscalls.ts";
import type { Sandboxes } from "../../src/ports/sandboxes.ts";
import { mayMount } from "../e2e/privileges.ts";
import { ATTACKER, type Exchanger, startExchanger } from "../support/exchanger.ts";
import { MountPlace } from "../support/mount-place.ts";

const ROUNDS = 300;

describe.runIf(mayMount)("sandboxes that are exchanged for another directory meanwhile", () => {
  let place: MountPlace;
  let sandboxes: Sandboxes;
  let exchanger: Exchanger;
  beforeEach(async () => {
    place = new MountPlace();
    sandboxes = createSandboxes({ foundations: [] });
    exchanger = await startExchanger();
  });
  afterEach(async () => {
    await exchanger.stop();
    await sandboxes.close();
    place.dispose();
  });

  it("are cleared, or refused as in use, and never by a failure of ours", async () => {
    const parent = place.sandbox();
    const volume = place.volume();
    for (const name of ["box/volume", "other"]) mkdirSync(join(parent, name), { recursive: true });
    chownSync(parent, ATTACKER.uid, ATTACKER.gid);
    for (const name of ["box", "other"]) chownSync(join(parent, name), ATTACKER.uid, ATTACKER.gid);
    const path = join(parent, "box");
    const { ino, birthtimeNs } = lstatSync(path, { bigint: true });
    const directory = { ino: String(ino), birthNs: String(birthtimeNs) };
    await exchanger.race([{ directory: parent, names: ["box", "other"] }]);
    const outcomes = new Set<string>();
    for (let round = 0; round < ROUNDS; round += 1) {
      if (place.mounts().length === 0) mountSomeTime(volume.content, join(path, "volume"));
      outcomes.add(outcomeOf(() => sandboxes.detach({ path, directory }, [volume.diskRoot])));
      expect(existsSync(join(volume.content, "name"))).toBe(true);
    }
    expect(await exchanger.race([])).toBeGreaterThan(ROUNDS);
    outcomes.delete("done");
    outcomes.delete("in_use");
    expect([...outcomes]).toEqual([]);
  });
});

/** At first the other directory may have the name, in which there is no such place. */
function mountSomeTime(source: string, target: string): void {
  for (;;) {
    try {
      mount(source, target, null, MS.BIND);
      return;
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}

function outcomeOf(work: () => void): string {
  try {
    work();
    return "done";
  } catch (error) {
    return `${codeOf(error)}`;
  }
}
