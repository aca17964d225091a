/** A real disk under a directory, and what happens to it behind its back: for the disk contract on any file system. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import type { Volume } from "../../src/domain/records.ts";
import { ROOT_DISK } from "../../src/domain/resource.ts";
import type { Incarnation } from "../../src/domain/units.ts";
import { type DirectoryDiskOptions, openDirectoryDisk } from "../../src/host/directory-disk.ts";
import type { Disk } from "../../src/ports/disk.ts";
import { createMemoryLog } from "../auth/memory-log.ts";
import type { DiskWorld } from "../contract/disk.ts";
import { mayMount } from "../e2e/privileges.ts";

export const PLAIN_LABELS: DirectoryDiskOptions["labels"] = {
  encodeVolume: (volume: object) => Buffer.from(JSON.stringify(volume)),
  decodeVolume: (bytes) => JSON.parse(bytes.toString()) as Volume,
  encodeNode: (label: object) => Buffer.from(JSON.stringify(label)),
};

export type WorldOptions = Partial<DirectoryDiskOptions> & {
  readonly root: string;
  /** What a purge of a labelled volume with one file removes one by one. */
  readonly purgedNames?: number;
};

const FIRST_PROJECT = 2_000_000;
const PROJECTS = 1000;
/** Another range for each world: a file system remembers the limits of a world that was not taken down volume by volume. */
let ranges = 0;

/** Opens a disk; `root` outlives the world. */
export async function openDirectoryWorld({ root, purgedNames = 4, ...rest }: WorldOptions): Promise<DiskWorld> {
  const opened: Disk[] = [];
  const first = FIRST_PROJECT + PROJECTS * ranges;
  const projectRange = { first, last: first + PROJECTS - 1 };
  ranges += 1;

  async function open(spares: { min: number; max: number }): Promise<Disk> {
    const log = createMemoryLog();
    const disk = await openDirectoryDisk({
      source: ROOT_DISK,
      labels: PLAIN_LABELS,
      log,
      spares,
      projectRange,
      ...rest,
      root,
    });
    opened.push(disk);
    return disk;
  }

  async function closeAll(): Promise<void> {
    for (const disk of opened.splice(0)) await disk.close();
  }

  function place(uuid: Incarnation): string {
    const live = `${root}/volumes/${uuid}`;
    return existsSync(live) ? live : `${root}/trash/${uuid}`;
  }

  return {
    disk: await open({ min: 4, max: 16 }),
    purgedNames,
    projects: projectRange,
    async restart() {
      await closeAll();
      return await open({ min: 0, max: 0 });
    },
    fill: (uuid) => writeFileSync(`${place(uuid)}/content/file`, "written"),
    files: (uuid) => readdirSync(`${place(uuid)}/content`).length,
    write: (uuid, bytes) => appendAsContainer(`${place(uuid)}/content/written`, bytes),
    settle: () => void execFileSync("sync", ["--file-system", root]),
    lose: (uuid) => rmSync(place(uuid), { recursive: true }),
    swap(uuid) {
      renameSync(`${place(uuid)}/content`, `${place(uuid)}/aside`);
      mkdirSync(`${place(uuid)}/content`);
    },
    labelledId(uuid) {
      const path = `${place(uuid)}/label`;
      return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).id : undefined;
    },
    spoilLabel: (uuid) => writeFileSync(`${place(uuid)}/label`, "{"),
    link({ role, id }) {
      const path = `${root}/volumes/roles/${role.replaceAll("/", " ")}/${id}`;
      const target = existsSync(path) ? realpathSync(path).split("/") : [];
      return target.at(-2) as Incarnation | undefined;
    },
    dispose: closeAll,
  };
}

/** Root may pass every limit of ext4 as long as it has CAP_SYS_RESOURCE; containers do not have it. */
const WITHOUT_RESOURCE = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"];

/** Appends zeroes to a file; `false` when the kernel did not let all of them in. */
export function appendAsContainer(path: string, bytes: number): boolean {
  const dd = ["dd", "if=/dev/zero", `of=${path}`, "bs=64K", `count=${bytes}`, "iflag=count_bytes"];
  const [command = "", ...args] = [...(mayMount ? WITHOUT_RESOURCE : []), ...dd, "oflag=append", "conv=notrunc,fsync"];
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
  if (status === 0) return true;
  if (/Disk quota exceeded|No space left on device/.test(stderr)) return false;
  throw new Error(`Cannot write to ${path}: ${stderr}`);
}
