/** Lets work on the same subject run one after the other, and everything else in parallel. */
export class Serial {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work on `subject` is through, whatever became of it. */
  async run<T>(subject: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(subject);
    const mine = before === undefined ? work() : before.then(work, work);
    this.#tails.set(subject, mine);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(subject) === mine) this.#tails.delete(subject);
    }
  }
}
