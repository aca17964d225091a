import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { inTables, knownToKernel, locate, maybeMountpointElsewhere } from "../../src/host/mountpoint-elsewhere.ts";
import { AT, MS, mount, O, openat2 } from "../../src/host/syscalls.ts";
import { withDescriptors } from "../../src/host/walk.ts";
import { mayMount } from "../e2e/privileges.ts";
import { MountPlace } from "../support/mount-place.ts";
import { type Resident, startResident } from "../support/resident.ts";

describe.runIf(mayMount)("maybeMountpointElsewhere", () => {
  let place: MountPlace;
  let sandbox: string;
  const residents: Resident[] = [];
  beforeEach(() => {
    place = new MountPlace();
    sandbox = place.sandbox();
    mkdirSync(join(sandbox, "data"));
  });
  afterEach(async () => {
    for (const resident of residents.splice(0)) await resident.stop();
    place.dispose();
  });

  const start = async (script: string) => residents.push(await startResident(script, { ownNamespace: true }));
  /** By every way to know. */
  const answers = (directory = sandbox, name = "data") =>
    withDescriptors((keep) => {
      const at = { directory: keep(openat2(AT.FDCWD, directory, { flags: O.PATH | O.DIRECTORY })), name };
      const location = locate(at);
      if (location === undefined) throw new Error(`Cannot locate ${directory}`);
      const { device, path } = location;
      return [
        maybeMountpointElsewhere(at),
        knownToKernel({ device, path }) ?? "cannot tell",
        inTables({ device, path }),
      ];
    });
  const all = (answer: boolean) => [answer, expect.toBeOneOf([answer, "cannot tell"]), answer];

  it("is not where nothing is mounted, nor where another directory of this name is covered", async () => {
    const other = place.sandbox();
    mkdirSync(join(other, "data"));
    await start(`mount --bind "${place.volume().content}" "${other}/data"`);
    expect(answers()).toEqual(all(false));
  });

  it("is where a namespace has something mounted, until it ends", async () => {
    await start(`mount --bind "${place.volume().content}" "${sandbox}/data"`);
    expect(answers()).toEqual(all(true));
    await residents.pop()?.stop();
    await expect.poll(() => answers()).toEqual(all(false));
  });

  it("is also below another mount of the same file system, under another path", async () => {
    const alias = place.sandbox();
    await start(`mount --bind "${sandbox}" "${alias}" && mount -t tmpfs none "${alias}/data"`);
    expect(answers()).toEqual(all(true));
    mount(sandbox, alias, null, MS.BIND);
    expect(answers(alias)).toEqual(all(true));
  });

  it("is also what is covered by more than one mount", async () => {
    await start(`mount -t tmpfs none "${sandbox}/data"; mount -t tmpfs none "${sandbox}/data"`);
    expect(answers()).toEqual(all(true));
  });
});
