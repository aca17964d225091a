import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readMountTable } from "../../src/host/mount-table.ts";
import { examineSandboxRoot, shareSandboxRoot } from "../../src/host/sandbox-root.ts";
import { MS, mount } from "../../src/host/syscalls.ts";
import { refusalOf } from "../domain/refusals.ts";
import { startContainer } from "../support/container.ts";
import { MountPlace } from "../support/mount-place.ts";

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("shareSandboxRoot", () => {
  let place: MountPlace;
  let root: string;

  beforeEach(() => {
    place = new MountPlace();
    root = place.sandbox();
  });

  afterEach(() => place.dispose());

  test("refuses a path with a symlink, and mounts nothing", () => {
    const link = join(place.root, "link");
    symlinkSync(root, link);
    expect(refusalOf(() => shareSandboxRoot(link)).code).toBe("invalid");
    expect(place.mounts()).toEqual([]);
  });

  test("is told from what it might be before", () => {
    expect(examineSandboxRoot(root)).toEqual({ is: "no mount" });
    mount(place.root, place.root, null, MS.BIND);
    mount(null, place.root, null, MS.PRIVATE);
    mount(root, root, null, MS.BIND);
    expect(examineSandboxRoot(root)).toEqual({ is: "not shared" });
    mount(null, root, null, MS.SHARED);
    const other = place.sandbox();
    mount(root, other, null, MS.BIND);
    expect(examineSandboxRoot(root)).toEqual({ is: "shared with others", others: [other] });
    shareSandboxRoot(root);
    expect(examineSandboxRoot(root)).toEqual({ is: "shared alone" });
  });

  test("makes a plain directory a shared mount of its own, once", () => {
    shareSandboxRoot(root);
    shareSandboxRoot(root);
    expect(place.mounts()).toEqual([root]);
    expect(examineSandboxRoot(root)).toEqual({ is: "shared alone" });
  });

  test("leaves the peer group of a shared parent", () => {
    mount(place.root, place.root, null, MS.BIND);
    mount(null, place.root, null, MS.SHARED);
    shareSandboxRoot(root);
    const groups = readMountTable("self")
      .filter(({ mountPoint }) => mountPoint.toString().startsWith(place.root))
      .map(({ propagation }) => propagation.shared);
    expect(groups).toHaveLength(2);
    expect(new Set(groups).size).toBe(2);
  });

  test("lets what is mounted below it reach a container that runs already", async () => {
    shareSandboxRoot(root);
    const container = await startContainer("slave");
    try {
      const target = join(root, "data");
      mkdirSync(target);
      mount(place.volume().content, target, null, MS.BIND);
      expect(container.sees(target)).toBe(true);
    } finally {
      await container.stop();
    }
  });
});
