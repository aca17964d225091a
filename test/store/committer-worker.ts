/**
 * A process to be killed or to suffer faults: opens the checkpoint in the directory of its first argument, commits the
 * volumes 1, 2, 3, ... one after the other up to its second, soft if the third is "soft", and says what it was told,
 * one line for each.
 */
import { writeSync } from "node:fs";
import { codeOf, type HoldfastError } from "../../src/domain/error.ts";
import { openCheckpoint } from "../../src/store/checkpoint.ts";
import { SAMPLE_HEADER, setVolume } from "../contract/samples.ts";

/** How the process ends when the store gives up for good. */
const FATAL_STATUS = 70;

const [directory = "", count = "0", kind = "durable"] = process.argv.slice(2);
const ignore = () => undefined;
const store = openCheckpoint({
  directory,
  create: { header: SAMPLE_HEADER },
  ballastBytes: 0,
  onFatal: end,
  log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
});

try {
  await store.open();
} catch (error) {
  say(`refused ${codeOf(error)}`);
  process.exit(1);
}
say("opened");
for (let number = 1; number <= Number(count); number += 1) {
  try {
    await store.commit([setVolume(number)], { durable: kind === "durable" });
    say(`acknowledged ${number}`);
  } catch (error) {
    say(`rejected ${number} ${codeOf(error)}`);
    const { records } = await store.reload();
    say(`reloaded ${records.volumes.size}`);
  }
}
await store.close();
say("closed");

function end(error: HoldfastError): void {
  say(`fatal ${error.code}`);
  process.exit(FATAL_STATUS);
}

function say(line: string): void {
  writeSync(1, `${line}\n`);
}
