/**
 * Makes the program as it is installed: `node scripts/bundle.ts [DIRECTORY]` (default `dist`) writes `main.js`, a file
 * for every thread, what they share, and the notices of every library inside. Short commands load only their part.
 * `koffi.node`, the one native part, is looked for beside them.
 */
import { globSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";
import { bundleConsole } from "./console.ts";

const ROOT = join(import.meta.dirname, "..");

/** What holds a library's terms, by name. */
const LICENCE_FILE = /^(licen[cs]e|copying|notice)/i;

export async function bundle(directory: string): Promise<void> {
  rmSync(directory, { recursive: true, force: true });
  const page = await bundleConsole();
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["src/main.ts", ...workers()],
    entryNames: "[name]",
    chunkNames: "part-[hash]",
    outdir: directory,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node26",
    // Not smaller than it reads: it starts as fast, and its stack traces can be followed.
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
    // Libraries that are CommonJS inside ask for Node's own modules with `require`.
    banner: {
      js: 'import{createRequire as $createRequire}from"node:module";const require=$createRequire(import.meta.url);',
    },
    plugins: [nativeBeside, consoleInside(page.files), workersBeside],
  });
  // Node looks here for the kind of a .js file.
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }\n');
  writeFileSync(join(directory, "NOTICES"), notices({ ...metafile.inputs, ...page.inputs }));
}

/** Threads are started by file, so each is an entry of its own. */
function workers(): string[] {
  return globSync("src/**/*-worker.ts", { cwd: ROOT }).sort();
}

/** The package looks for its native part in places that a bundle does not have. */
const nativeBeside: Plugin = {
  name: "native-beside",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^koffi$/ }, () => ({ path: "koffi", namespace: "native" }));
    onLoad({ filter: /^koffi$/, namespace: "native" }, () => ({
      contents: 'module.exports = require("./koffi.node")',
    }));
    onResolve({ filter: /^\.\/koffi\.node$/, namespace: "native" }, ({ path }) => ({ path, external: true }));
  },
};

/** `new URL("./mount-worker.ts", import.meta.url)` names a file that is called `.js` here. */
const workersBeside: Plugin = {
  name: "workers-beside",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => ({
      loader: "ts",
      contents: readFileSync(path, "utf8").replaceAll(/(new URL\("\.\/[\w-]+-worker)\.ts"/g, '$1.js"'),
    }));
  },
};

/** What a browser gets is made here, and not again on every node. */
const consoleInside = (files: readonly object[]): Plugin => ({
  name: "console-inside",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/faces\/console\/files\.ts$/ }, () => ({
      contents: `const files = ${JSON.stringify(files)};\nexport const consoleFiles = () => files;`,
    }));
  },
});

/** The terms of every package that has code in the bundle, and of Node, which lies beside it. */
function notices(inputs: Metafile["inputs"]): string {
  const packages = new Set(
    Object.keys(inputs).flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []),
  );
  const texts = [...packages, "node_modules/koffi"].sort().map((path) => notice(join(ROOT, path)));
  return `Holdfast contains these libraries, under these terms. Node.js has its own file beside its program.\n\n${texts.join("\n")}`;
}

function notice(directory: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  const files = readdirSync(directory).filter((file) => LICENCE_FILE.test(file));
  const terms = files.map((file) => readFileSync(join(directory, file), "utf8").trim()).join("\n\n");
  return `${"=".repeat(80)}\n${name} ${version} (${license})\n\n${terms}\n`;
}

if (import.meta.main) await bundle(resolve(process.argv[2] ?? "dist"));
