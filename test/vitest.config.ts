import { defineConfig } from "vitest/config";
import { counts } from "./counts.ts";
import { guestProject } from "./guest/project.ts";
import { apart } from "./support/apart-pool.ts";

export default defineConfig({
  root: `${import.meta.dirname}/..`,
  test: {
    reporters: ["default", counts],
    projects: [
      {
        test: {
          name: "host",
          include: ["test/**/*.test.ts"],
          exclude: ["test/guest/suites/**", "test/kubernetes/**", "test/prove/*.test.ts"],
          ...apart,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          // A kernel that is busy elsewhere takes its time to let go of a namespace.
          expect: { poll: { timeout: 10_000 } },
        },
      },
      guestProject,
      {
        test: {
          name: "prove",
          include: ["test/prove/*.test.ts"],
          ...apart,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
