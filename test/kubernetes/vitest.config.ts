import { defineConfig } from "vitest/config";

/** A real Kubernetes, apart from all other tests: it takes minutes, and is built first. */
export default defineConfig({
  root: `${import.meta.dirname}/../..`,
  test: {
    include: ["test/kubernetes/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 60_000,
  },
});
