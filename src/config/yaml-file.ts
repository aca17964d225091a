/** Reads a YAML file into plain values, refusing everything ambiguous. */
import { readFileSync } from "node:fs";
import { getSystemErrorMessage } from "node:util";
import { type Document, isNode, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { HoldfastError, messageOf } from "../domain/error.ts";

/** Aliases that expand to more than this are an attack or an accident. */
const ALIASES_MAX = 100;
/** The parser quotes what it read. */
const REASON_CHARACTERS_MAX = 300;

/**
 * The value of a YAML 1.2 file, `null` when it is empty.
 * @throws `invalid` when it cannot be read, is not UTF-8, breaks the syntax (with line and column), repeats a key or has
 * unknown tags
 */
export function readYamlFile(path: string): unknown {
  const text = readText(path);
  const lines = new LineCounter();
  const document = parse(path, text, lines);
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0]);
    throw unreadable(path, `line ${line}, column ${col}: ${fault.message}`, fault);
  }
  const at = findStrangeKey(document);
  if (at !== undefined) {
    const { line, col } = lines.linePos(at);
    throw unreadable(path, `line ${line}, column ${col}: a key is no text`);
  }
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    throw unreadable(path, messageOf(error), error);
  }
}

/**
 * Where a map, a list or an alias is a key; nothing here has such. They would be made text, and what they contain with
 * them, again and again: a few hundred in each other take hours.
 */
function findStrangeKey(document: Document): number | undefined {
  let at: number | undefined;
  visit(document, {
    Pair(_, { key }) {
      if (isScalar(key) || key === null) return undefined;
      at = isNode(key) ? (key.range?.[0] ?? 0) : 0;
      return visit.BREAK;
    },
  });
  return at;
}

/** Nesting that is too deep for the parser's stack is its only error that it throws. */
function parse(path: string, text: string, lineCounter: LineCounter): Document {
  try {
    return parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  } catch (error) {
    throw unreadable(path, messageOf(error), error);
  }
}

function readText(path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    throw unreadable(path, reasonOf(error), error);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof TypeError) return "it is not UTF-8 text";
  if (error instanceof Error && "errno" in error) return getSystemErrorMessage(Number(error.errno));
  return String(error);
}

function unreadable(path: string, reason: string, cause?: unknown): HoldfastError {
  const shown = reason.length > REASON_CHARACTERS_MAX ? `${reason.slice(0, REASON_CHARACTERS_MAX)}...` : reason;
  return new HoldfastError("invalid", `Cannot read the configuration ${path}: ${shown}`, { cause });
}
