import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createBindMounter } from "../../src/host/bind-mounter.ts";
import { AT, geteuid, MS, mount, mountSetattr } from "../../src/host/syscalls.ts";
import { startContainer, type TestContainer } from "../support/container.ts";
import { attachAndRecord, MountPlace, pathOf } from "../support/mount-place.ts";

const mounter = createBindMounter();

describe.runIf(geteuid() === 0)("propagation of bind mounts", () => {
  let place: MountPlace;
  const containers: TestContainer[] = [];
  beforeEach(() => {
    place = new MountPlace();
  });
  afterEach(async () => {
    await Promise.all(containers.splice(0).map((container) => container.stop()));
    place.dispose();
  });

  const cases = (["private", "shared"] as const).flatMap((sandbox) =>
    (["unchanged", "slave", "private"] as const).flatMap((container) =>
      (["before", "after"] as const).map((start) => ({ sandbox, container, start })),
    ),
  );

  it.each(cases)(
    "in a $sandbox sandbox, container $container, attached $start its start: as expected, and nothing is left",
    async ({ sandbox, container: propagation, start }) => {
      const request = place.newRequest();
      mount(request.sandbox, request.sandbox, null, MS.BIND);
      mountSetattr(AT.FDCWD, request.sandbox, 0, {
        attrSet: 0,
        propagation: sandbox === "shared" ? MS.SHARED : MS.PRIVATE,
      });
      const early = start === "before" ? await attachAndRecord(mounter, request) : undefined;
      const container = await startContainer(propagation);
      containers.push(container);
      const mounted = early ?? (await attachAndRecord(mounter, request));

      expect(mounted.mount).toMatchObject({ propagation: sandbox });
      const propagated = sandbox === "shared" && propagation !== "private";
      expect(container.sees(pathOf(request))).toBe(start === "before" || propagated);
      await mounter.detach(mounted, { lazy: false });
      expect([place.mounts(), container.sees(pathOf(request))]).toEqual([[request.sandbox], false]);
    },
  );
});
