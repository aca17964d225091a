import { globSync } from "node:fs";
import path from "node:path";
import { execa } from "execa";
import { type DataServer, type ServerPlace, ServerProcess } from "./data-server.ts";
import { run } from "./run.ts";

/** Debian's newest; `undefined` where it is not installed. */
export const postgresBin = globSync("/usr/lib/postgresql/*/bin").sort().at(-1);

export class Postgres implements DataServer {
  readonly #place: ServerPlace;
  readonly #process = new ServerProcess();

  constructor(place: ServerPlace) {
    this.#place = place;
  }

  async initialise(): Promise<void> {
    const options = [`--pgdata=${this.#place.data}`, "--auth=trust", "--username=postgres", "--no-locale"];
    await run(...this.#place.within([program("initdb"), "--no-instructions", ...options]));
    await this.start();
    await this.#query("create table row (number integer primary key)");
  }

  async start(): Promise<void> {
    const options = ["-D", this.#place.data, "-k", this.#place.runDir, "-c", "listen_addresses="];
    // Shared memory of the system would outlive a kill.
    options.push("-c", "dynamic_shared_memory_type=mmap");
    const commandLine = this.#place.within([program("postgres"), ...options]);
    const answers = async (): Promise<boolean> => (await this.#query("select 1")) === "1";
    await this.#process.start(commandLine, path.join(this.#place.runDir, "postgres.log"), answers);
  }

  async write(acknowledged: (row: number) => void): Promise<void> {
    const client = execa(program("psql"), this.#client(), { reject: false, buffer: false });
    const insert = (row: number): void => {
      client.stdin.write(`insert into row values (${row}) returning number;\n`);
    };
    insert(1);
    for await (const line of client.iterable()) {
      acknowledged(Number(line));
      insert(Number(line) + 1);
    }
  }

  async rows(): Promise<ReadonlySet<number>> {
    return new Set((await this.#query("select number from row")).split("\n").map(Number));
  }

  kill9(): Promise<void> {
    return this.#process.kill9();
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  #query(sql: string): Promise<string> {
    return run(program("psql"), ...this.#client(), "--command", sql);
  }

  #client(): string[] {
    return [
      "--no-psqlrc",
      "--quiet",
      "--tuples-only",
      "--no-align",
      "--username=postgres",
      "--host",
      this.#place.runDir,
    ];
  }
}

function program(name: string): string {
  if (postgresBin === undefined) throw new Error("PostgreSQL is missing: run scripts/test-setup as root");
  return path.join(postgresBin, name);
}
