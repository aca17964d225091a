/**
 * The log: one JSON line an event, on stderr. Lines may wait a tenth of a second for company; warnings and errors, and
 * whatever waits with them, are handed over at once. `flush` is for the end of the process.
 *
 * Under the journal an event is an entry with its fields instead, handed over at once. What the journal does not take
 * goes to stderr, which it reads too, as a JSON line with the priority before it.
 */
import { type DestinationStream, pino, stdTimeFunctions } from "pino";
import type { Log } from "../ports/log.ts";
import { journalEntry, PRIORITY } from "./journal-entry.ts";
import { cut, presentable } from "./presentable.ts";
import { createSink, type Sink } from "./sink.ts";

export type LogLevel = keyof Log;

export interface LogOptions {
  /** The least level that is written. */
  readonly level: LogLevel;
  /** Takes the lines instead of stderr. */
  readonly destination?: DestinationStream;
  /** Takes an entry in the journal's own protocol, or throws. */
  readonly journal?: ((entry: Buffer) => void) | undefined;
}

export interface FlushableLog extends Log {
  /** Hands over everything, in a fifth of a second at most: for fatal handlers. At exit it happens by itself. */
  flush(): void;
  /** Lines that were lost because nobody read them. */
  readonly dropped: number;
}

export function createLog({ level, destination, journal }: LogOptions): FlushableLog {
  const sink = destination === undefined ? stderrSink(journal !== undefined) : unbuffered(destination);
  let prefix = "";
  const logger = pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    { write: (line) => sink.write(prefix + line) },
  );

  function emit(at: LogLevel, fields: object, message: string): void {
    if (!logger.isLevelEnabled(at)) return;
    const [shown, text] = [presentable(fields), cut(message)];
    if (journal !== undefined) {
      if (isTaken(journal, journalEntry(at, shown, text))) return;
      prefix = prefixOf(at);
    }
    logger[at](shown, text);
    if (at === "warn" || at === "error") sink.push();
  }

  return {
    debug: (fields, message) => emit("debug", fields, message),
    info: (fields, message) => emit("info", fields, message),
    warn: (fields, message) => emit("warn", fields, message),
    error: (fields, message) => emit("error", fields, message),
    flush: () => sink.flush(),
    get dropped() {
      return sink.dropped;
    },
  };
}

function isTaken(journal: (entry: Buffer) => void, entry: Buffer): boolean {
  try {
    journal(entry);
    return true;
  } catch {
    return false;
  }
}

/** By which the journal knows the priority of a line. */
function prefixOf(level: LogLevel): string {
  return `<${PRIORITY[level]}>`;
}

function stderrSink(isJournal: boolean): Sink {
  // Opening process.stderr is what makes a pipe or socket non-blocking; Node puts it back at exit.
  const sink = createSink({
    fd: process.stderr.fd,
    notice: (dropped) => (isJournal ? prefixOf("warn") : "") + droppedLine(dropped),
  });
  process.prependListener("exit", () => sink.flush());
  return sink;
}

function droppedLine(dropped: number): string {
  const line = { level: "warn", time: new Date().toISOString(), dropped, msg: "Dropped log lines that nobody read" };
  return `${JSON.stringify(line)}\n`;
}

function unbuffered(destination: DestinationStream): Sink {
  return { write: (line) => destination.write(line), push() {}, flush() {}, dropped: 0 };
}
