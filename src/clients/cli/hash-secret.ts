import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { HoldfastError } from "../../domain/error.ts";
import { addExamples, type CommandContext, type Configure } from "./command.ts";

/** Hashes a secret into what a credentials file takes in its place. */
export type HashSecret = (secret: string) => string | Promise<string>;

/** The command is handed the hash function, because a client knows nothing of how the daemon checks secrets. */
export function hashSecretCommand(hash: HashSecret): Configure {
  return (command, context) => {
    command
      .description("Reads a secret from stdin (a terminal does not show it) and prints it hashed, for --credentials.")
      .action(() => hashSecret(hash, context));
    addExamples(command, "holdfast hash-secret", "holdfast hash-secret < secret.txt");
  };
}

async function hashSecret(hash: HashSecret, context: CommandContext): Promise<void> {
  const secret = await readSecret();
  if (secret === "") throw new HoldfastError("invalid", "Cannot hash the secret: it is empty");
  context.print(await hash(secret));
}

/** The first line of stdin; on a terminal with a prompt on stderr and without echo. */
async function readSecret(): Promise<string> {
  const { stdin, stderr } = process;
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: silent, terminal: stdin.isTTY });
  lines.on("SIGINT", () => lines.close());
  if (stdin.isTTY) stderr.write("Secret: ");
  try {
    for await (const line of lines) return line;
    return "";
  } finally {
    lines.close();
    if (stdin.isTTY) stderr.write("\n");
  }
}
