/**
 * Does one thing after the other in the directory of its first argument, and marks in the trace of its system calls
 * where each begins: it looks for `/mark/NAME`.
 */
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import type { Volume } from "../../src/domain/records.ts";
import { ROOT_DISK } from "../../src/domain/resource.ts";
import type { MilliMb } from "../../src/domain/units.ts";
import { openDirectoryDisk } from "../../src/host/directory-disk.ts";
import { durabilityOn } from "../../src/host/durability.ts";
import { syncDescriptor } from "../../src/host/durable.ts";
import { createSandboxes } from "../../src/host/sandboxes.ts";
import { prepareWorkRoot } from "../../src/host/work-root.ts";
import { createBallast } from "../../src/store/ballast.ts";
import { openCheckpoint } from "../../src/store/checkpoint.ts";
import { checkpointPaths } from "../../src/store/files.ts";
import { installSuccessor, prepareSuccessor } from "../../src/store/successor.ts";
import { createMemoryLog } from "../auth/memory-log.ts";
import { SAMPLE_HEADER, setVolume } from "../contract/samples.ts";
import { PLAIN_LABELS } from "../support/directory-world.ts";
import { volumeOn } from "../support/sample-volume.ts";

const [base = ""] = process.argv.slice(2);
const root = `${base}/above/root`;
const log = createMemoryLog();

mark("work-root");
prepareWorkRoot(root, { allowVolatile: true });
await useDisk();
await useOtherFileSystems();
await collectSandbox();
await useCheckpoint();
changeCheckpoint();
mark("end");

async function useDisk(): Promise<void> {
  mark("open-disk");
  const disk = await openDirectoryDisk({
    root,
    source: ROOT_DISK,
    labels: PLAIN_LABELS,
    log,
    spares: { min: 0, max: 0 },
  });
  mark("spare");
  const [spare] = await disk.take(1);
  if (spare === undefined) throw new Error("No spare");
  const volume = volumeOn(spare);
  mark("label");
  disk.writeLabel(volume);
  await disk.syncLabels([volume.uuid]);
  mark("node-label");
  await disk.writeNodeLabel({ agentId: SAMPLE_HEADER.agentId } as never);
  mark("drop");
  await disk.drop(volume);
  mark("restore");
  await disk.restore(volume);
  mark("drop-again");
  await disk.drop(volume);
  mark("purge");
  await disk.purge(volume.uuid);
  await adopt(disk);
  mark("close-disk");
  await disk.close();
}

async function adopt(disk: Awaited<ReturnType<typeof openDirectoryDisk>>): Promise<void> {
  const origin = `${base}/srv/data`;
  mkdirSync(origin, { recursive: true });
  const found = disk.examineForeign(origin);
  if (found === undefined) throw new Error("It would have to be copied");
  const volume: Volume = volumeOn(found, { origin, size: 1_000 as MilliMb });
  mark("adopt");
  await disk.adopt(volume);
  mark("unadopt");
  await disk.unadopt(volume);
}

/** What is done where the kernel promises more, as on XFS and ext4, or less. */
async function useOtherFileSystems(): Promise<void> {
  const fds = ["volumes", "trash"].map((name) => openSync(`${root}/${name}`, "r"));
  const [from, to] = fds.map((fd) => ({ fd, sync: () => syncDescriptor(fd), made: false, mountId: 0n }));
  if (from === undefined || to === undefined) throw new Error("No directories");
  const uuid = "00000000-0000-4000-8000-000000000001";
  mkdirSync(`${root}/volumes/${uuid}/content`, { recursive: true });
  for (const type of ["xfs", "btrfs"]) {
    const durability = durabilityOn(from.fd, type);
    mark(`spare-on-${type}`);
    await durability.syncSpares(from, [{ uuid } as never]);
    mark(`move-on-${type}`);
    await durability.syncMove(from, to);
  }
  for (const fd of fds) closeSync(fd);
}

async function collectSandbox(): Promise<void> {
  const path = `${base}/boxes/one/two`;
  mkdirSync(path, { recursive: true });
  const sandboxes = createSandboxes({ foundations: [] });
  const directory = sandboxes.examine(path, []);
  mark("purge-sandbox");
  await sandboxes.purge({ path, directory });
  mark("close-sandboxes");
  await sandboxes.close();
}

async function useCheckpoint(): Promise<void> {
  const directory = `${base}/meta/checkpoint`;
  const store = openCheckpoint({
    directory,
    create: { header: SAMPLE_HEADER },
    ballastBytes: 4096,
    onFatal: exit,
    log,
  });
  mark("open-checkpoint");
  await store.open();
  mark("commit");
  await store.commit([setVolume(1)], { durable: true });
  mark("close-checkpoint");
  await store.close();
}

/** A new checkpoint takes the place of one that has a log. */
function changeCheckpoint(): void {
  const paths = checkpointPaths(`${base}/meta/other`);
  mark("prepare-successor");
  prepareSuccessor(paths, (path) => writeFileSync(path, "new"));
  writeFileSync(paths.log, "log");
  mark("install-successor");
  installSuccessor(paths);
  mark("make-ballast");
  const ballast = createBallast(`${base}/meta/other/ballast`, 4096, () => 1e9);
  ballast.restore();
  mark("give-up-ballast");
  ballast.giveUp();
}

function mark(name: string): void {
  existsSync(`/mark/${name}`);
}

function exit(): never {
  process.exit(70);
}
