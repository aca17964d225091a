/**
 * What mounting promises, where the kernel does not tell of a mount by an id that is never used again: before Linux 6.8,
 * and where a system call filter forbids to ask.
 */
import { expect, test } from "vitest";
import { AT, statx } from "../../src/host/syscalls.ts";
import { mayMount } from "../e2e/privileges.ts";
import { becomeOlderKernel } from "../support/older-kernel.ts";

if (mayMount) {
  becomeOlderKernel();
  test("mounts are known by the ids of their tables", () => {
    expect(statx(AT.FDCWD, "/", 0).mountIdUnique).toBe(false);
  });
  await import("./bind-mounter.test.ts");
  await import("./bind-mounter-propagation.test.ts");
  await import("./container-mounter.test.ts");
  await import("./container-users.test.ts");
  await import("./mountpoint-elsewhere.test.ts");
  await import("../host/mounter.test.ts");
}
