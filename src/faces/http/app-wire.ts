/** What goes over `/v2/apps`, types only: Marathon's own JSON, as far as it concerns volumes. */

/** A definition as Marathon takes it; the answers add what follows. */
export interface AppJson {
  readonly id: string;
  readonly role: string;
  readonly instances: number;
  readonly container: { readonly volumes: readonly unknown[] };
  readonly residency: { readonly taskLostBehavior: string; readonly relaunchEscalationTimeoutSeconds: number };
  /** When the definition changed last; grows with every change. */
  readonly version: string;
  readonly tasksStaged: number;
  readonly tasksRunning: number;
  readonly tasksHealthy: number;
  readonly tasksUnhealthy: number;
  readonly deployments: readonly never[];
  /** Of a single app. */
  readonly tasks?: readonly TaskJson[];
  readonly [field: string]: unknown;
}

/** An instance: one that nobody has lacks `stagedAt`, `startedAt` and `version`, by which clients know it. */
export interface TaskJson {
  readonly id: string;
  readonly appId: string;
  readonly host: string;
  readonly slaveId: string;
  readonly state: "TASK_STAGING" | "TASK_RUNNING" | "TASK_LOST" | "TASK_FINISHED" | "TASK_KILLED";
  readonly stagedAt?: string;
  readonly startedAt?: string;
  readonly version?: string;
  readonly localVolumes: readonly LocalVolumeJson[];
  /** Ours: the containers that have its volumes. */
  readonly containers: readonly string[];
  /** Ours: kept and not used. */
  readonly suspended?: true;
  /** Ours: since when its container is missing. */
  readonly lostSince?: string;
}

interface LocalVolumeJson {
  readonly runSpecId: string;
  readonly containerPath: string;
  readonly uuid: string;
  readonly persistenceId: string;
}

/** `GET /v2/apps` */
export interface AppsJson {
  readonly apps: readonly AppJson[];
}

/** `GET /v2/apps/ID` */
export interface AppAnswerJson {
  readonly app: AppJson;
}

/** `GET /v2/apps/ID/tasks`, and of what was wiped. */
export interface TasksJson {
  readonly tasks: readonly TaskJson[];
}

/** Everything is done when it is answered: the id is for clients that look whether it is through. */
export interface DeploymentJson {
  readonly version: string;
  readonly deploymentId: string;
}

/** A refusal in Marathon's form, with ours beside it. */
export interface AppErrorJson {
  readonly message: string;
  readonly details?: readonly { readonly path: string; readonly errors: readonly string[] }[];
  readonly error: { readonly code: string; readonly message: string };
}
