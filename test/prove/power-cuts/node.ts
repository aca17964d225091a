/** A node whose power is cut: a guest with one disk, again and again, and the ledger of all that it has acknowledged. */
import { setTimeout as sleep } from "node:timers/promises";
import { bootGuest, type Guest } from "../../guest/guest.ts";
import { type FileSystem, makeDataDisk } from "./images.ts";
import { type Facts, Ledger } from "./ledger.ts";
import type { Life, Line } from "./lines.ts";

/**
 * When the power is cut: so long after it came, the daemon has said what is there, or clients began to work and heard of
 * so many operations that they are done.
 */
export interface Cut {
  readonly since: "boot" | "found" | "working";
  readonly operations: number;
  readonly afterMs: number;
}

/** What was seen of one life. */
export interface Seen {
  /** Whatever may not be. */
  readonly faults: readonly string[];
  /** What was acknowledged in earlier lives and is not so; of `faults`, too. */
  readonly losses: readonly string[];
  readonly acknowledged: number;
  readonly refused: number;
  readonly isWorking: boolean;
  /** Whether the daemon had come up with what was left by the cut before. */
  readonly isJudged: boolean;
}

/** A quiet machine needs a tenth of it. */
const LIFE_MS_MAX = 300_000;
/** What it said last is read after it is gone. */
const LATE_MS = 50;
/** Nobody waits longer for operations. */
const WORK_MS_MAX = 15_000;
const OUTPUT_CHARACTERS = 2_000;

export class Node {
  readonly fileSystem: FileSystem;
  readonly #image: string;
  readonly #programs: string;
  readonly #ledger = new Ledger();

  private constructor(fileSystem: FileSystem, image: string, programs: string) {
    this.fileSystem = fileSystem;
    this.#image = image;
    this.#programs = programs;
  }

  static async make(fileSystem: FileSystem, image: string, programs: string): Promise<Node> {
    await makeDataDisk(image, fileSystem);
    return new Node(fileSystem, image, programs);
  }

  /** From the power's coming to its going. */
  async live(life: Life, cut: Cut): Promise<Seen> {
    const guest = await bootGuest({ disks: [this.#image, this.#programs] });
    try {
      const hearing = new Hearing(this.#ledger);
      let isCut = false;
      const end = this.#run(guest, life, hearing).then((output) => {
        if (!isCut) hearing.fault(`it ends by itself: ${output.slice(-OUTPUT_CHARACTERS)}`);
      });
      if (cut.since !== "boot") await Promise.race([hearing[cut.since], end]);
      if (cut.operations > 0) await Promise.race([hearing.acknowledged(cut.operations), sleep(WORK_MS_MAX), end]);
      await Promise.race([sleep(cut.afterMs), end]);
      isCut = true;
      await guest.kill();
      await sleep(LATE_MS);
      return hearing.seen;
    } finally {
      await guest.kill();
    }
  }

  /** Resolves with what it said when it ends before the guest does. */
  async #run(guest: Guest, life: Life, hearing: Hearing): Promise<string> {
    const mounts = `mkdir /data /programs && mount -t ${this.fileSystem} /dev/vda /data && mount -o ro /dev/vdb /programs`;
    // A life is short, and making machine code is dear on an emulated processor.
    const program = `exec /programs/node --jitless /programs/guest-worker.js '${JSON.stringify(life)}'`;
    const onLine = (line: string) => hearing.hear(line);
    try {
      const { output } = await guest.run(`${mounts} && ${program}`, { timeoutMs: LIFE_MS_MAX, onLine });
      return output;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

class Hearing {
  readonly #ledger: Ledger;
  readonly #faults: string[] = [];
  readonly #losses: string[] = [];
  readonly #found = Promise.withResolvers<void>();
  readonly #working = Promise.withResolvers<void>();
  readonly #enough = Promise.withResolvers<void>();
  #wanted = Number.POSITIVE_INFINITY;
  #acknowledged = 0;
  #refused = 0;
  #isWorking = false;
  #looks = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  get found(): Promise<void> {
    return this.#found.promise;
  }

  get working(): Promise<void> {
    return this.#working.promise;
  }

  /** Resolves when so many operations of this life were. */
  acknowledged(count: number): Promise<void> {
    this.#wanted = count;
    if (this.#acknowledged >= count) this.#enough.resolve();
    return this.#enough.promise;
  }

  get seen(): Seen {
    return {
      faults: [...this.#losses, ...this.#faults],
      losses: this.#losses,
      acknowledged: this.#acknowledged,
      refused: this.#refused,
      isWorking: this.#isWorking,
      isJudged: this.#looks > 0,
    };
  }

  fault(fault: string): void {
    this.#faults.push(fault);
  }

  /** The last line before the power goes may be half of one. */
  hear(text: string): void {
    if (!text.startsWith('{"is":') || !text.endsWith("}")) return;
    const line = JSON.parse(text) as Line;
    switch (line.is) {
      case "found":
        this.#judge(new Map(line.facts), line.faults);
        break;
      case "doctor":
        this.#faults.push(...line.faults);
        break;
      case "working":
        this.#isWorking = true;
        this.#working.resolve();
        break;
      case "wish":
        this.#ledger.wish(line.wish);
        break;
      case "acknowledged":
        this.#ledger.acknowledge(line.client);
        this.#acknowledged += 1;
        if (this.#acknowledged >= this.#wanted) this.#enough.resolve();
        break;
      case "refused":
        this.#refused += 1;
        this.#ledger.refuse(line.client);
        break;
      case "fault":
        this.#faults.push(line.fault);
        break;
    }
  }

  #judge(facts: Facts, faults: readonly string[]): void {
    this.#looks += 1;
    const when = this.#looks === 1 ? "" : "after another start: ";
    this.#losses.push(...this.#ledger.judge(facts).map((loss) => `${when}${loss}`));
    this.#faults.push(...faults.map((fault) => `${when}${fault}`));
    this.#ledger.believe(facts);
    this.#found.resolve();
  }
}
