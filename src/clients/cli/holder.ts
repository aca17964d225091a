import type { HolderJson } from "../../faces/agent-socket/wire.ts";

/** Who has a volume, in one line: `process 12 (redis-server) of docker container 0a1b at /data`. */
export function describeHolder({ pid, command, cgroup, mountPoint, engine, container }: HolderJson): string {
  const who = pid === 0 ? "a mount namespace without a process" : `process ${pid} (${command})`;
  return `${who}${origin(engine, container) ?? (pid === 0 ? "" : ` in ${cgroup}`)} at ${mountPoint}`;
}

function origin(engine: string | undefined, container: string | undefined): string | undefined {
  if (container === undefined) return engine === undefined ? undefined : ` of ${engine}`;
  return ` of ${engine === undefined ? "" : `${engine} `}container ${container.replace(LONG_ID, "$1")}`;
}

/** Engines know their containers by the beginning of the id too. */
const LONG_ID = /^([0-9a-f]{12})[0-9a-f]{52}$/;
