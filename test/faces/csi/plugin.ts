/** CSI over any engine, on a socket in a temporary directory, asked as a cluster asks. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MilliMb, Role } from "../../../src/domain/units.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { type CsiOptions, startCsi } from "../../../src/faces/csi/server.ts";
import { createMemoryLog, type MemoryLog } from "../../auth/memory-log.ts";
import { type CsiClient, openClient } from "./client.ts";

export interface Plugin {
  readonly client: CsiClient;
  readonly socketPath: string;
  /** With an existing directory in it: `pods`. */
  readonly directory: string;
  readonly log: MemoryLog;
  close(): Promise<void>;
}

export async function openPlugin(engine: Engine, options: Partial<CsiOptions> = {}): Promise<Plugin> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-csi-"));
  const socketPath = join(directory, "plugins", "csi.sock");
  const log = createMemoryLog();
  const csi = await startCsi({
    engine,
    path: socketPath,
    role: "csi" as Role,
    defaultSize: 1_024_000 as MilliMb,
    nodeId: "node-1",
    version: "1.2.3",
    log,
    peer: () => ({ uid: 0, name: "root" }),
    ...options,
  });
  const client = openClient(socketPath);
  return {
    client,
    socketPath,
    directory,
    log,
    close: async () => {
      client.close();
      await csi.close();
      rmSync(directory, { recursive: true });
    },
  };
}
