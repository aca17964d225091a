/**
 * The console's files as a browser takes them: what `src/console/main.ts` imports, types taken out, and lit-html as its
 * package has it. Nothing is built beforehand; an installed program carries the answer of this function in its place.
 */
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { posix } from "node:path";

export interface ConsoleFile {
  /** Below the place where all of them are served: `console/main.js`. */
  readonly path: string;
  readonly text: string;
  /** Only some pages need it: it is not loaded before somebody goes there. */
  readonly isLater: boolean;
}

const SOURCES = new URL("../../", import.meta.url);
const LIBRARY = new URL("../../../node_modules/lit-html/", import.meta.url);
const LIBRARY_NAME = "lit-html";

/** In stripped and in minified modules alike; what is called is loaded later. */
const IMPORT = /(\b(?:from|import)\s*)(\(?)"([^"]+)"/g;

/** Modules first, in the order in which they are found. @throws what is missing or no TypeScript */
export function consoleFiles(): readonly ConsoleFile[] {
  const first = new Map<string, Module>();
  follow(["console/main.js"], first);
  const later = new Map(first);
  follow(
    [...first.values()].flatMap((module) => module.later),
    later,
  );
  return [
    ...[...later].map(([path, { text }]) => ({ path, text, isLater: !first.has(path) })),
    ...["console/style.css", "console/icon.svg"].map((path) => ({ path, text: readSource(path), isLater: false })),
  ];
}

interface Module {
  readonly text: string;
  readonly imports: readonly string[];
  readonly later: readonly string[];
}

/** Adds modules and all that they import to those that are known. */
function follow(paths: readonly string[], known: Map<string, Module>): void {
  for (const path of paths) {
    if (known.has(path)) continue;
    const module = linked(readModule(path), path);
    known.set(path, module);
    follow(module.imports, known);
  }
}

function readModule(path: string): string {
  if (path.startsWith(`${LIBRARY_NAME}/`)) {
    return readFileSync(new URL(path.slice(LIBRARY_NAME.length + 1), LIBRARY), "utf8").replace(
      /\n\/\/# source.*\n?$/,
      "\n",
    );
  }
  return withoutTypes(readSource(path.replace(/\.js$/, ".ts")));
}

function readSource(path: string): string {
  return readFileSync(new URL(path, SOURCES), "utf8");
}

/** Types leave blanks behind, so that places in the code stay what they were; a browser need not load them. */
function withoutTypes(source: string): string {
  return quietly(() => stripTypeScriptTypes(source))
    .replace(/[ \t]+$/gm, "")
    .replace(/\n{2,}/g, "\n");
}

/** Node calls this function experimental, and runs all of Holdfast's source through it. */
function quietly<T>(work: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return work();
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** The module with its imports as addresses, and what they are. */
function linked(source: string, path: string): Module {
  const imports: string[] = [];
  const later: string[] = [];
  const folder = posix.dirname(path);
  const text = source.replace(IMPORT, (_all, before: string, call: string, specifier: string) => {
    const target = specifier.startsWith(".")
      ? posix.join(folder, specifier.replace(/\.ts$/, ".js"))
      : inLibrary(specifier);
    (call === "" ? imports : later).push(target);
    const address = posix.relative(folder, target);
    return `${before}${call}"${address.startsWith(".") ? address : `./${address}`}"`;
  });
  return { text, imports, later };
}

function inLibrary(specifier: string): string {
  return specifier === LIBRARY_NAME ? `${LIBRARY_NAME}/lit-html.js` : specifier;
}
