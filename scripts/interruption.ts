import os from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `work`, which is told when somebody interrupts it and cleans up before it settles; then the process ends.
 * Only the first counts: npm hands on what the terminal has sent to everybody already.
 */
export async function interruptible(work: (interruption: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  let caught: NodeJS.Signals | undefined;
  const note = (signal: NodeJS.Signals): void => {
    caught ??= signal;
    controller.abort(new Error(`Interrupted by ${signal}`));
  };
  for (const signal of SIGNALS) process.on(signal, note);
  try {
    await work(controller.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, note);
    if (caught !== undefined) process.exit(128 + os.constants.signals[caught]);
  }
}
