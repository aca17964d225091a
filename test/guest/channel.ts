/** One serial port of a guest, as `agent.sh` speaks there: one command at a time. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { StringDecoder } from "node:string_decoder";

/** How a command in a guest ended, and what it printed on both its outputs. */
export interface GuestOutcome {
  readonly exitCode: number;
  readonly output: string;
}

export interface Running {
  /** Never settles when the guest ends first. */
  readonly outcome: Promise<GuestOutcome>;
  /** What it has printed so far. */
  readonly output: () => string;
}

const END_LENGTH_MAX = 64;

export class Channel {
  readonly #socket: Socket;
  readonly #decoder = new StringDecoder();
  #take: (text: string) => void;
  /** Resolves when the agent is there. */
  readonly ready: Promise<void>;

  constructor(socket: Socket) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#take = () => resolve();
    this.#socket = socket;
    socket.on("data", (chunk) => this.#take(this.#decoder.write(chunk as Buffer)));
    // That the guest has ended is told by the program that runs it.
    socket.on("error", () => undefined);
  }

  /** Starts a shell script. `onLine` gets each line that it prints, as it comes. */
  start(script: string, onLine: (line: string) => void = () => undefined): Running {
    const word = randomBytes(8).toString("hex");
    const { promise, resolve } = Promise.withResolvers<GuestOutcome>();
    const begin = `${word} begin\n`;
    const end = new RegExp(`\n${word} end (\\d+)\n$`);
    let text = "";
    let told = 0;
    const outputFrom = (): number => (text.startsWith(begin) ? 0 : text.indexOf(`\n${begin}`) + 1) + begin.length;
    this.#take = (more) => {
      text += more;
      const ended = end.exec(text.slice(-END_LENGTH_MAX));
      for (let at = text.indexOf("\n", told); at >= 0; at = text.indexOf("\n", told)) {
        const line = text.slice(told, at);
        told = at + 1;
        if (!line.startsWith(word)) onLine(line);
      }
      if (ended !== null) resolve({ exitCode: Number(ended[1]), output: text.slice(outputFrom(), -ended[0].length) });
    };
    this.#socket.write(`${word} ${Buffer.from(script).toString("base64")}\n`);
    return { outcome: promise, output: () => text.slice(outputFrom()) };
  }
}
