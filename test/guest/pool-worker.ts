/** The guest's side of the pool: runs test files, told to by the messages that come in. Descriptor 3 takes the answers. */
import { writeSync } from "node:fs";
import { init, runBaseTests, setupEnvironment } from "vitest/worker";
import { frame, unframe } from "./frames.ts";

const ANSWERS = 3;

const takers = new Set<(message: unknown) => void>();

process.stdin.on(
  "data",
  unframe((message) => {
    for (const take of takers) take(message);
  }),
);

init({
  post: (message) => answer(frame(message)),
  on: (take) => takers.add(take),
  off: (take) => takers.delete(take),
  setup: setupEnvironment,
  runTests: (state, traces) => runBaseTests("run", state, traces),
  collectTests: (state, traces) => runBaseTests("collect", state, traces),
});

function answer(bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(ANSWERS, bytes, written);
}
