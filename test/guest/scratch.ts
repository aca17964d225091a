/** A directory for what must not outlive the tests, also when they end early. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

export interface Scratch {
  readonly path: string;
  remove(): void;
}

export function makeScratch(name: string, parent = os.tmpdir()): Scratch {
  const directory = mkdtempSync(path.join(realpathSync(parent), `holdfast-${name}-`));
  const remove = (): void => {
    process.off("exit", remove);
    rmSync(directory, { recursive: true, force: true });
  };
  process.once("exit", remove);
  return { path: directory, remove };
}
