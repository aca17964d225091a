import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setegid, seteuid } from "node:process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HoldfastError } from "../../src/domain/error.ts";
import { createMounter } from "../../src/host/mount-thread.ts";
import { geteuid } from "../../src/host/syscalls.ts";
import { MountPlace } from "../support/mount-place.ts";

describe("createMounter", () => {
  let place: MountPlace;
  beforeEach(() => {
    place = new MountPlace();
  });
  afterEach(() => place.dispose());

  it("hands errors over the thread with class, code, message and details", async () => {
    const mounter = await createMounter({ backend: "symlink" });
    const request = place.request(place.volume(), place.sandbox());
    writeFileSync(join(request.sandbox, "data"), "");
    await expect(mounter.attach(request)).rejects.toBeInstanceOf(HoldfastError);
    await expect(mounter.attach(request)).rejects.toMatchObject({
      code: "conflict",
      message: `Cannot attach volume ${request.uuid} at ${request.sandbox}/data: something is in its place already`,
    });
    const longName = { ...request, containerPath: "x".repeat(256) as typeof request.containerPath };
    await expect(mounter.attach(longName)).rejects.toMatchObject({
      code: "invalid",
      details: { errno: "ENAMETOOLONG" },
    });
    await mounter.close();
  });

  it("lets calls that are under way end when it is closed, and refuses later ones", async () => {
    const mounter = await createMounter({ backend: "symlink" });
    const request = place.request(place.volume(), place.sandbox());
    const attached = mounter.attach(request);
    await mounter.close();
    await expect(attached).resolves.toMatchObject({ madeMountpoint: true });
    await expect(mounter.attach(request)).rejects.toMatchObject({ code: "unavailable" });
  });

  describe.runIf(geteuid() === 0)("as root", () => {
    it("takes bind mounts for auto, and leaves nothing of its probe", async () => {
      const mounter = await createMounter({ backend: "auto" });
      expect(mounter.backend).toBe("bind");
      await mounter.close();
    });

    it("without privileges takes symlinks for auto, and refuses bind with the reason", async () => {
      setegid?.(65534);
      seteuid?.(65534);
      try {
        const mounter = await createMounter({ backend: "auto" });
        expect(mounter.backend).toBe("symlink");
        await mounter.close();
        await expect(createMounter({ backend: "bind" })).rejects.toMatchObject({
          code: "unsupported",
          message: expect.stringMatching(/^Cannot use the bind backend: .*CAP_SYS_ADMIN/),
        });
      } finally {
        seteuid?.(0);
        setegid?.(0);
      }
    });
  });
});
