/** What has to be synced on which file system, so that spares and moves of volumes are durable. */
import type { Spare } from "../ports/disk.ts";
import type { Place } from "./disk-places.ts";
import { syncAt, syncEach } from "./durable.ts";
import { keepsOrder, syncsNames } from "./file-system.ts";
import { contentOf, SCOPE } from "./incarnation.ts";

export interface Durability {
  /** Makes spares durable, given in the order in which they were made. */
  syncSpares(volumes: Place, spares: readonly Spare[]): Promise<void>;
  /** Makes renames from one directory to the other durable. */
  syncMove(from: Place, to: Place): Promise<void>;
}

/** For a file system of this type, of which an open directory is one. */
export function durabilityOn(fd: number, type: string): Durability {
  if (keepsOrder(fd, type)) return IN_ORDER;
  return syncsNames(type) ? WITH_NAMES : ONE_BY_ONE;
}

export const ONE_BY_ONE: Durability = {
  async syncSpares(volumes, spares) {
    await syncEach(spares, async ({ uuid }) => {
      await syncAt(volumes.fd, contentOf(uuid), { directory: true, resolve: SCOPE });
      await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
    });
    await volumes.sync();
  },
  async syncMove(from, to) {
    // The new name first: the old one must not be gone before the new one is safe.
    await to.sync();
    await from.sync();
  },
};

const WITH_NAMES: Durability = {
  ...ONE_BY_ONE,
  async syncSpares(volumes, spares) {
    await syncEach(spares, async ({ uuid }) => {
      await syncAt(volumes.fd, contentOf(uuid), { directory: true, resolve: SCOPE });
    });
    await volumes.sync();
  },
};

const IN_ORDER: Durability = {
  async syncSpares(volumes, spares) {
    await ONE_BY_ONE.syncSpares(volumes, spares.slice(-1));
  },
  async syncMove(_from, to) {
    await to.sync();
  },
};

/**
 * For btrfs where spares are subvolumes: the sync of a directory in which one was just made commits everything that was
 * done until then. Kernels before 6.4 commit each as it is made.
 */
export const WITH_SUBVOLUMES: Durability = {
  ...ONE_BY_ONE,
  async syncSpares(volumes, spares) {
    for (const { uuid } of spares.slice(-1)) await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
    await volumes.sync();
  },
};
