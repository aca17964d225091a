/** The tests that need a guest, as a project of the test run: after all others, for they take both processors. */
import { guestPool } from "./pool.ts";
import { whyNoGuest } from "./wanted.ts";

export const guestProject = {
  test: {
    name: "guest",
    include: whyNoGuest === undefined ? ["test/guest/suites/**/*.test.ts"] : [],
    pool: guestPool,
    isolate: false,
    fileParallelism: false,
    sequence: { groupOrder: 1 },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
};
