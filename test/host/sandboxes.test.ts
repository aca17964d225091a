import { describe } from "vitest";
import { sandboxesContract } from "../contract/sandboxes.ts";
import { mayMount } from "../e2e/privileges.ts";
import { memorySandboxesWorld, realSandboxesWorld } from "../support/sandboxes-worlds.ts";

sandboxesContract("in memory", memorySandboxesWorld);

describe.runIf(mayMount)("as root", () => {
  sandboxesContract("on Linux", realSandboxesWorld);
});
