/**
 * The console as it is installed: what `src/faces/console/files.ts` has, its modules in one file, because each costs a
 * browser a request.
 */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build, type Metafile } from "esbuild";
import type { ConsoleFile } from "../src/faces/console/files.ts";

const ROOT = join(import.meta.dirname, "..");
const FOLDER = "console";

export interface BundledConsole {
  readonly files: readonly ConsoleFile[];
  /** What is in them, by path. */
  readonly inputs: Metafile["inputs"];
}

export async function bundleConsole(): Promise<BundledConsole> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["src/console/main.ts"],
    outdir: FOLDER,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2024",
    legalComments: "none",
    write: false,
    metafile: true,
    logLevel: "warning",
  });
  const scripts = outputFiles.map(({ path, text }) => ({ path: `${FOLDER}/${basename(path)}`, text, isLater: false }));
  const others = ["style.css", "icon.svg"].map((name) => ({
    path: `${FOLDER}/${name}`,
    text: readFileSync(join(ROOT, "src/console", name), "utf8"),
    isLater: false,
  }));
  return { files: [...scripts, ...others], inputs: metafile.inputs };
}
