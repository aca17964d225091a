/**
 * What goes over the agent socket, types only: the `/v1` routes that every door serves, and the two of one container
 * that are the socket's alone. Clients import nothing but this.
 */
import type { Mode } from "../../domain/resource.ts";

export type * from "../http/wire.ts";

/** `PUT /v1/containers/CONTAINER`; answered with the `ContainerJson`. */
export interface ContainerBody {
  /** Absolute path of an existing directory. */
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
  /** A process of the container, when it is started already. */
  readonly pid?: number;
}

/** `DELETE /v1/containers/CONTAINER[?force=true]` is answered with an empty object. */
export type DetachedJson = Readonly<Record<string, never>>;
