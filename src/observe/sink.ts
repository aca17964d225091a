/**
 * Writes log lines to a descriptor without ever waiting for its reader. A full pipe or socket leaves lines in a bounded
 * buffer; what does not fit is dropped and counted, and a line says so once there is room again.
 *
 * Pino's own destination is not used: its synchronous flush repeats a failing write for ever when the reader is gone or
 * the disk is full, and its asynchronous writes occupy a thread that other file operations need.
 */
import { writeSync } from "node:fs";

export interface Sink {
  write(line: string): void;
  /** Hands over what the reader takes at once; never waits. */
  push(): void;
  /** Hands over everything, waiting for the reader a fifth of a second at most: before the process ends. */
  flush(): void;
  /** Lines that nobody will read. */
  readonly dropped: number;
}

export interface SinkOptions {
  /** Not blocking, where it is a pipe or a socket. */
  readonly fd: number;
  /** The line that tells of dropped ones, with its newline. */
  readonly notice: (dropped: number) => string;
  readonly bufferBytesMax?: number;
  /** `fs.writeSync`, or a test's. */
  readonly write?: (fd: number, bytes: Uint8Array) => number;
}

const BUFFER_BYTES_MAX = 1024 * 1024;
/** So many bytes are pushed at once; fewer wait for company. */
const BATCH_BYTES = 4096;
const BATCH_MS = 100;
const RETRY_MS = 10;
const FLUSH_MS_MAX = 200;
const FLUSH_STEP_MS = 5;

const NOTHING = Buffer.alloc(0);

export function createSink({ fd, notice, bufferBytesMax = BUFFER_BYTES_MAX, write = writeSync }: SinkOptions): Sink {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  let unreported = 0;
  let timer: NodeJS.Timeout | undefined;
  /** The reader took nothing the last time: only the timer tries again. */
  let stuck = false;

  function hold(bytes: Buffer): void {
    waiting = [bytes];
    waitingBytes = bytes.length;
  }

  function add(line: Buffer): void {
    waiting.push(line);
    waitingBytes += line.length;
  }

  function drop(lines: number): void {
    dropped += lines;
    unreported += lines;
  }

  function report(): void {
    if (unreported > 0) add(Buffer.from(notice(unreported)));
    unreported = 0;
  }

  function drain(): void {
    stuck = false;
    while (waitingBytes > 0 && !stuck) {
      const batch = Buffer.concat(waiting);
      try {
        hold(batch.subarray(write(fd, batch)));
      } catch (error) {
        stuck = isFull(error);
        hold(stuck ? batch : NOTHING);
        // A reader that is gone or a full disk will not take it later either.
        if (!stuck) drop(lineCount(batch));
      }
    }
  }

  function attempt(): void {
    clearTimeout(timer);
    timer = undefined;
    drain();
    if (stuck) schedule(RETRY_MS);
  }

  function schedule(delayMs: number): void {
    timer ??= setTimeout(attempt, delayMs).unref();
  }

  function push(): void {
    if (!stuck) attempt();
  }

  return {
    get dropped() {
      return dropped;
    },
    write(text) {
      const line = Buffer.from(text);
      // After a loss a quarter of the buffer must be free again, so that what is missing is one gap and not many.
      const room = unreported > 0 ? bufferBytesMax * 0.75 : bufferBytesMax;
      if (waitingBytes + line.length > room) return drop(1);
      report();
      add(line);
      if (waitingBytes >= BATCH_BYTES) push();
      else schedule(BATCH_MS);
    },
    push,
    flush() {
      const deadline = performance.now() + FLUSH_MS_MAX;
      for (drain(); stuck && performance.now() < deadline; drain()) pause(FLUSH_STEP_MS);
    },
  };
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}

function lineCount(batch: Buffer): number {
  let count = 0;
  for (let at = batch.indexOf(10); at >= 0; at = batch.indexOf(10, at + 1)) count += 1;
  return count;
}

function pause(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}
