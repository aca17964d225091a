/** A worker process that may crash or hang, and says where it is in lines of JSON: either would be a finding. */
import { execa } from "execa";

export interface Watched {
  readonly script: string;
  readonly args: readonly string[];
  /** It says something at least as often. */
  readonly silenceMsMax: number;
  /** Whether to end it; asked whenever it says something. */
  readonly isOver: () => boolean;
}

const SAID_CHARACTERS = 1_000;

/** Passes on what it says. @returns how it ended, other than well or by us: `it ends by SIGSEGV: ...` */
export async function watch<Line>(
  { script, args, silenceMsMax, isOver }: Watched,
  heard: (line: Line) => void,
): Promise<string | undefined> {
  const options = { buffer: { stdout: false }, stdin: "ignore", reject: false } as const;
  const worker = execa(process.execPath, [script, ...args], options);
  let hangs = false;
  let timely = false;
  const silence = setTimeout(() => {
    hangs = true;
    worker.kill("SIGKILL");
  }, silenceMsMax);
  try {
    for await (const line of worker) {
      silence.refresh();
      heard(JSON.parse(line) as Line);
      timely = isOver();
      if (timely) break;
    }
  } finally {
    clearTimeout(silence);
    worker.kill("SIGKILL");
  }
  const { exitCode, signal, stderr } = await worker;
  if (timely || exitCode === 0) return undefined;
  return hangs
    ? `it is silent for ${silenceMsMax} ms`
    : `it ends by ${signal ?? `status ${exitCode}`}: ${stderr.slice(-SAID_CHARACTERS)}`;
}
