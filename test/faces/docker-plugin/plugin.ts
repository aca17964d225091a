/** The volume plugin over any engine, on a socket in a temporary directory, asked as Docker asks. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MilliMb, Role } from "../../../src/domain/units.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { type DockerPluginOptions, startDockerPlugin } from "../../../src/faces/docker-plugin/server.ts";
import { createMemoryLog, type MemoryLog } from "../../auth/memory-log.ts";
import { type Answer, ask } from "../ask.ts";

interface Reply {
  readonly status: number;
  /** The body, whose `Err` every refusal has. */
  readonly json: Record<string, unknown> & { readonly Err?: string };
  readonly headers: Answer["headers"];
}

export interface Plugin {
  readonly where: { readonly socketPath: string };
  readonly log: MemoryLog;
  /** Calls `VolumeDriver.NAME`; a text or no body is sent as it is. */
  call(name: string, body?: unknown): Promise<Reply>;
  /** As `call`, to any address. */
  post(path: string, body?: string | Buffer, headers?: Readonly<Record<string, string>>): Promise<Reply>;
  close(): Promise<void>;
}

export async function openPlugin(engine: Engine, options: Partial<DockerPluginOptions> = {}): Promise<Plugin> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-docker-"));
  const socketPath = join(directory, "plugins", "holdfast.sock");
  const log = createMemoryLog();
  const plugin = await startDockerPlugin({
    engine,
    path: socketPath,
    role: "docker" as Role,
    defaultSize: undefined,
    log,
    peer: () => ({ uid: 0, name: "root" }),
    ...options,
  });
  const post: Plugin["post"] = async (path, body, headers = {}) => {
    const answer = await ask({ socketPath }, path, {
      method: "POST",
      headers: { host: "plugin", ...headers },
      ...(body === undefined ? {} : { body }),
    });
    return { status: answer.status, headers: answer.headers, json: JSON.parse(answer.text) };
  };
  return {
    where: { socketPath },
    log,
    post,
    call: (name, body) =>
      post(`/VolumeDriver.${name}`, typeof body === "object" ? JSON.stringify(body) : (body as string | undefined)),
    close: async () => {
      await plugin.close();
      rmSync(directory, { recursive: true });
    },
  };
}

export const mb = (size: number): MilliMb => (size * 1000) as MilliMb;
