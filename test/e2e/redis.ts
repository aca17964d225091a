import { once } from "node:events";
import { existsSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { type DataServer, type ServerPlace, ServerProcess } from "./data-server.ts";
import { run } from "./run.ts";

const SERVER = "/usr/bin/redis-server";

export const redisInstalled = existsSync(SERVER);

export class Redis implements DataServer {
  readonly #place: ServerPlace;
  readonly #socket: string;
  readonly #process = new ServerProcess();

  constructor(place: ServerPlace) {
    this.#place = place;
    this.#socket = path.join(place.runDir, "redis.sock");
  }

  initialise(): Promise<void> {
    return this.start();
  }

  async start(): Promise<void> {
    const options = ["--port", "0", "--unixsocket", this.#socket, "--unixsocketperm", "777"];
    // Every write reaches the disk before it is acknowledged.
    options.push("--appendonly", "yes", "--appendfsync", "always", "--save", "");
    const commandLine = this.#place.within([SERVER, "--dir", this.#place.data, ...options]);
    const answers = async (): Promise<boolean> => (await this.#ask("ping")) === "PONG";
    await this.#process.start(commandLine, path.join(this.#place.runDir, "redis.log"), answers);
  }

  async write(acknowledged: (row: number) => void): Promise<void> {
    const client = net.connect(this.#socket);
    await once(client, "connect");
    let row = 1;
    const set = (): boolean => client.write(`SET ${row} ${row}\r\n`);
    client.on("data", (answer: Buffer) => {
      if (answer.toString() !== "+OK\r\n") return void client.destroy(new Error(`Redis answered ${answer}`));
      acknowledged(row);
      row += 1;
      set();
    });
    set();
    await once(client, "close").catch(unlessReset);
  }

  async rows(): Promise<ReadonlySet<number>> {
    return new Set((await this.#ask("keys", "*")).split("\n").map(Number));
  }

  kill9(): Promise<void> {
    return this.#process.kill9();
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  #ask(...command: string[]): Promise<string> {
    return run("redis-cli", "-s", this.#socket, "--raw", ...command);
  }
}

/** A connection that the server's death reset has ended as it should. */
function unlessReset(cause: NodeJS.ErrnoException): void {
  if (cause.code !== "ECONNRESET" && cause.code !== "EPIPE") throw cause;
}
