/**
 * The journal, where stderr leads there. An entry is one datagram to its socket, which the service manager keeps open while
 * the journal restarts: it is handed over when the call returns, and nothing waits for a reader.
 */
import { fstatSync } from "node:fs";
import { sendDatagram } from "./syscalls.ts";

const SOCKET = "/run/systemd/journal/socket";
const STDERR = 2;

/** Hands an entry over. @throws `SystemCallError` when it is not taken: the journal is busy, gone, or the entry too long */
type SendEntry = (entry: Buffer) => void;

/**
 * `undefined` unless stderr is the journal's. `$JOURNAL_STREAM` is inherited by children whose stderr is something
 * else, so what it names is compared.
 */
export function openJournal(
  environment: Readonly<Record<string, string | undefined>>,
  { stderr = STDERR, socket = SOCKET }: { readonly stderr?: number; readonly socket?: string } = {},
): SendEntry | undefined {
  const stream = environment["JOURNAL_STREAM"];
  if (stream === undefined || stream !== streamOf(stderr)) return undefined;
  return (entry) => sendDatagram(socket, entry);
}

/** Device and inode; `undefined` when it is closed. */
function streamOf(fd: number): string | undefined {
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
