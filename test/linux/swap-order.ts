/** What a racing container is told. */
export interface SwapOrder {
  readonly sandbox: string;
  readonly canary: string;
  /** `exchange`: a directory `data` and a symlink `other` change names. `replant`: the symlink comes and goes. */
  readonly how: "exchange" | "replant";
  /** In a mount namespace of its own, where a mountpoint of ours may be renamed. */
  readonly ownNamespace: boolean;
  /** At `STOP` 1 ends it; at `SWAPS` it counts what it achieved. */
  readonly shared: Int32Array<SharedArrayBuffer>;
}

export const STOP = 0;
export const SWAPS = 1;
