/** The console as it is sent: one page, and files below an address that changes with their content. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { ConsoleFile } from "./files.ts";

/** What the page is told about where it is. */
export interface PageFacts {
  readonly hostname: string;
  readonly version: string;
  /** Who asks, `undefined` for anybody. */
  readonly principal: string | undefined;
}

interface SiteFile {
  readonly type: string;
  readonly plain: Buffer;
  readonly zipped: Buffer;
}

export interface Site {
  /** Changes with the content of any file. */
  readonly version: string;
  readonly files: ReadonlyMap<string, SiteFile>;
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
  return {
    version,
    files: new Map(files.map((file) => [file.path, siteFile(file)])),
    page: (facts) => page(`/ui/${version}`, files, facts),
  };
}

function siteFile({ path, text }: ConsoleFile): SiteFile {
  const plain = Buffer.from(text);
  const type = TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  return { type, plain, zipped: gzipSync(plain, { level: 9 }) };
}

/** Every module of the first page is asked for at once, and not only when the one that imports it has come. */
function page(root: string, files: readonly ConsoleFile[], { hostname, version, principal }: PageFacts): string {
  const modules = files.filter(({ path, isLater }) => path.endsWith(".js") && !isLater);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(hostname)} · Holdfast</title>
<link rel="icon" href="${root}/console/icon.svg">
<link rel="stylesheet" href="${root}/console/style.css">
${modules.map(({ path }) => `<link rel="modulepreload" href="${root}/${path}">`).join("\n")}
<script type="module" src="${root}/console/main.js"></script>
</head>
<body data-host="${escaped(hostname)}" data-version="${escaped(version)}" data-principal="${escaped(principal ?? "")}">
<noscript>This console needs JavaScript. The command "holdfast status" shows the same.</noscript>
</body>
</html>
`;
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
