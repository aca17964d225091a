/** Marathon's own example of a stateful app. */
import type { JsonObject } from "../../src/domain/json.ts";

export const SAMSON = "/sesame/samson";

/** In the form of Marathon 1.0. */
export function samson(rest: JsonObject = {}): JsonObject {
  return {
    id: SAMSON,
    cmd: "touch /data/file && sleep 1000",
    cpus: 0.5,
    mem: 32,
    instances: 1,
    role: "ads",
    container: { type: "MESOS", volumes: [persistent("data", { size: 100 })] },
    residency: { taskLostBehavior: "WAIT_FOREVER", relaunchEscalationTimeoutSeconds: 3600 },
    ...rest,
  };
}

export function persistent(containerPath: string, spec: JsonObject): JsonObject {
  return { containerPath, mode: "RW", persistent: spec };
}

/** The example with these volumes. */
export function withVolumes(...volumes: readonly JsonObject[]): JsonObject {
  return samson({ container: { type: "MESOS", volumes } });
}
