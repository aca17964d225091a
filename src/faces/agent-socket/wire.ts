/**
 * What goes over the agent socket, types only: the `/v1` routes that every door serves, and those of one container, of
 * adoption and of sandboxes that are the socket's alone. Clients import nothing but this.
 */
import type { DiskSource, Mode } from "../../domain/resource.ts";
import type { GcSandboxJson } from "../http/wire.ts";

export type * from "../http/app-wire.ts";
export type * from "../http/wire.ts";

/** `PUT /v1/containers/CONTAINER`; answered with the `ContainerJson`. */
export interface ContainerBody {
  /** Absolute path of an existing directory; with `pid`, below the root of that process. */
  readonly sandbox: string;
  /** A stateful app: one free instance's volumes are attached, first what was used before, beside the named ones. */
  readonly app?: string;
  /** On the wire it may be left out beside `app`. */
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
  /** A group that shall read and write all content of what is not read only: it is given to it unless it has it. */
  readonly group?: number;
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

/** `POST /v1/adopt`: all or none; answered with the `AdoptJson`. */
export interface AdoptBody {
  readonly adoptions: readonly {
    /** Absolute path, without symlinks. */
    readonly directory: string;
    readonly role: string;
    readonly id: string;
    /** Default: what the content takes, in whole MB. */
    readonly sizeMb?: number;
    /** Default `data`. */
    readonly containerPath?: string;
  }[];
  readonly dryRun?: boolean;
}

/** In the order of the request. */
export interface AdoptJson {
  readonly adoptions: readonly AdoptedJson[];
}

export interface AdoptedJson {
  readonly directory: string;
  readonly role: string;
  readonly id: string;
  readonly containerPath?: string;
  readonly sizeMb?: number;
  readonly usedBytes?: number;
  readonly inodes?: number;
  /** The disk that it lies on. */
  readonly source?: DiskSource;
  /** The volume that it is now. */
  readonly uuid?: string;
  /** Of a dry run: why it would be refused. */
  readonly obstacle?: string;
}

/** `POST /v1/sandboxes`, answered with a `SandboxJson`, and `POST /v1/sandboxes/keep`. */
export interface SandboxBody {
  /** Absolute path of a container's directory, without symlinks. */
  readonly path: string;
}

/** A directory that was handed over, and an item of `GET /v1/sandboxes`. */
export interface SandboxJson extends Omit<GcSandboxJson, "reason"> {
  readonly by: string;
  /** Something of it may be deleted already. */
  readonly collecting?: true;
  /** Why it could not be collected. */
  readonly problem?: string;
}

/** Oldest first. */
export interface SandboxesJson {
  readonly sandboxes: readonly SandboxJson[];
}

/** `POST /v1/sandboxes/keep` is answered with an empty object. */
export type SandboxKeptJson = Readonly<Record<string, never>>;

/** `POST /v1/sandboxes/gc`; answered with a `GcJson`. */
export interface SandboxGcBody {
  /** These, however young. */
  readonly paths: readonly string[];
  /** Says what would be collected, deletes nothing. */
  readonly dryRun?: boolean;
}
