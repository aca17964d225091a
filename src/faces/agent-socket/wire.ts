/**
 * What goes over the agent socket, types only: the `/v1` routes that every door serves, and those of one container that
 * are the socket's alone. Clients import nothing but this.
 */
import type { Mode } from "../../domain/resource.ts";

export type * from "../http/wire.ts";

/** `PUT /v1/containers/CONTAINER`; answered with the `ContainerJson`. */
export interface ContainerBody {
  /** Absolute path of an existing directory; with `pid`, below the root of that process. */
  readonly sandbox: string;
  readonly volumes: readonly {
    readonly role: string;
    readonly id: string;
    /** Default: the volume's own. */
    readonly containerPath?: string;
    /** Default `RW`. */
    readonly mode?: Mode;
  }[];
  /** Owner of the top of an empty volume at its first attach, both or neither; default: the sandbox's. */
  readonly uid?: number;
  readonly gid?: number;
  /** The container's first process, when it is started already: the volumes appear in its mount namespace. */
  readonly pid?: number;
}

/** `DELETE /v1/containers/CONTAINER[?force=true]` is answered with an empty object. */
export type DetachedJson = Readonly<Record<string, never>>;

/**
 * `POST /v1/hooks/STAGE` takes an OCI runtime's state and is answered with the `ContainerJson`, or with this when the
 * container wants no volumes.
 */
export type HookIdleJson = Readonly<Record<string, never>>;
