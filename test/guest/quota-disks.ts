/** Disks with the file systems that can hold a volume to its size, and where a guest has them mounted. */
import path from "node:path";
import { run } from "../e2e/run.ts";
import type { Guest } from "./guest.ts";

const SIZE = "2G";

const FILE_SYSTEMS = [
  {
    name: "ext4",
    make: ["mkfs.ext4", "-q", "-m", "0", "-O", "project,quota", "-E", "quotatype=prjquota"],
    options: "prjquota,noinit_itable",
    finish: "",
  },
  { name: "xfs", make: ["mkfs.xfs", "-q"], options: "prjquota", finish: "" },
  { name: "btrfs", make: ["mkfs.btrfs", "-q"], options: "defaults", finish: "&& btrfs quota enable /disks/btrfs" },
] as const;

/** Where tests in the guest find them, by the name of the variable. */
export const QUOTA_MOUNTS: Readonly<Record<string, string>> = Object.fromEntries(
  FILE_SYSTEMS.map(({ name }) => [`HOLDFAST_GUEST_${name.toUpperCase()}`, `/disks/${name}`]),
);

/** Makes the disks' images, sparse, in a directory. */
export function makeQuotaDisks(directory: string): Promise<readonly string[]> {
  return Promise.all(
    FILE_SYSTEMS.map(async ({ name, make: [program, ...args] }) => {
      const image = path.join(directory, `${name}.img`);
      await run("truncate", "-s", SIZE, image);
      await run(program, ...args, image);
      return image;
    }),
  );
}

/** Mounts them in a guest that has them as its first disks. */
export async function mountQuotaDisks(guest: Guest): Promise<void> {
  await Promise.all(
    FILE_SYSTEMS.map(({ name, options, finish }, index) => {
      const device = `/dev/vd${String.fromCharCode("a".charCodeAt(0) + index)}`;
      return guest.must(`mkdir -p /disks/${name} && mount -t ${name} -o ${options} ${device} /disks/${name} ${finish}`);
    }),
  );
}
