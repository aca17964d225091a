/**
 * The console as it is installed: what `src/faces/console/files.ts` has, its modules in one file, because each costs a
 * browser a request.
 */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build, type Metafile, transform } from "esbuild";
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
  const style = await transform(source("style.css"), { loader: "css", minify: true, target: "es2024" });
  const others = [
    { path: `${FOLDER}/style.css`, text: style.code.trim(), isLater: false },
    { path: `${FOLDER}/icon.svg`, text: source("icon.svg"), isLater: false },
  ];
  return { files: [...scripts, ...others], inputs: metafile.inputs };
}

function source(name: string): string {
  return readFileSync(join(ROOT, "src/console", name), "utf8");
}
