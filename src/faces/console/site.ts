/**
 * The console as it is sent: one page, and files below an address that changes with their content. What the first view
 * needs is in the page itself where that is one module, its style, and what there is to show: each further request
 * would have to wait for the page, and the view for it.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { ConsoleFile } from "./files.ts";

/** What the page is told about where it is. */
export interface PageFacts {
  readonly hostname: string;
  readonly version: string;
  /** Who asks, `undefined` for anybody. */
  readonly principal: string | undefined;
  /** What the first view would ask for, at which address. */
  readonly first?: { readonly path: string; readonly answer: object } | undefined;
}

interface SiteFile {
  readonly type: string;
  readonly plain: Buffer;
  /** Zipped when it is first asked for. */
  zipped(): Buffer;
}

export interface Site {
  /** Changes with the content of any file. */
  readonly version: string;
  readonly files: ReadonlyMap<string, SiteFile>;
  /** Where a content security policy lets scripts and styles come from. */
  readonly sources: { readonly script: string; readonly style: string };
  page(facts: PageFacts): string;
}

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

export function makeSite(files: readonly ConsoleFile[]): Site {
  const digest = createHash("sha256");
  for (const { path, text } of files) digest.update(`${path}\0${text}\0`);
  const version = digest.digest("hex").slice(0, 16);
  const head = headOf(`/ui/${version}`, files);
  return {
    version,
    files: new Map(files.map((file) => [file.path, siteFile(file)])),
    sources: { script: sourceOf(head.script), style: sourceOf(head.style) },
    page: (facts) => page(head, facts),
  };
}

/** This one text in the page, or files where there is none; nothing else that might come into the page. */
function sourceOf(text: string | undefined): string {
  return text === undefined ? "'self'" : `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

function siteFile({ path, text }: ConsoleFile): SiteFile {
  const plain = Buffer.from(text);
  const type = TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  let zipped: Buffer | undefined;
  return {
    type,
    plain,
    zipped() {
      zipped ??= gzipSync(plain, { level: 9 });
      return zipped;
    },
  };
}

interface Head {
  /** What is in the page; `undefined` where it is linked. */
  readonly script: string | undefined;
  readonly style: string | undefined;
  readonly links: string;
  readonly icon: string;
}

/** Several modules cannot be in the page: then each is asked for at once, and not only when the one that imports it has come. */
function headOf(root: string, files: readonly ConsoleFile[]): Head {
  const modules = files.filter(({ path, isLater }) => path.endsWith(".js") && !isLater);
  const text = (path: string) => files.find((file) => file.path === path)?.text ?? "";
  const icon = `data:image/svg+xml,${encodeURIComponent(text("console/icon.svg"))}`;
  const [only, ...others] = modules.map((module) => module.text);
  if (only !== undefined && others.length === 0 && isPlain(only)) {
    return { script: only, style: text("console/style.css"), links: "", icon };
  }
  const links = [
    `<link rel="stylesheet" href="${root}/console/style.css">`,
    ...modules.map(({ path }) => `<link rel="modulepreload" href="${root}/${path}">`),
    `<script type="module" src="${root}/console/main.js"></script>`,
  ];
  return { script: undefined, style: undefined, links: links.join("\n"), icon };
}

/** Whether a page reads it to its end. */
function isPlain(script: string): boolean {
  return !/<\/script|<!--/i.test(script);
}

function page({ script, style, links, icon }: Head, { hostname, version, principal, first }: PageFacts): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(hostname)} · Holdfast</title>
<link rel="icon" href="${icon}">
${links}${style === undefined ? "" : `<style>${style}</style>`}
</head>
<body data-host="${escaped(hostname)}" data-version="${escaped(version)}" data-principal="${escaped(principal ?? "")}">
<noscript>This console needs JavaScript. The command "holdfast status" shows the same.</noscript>
${first === undefined ? "" : `<script type="application/json" id="first" data-path="${escaped(first.path)}">${inScript(first.answer)}</script>`}
${script === undefined ? "" : `<script type="module">${script}</script>`}
</body>
</html>
`;
}

/** No text of it can end the element that it is in. */
function inScript(answer: object): string {
  return JSON.stringify(answer).replaceAll("<", "\\u003c");
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}
