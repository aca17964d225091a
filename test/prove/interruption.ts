/** What leaves nothing behind also when somebody interrupts it. */

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs `work`, which ends soon after it is told of an interruption; then the signal is let through. */
export async function interruptible<T>(work: (isInterrupted: () => boolean) => Promise<T>): Promise<T> {
  let caught: NodeJS.Signals | undefined;
  const note = (signal: NodeJS.Signals) => {
    caught = signal;
  };
  for (const signal of SIGNALS) process.on(signal, note);
  try {
    return await work(() => caught !== undefined);
  } finally {
    for (const signal of SIGNALS) process.off(signal, note);
    if (caught !== undefined) process.kill(process.pid, caught);
  }
}
