/** Attach and detach under attack: everything that leads to a mount is exchanged for a symlink to the victim. */
import { lstatSync, mkdirSync, renameSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ContainerPath } from "../../../src/domain/units.ts";
import { createBindMounter } from "../../../src/host/bind-mounter.ts";
import type { MountRequest } from "../../../src/ports/mounter.ts";
import { ATTACKER, type Exchange } from "../../support/exchanger.ts";
import { attachAndRecord } from "../../support/mount-place.ts";
import { makeRootfs, startPivoted } from "../../support/pivoted-container.ts";
import type { Grounds } from "./grounds.ts";
import { doneUnless, doPersistently, type Scene, type SceneKind, type Tried } from "./scene.ts";

const OPERATIONS = ["attach", "detach"];

export const MOUNT_SCENES: readonly SceneKind[] = [
  {
    name: "attach, a directory above the sandbox exchanged",
    operations: OPERATIONS,
    start: async (grounds) => {
      const sandbox = grounds.directory("box", "inner");
      grounds.directory("box", "inner", "data");
      grounds.protect("inner/data");
      symlinkSync(grounds.victim, join(grounds.yard, "other"));
      return onHost(grounds, { sandbox }, [{ directory: grounds.yard, names: ["box", "other"] }]);
    },
  },
  {
    name: "attach, the mountpoint exchanged",
    operations: OPERATIONS,
    start: mountpointExchanged,
  },
  {
    name: "attach, the mountpoint exchanged in another namespace",
    operations: OPERATIONS,
    ownNamespace: true,
    start: mountpointExchanged,
  },
  {
    name: "attach, the content's disk exchanged",
    operations: OPERATIONS,
    start: async (grounds) => {
      const sandbox = grounds.directory("box");
      const request = requestOf(grounds, { sandbox });
      const diskRoot = join(grounds.yard, "disk");
      renameSync(request.diskRoot, diskRoot);
      grounds.protect(`volumes/${request.uuid}/content`);
      symlinkSync(grounds.victim, join(grounds.yard, "other"));
      const exchanges = [{ directory: grounds.yard, names: ["disk", "other"] }] as const;
      return sceneOf(grounds, { ...request, diskRoot }, exchanges, async () => {});
    },
  },
  {
    name: "attach in a container, its sandbox and its mountpoint exchanged",
    operations: ["hook attach", "hook detach"],
    start: inContainer,
  },
  {
    name: "attach in a container, exchanged in another namespace",
    operations: ["hook attach", "hook detach"],
    ownNamespace: true,
    start: inContainer,
  },
];

async function mountpointExchanged(grounds: Grounds): Promise<Scene> {
  const sandbox = grounds.directory("box");
  grounds.directory("box", "data");
  symlinkSync(grounds.victim, join(sandbox, "other"));
  return onHost(grounds, { sandbox }, [{ directory: sandbox, names: ["data", "other"] }]);
}

async function inContainer(grounds: Grounds): Promise<Scene> {
  const rootfs = makeRootfs(grounds.directory("rootfs"));
  mkdirSync(join(rootfs, "box/data"), { recursive: true });
  grounds.give(rootfs, join(rootfs, "box"), join(rootfs, "box/data"));
  grounds.protect("data");
  for (const directory of [rootfs, join(rootfs, "box")]) symlinkSync(grounds.victim, join(directory, "other"));
  const container = await startPivoted(rootfs);
  const { process } = container;
  const request = requestOf(grounds, { sandbox: "/box", process });
  const exchanges: readonly Exchange[] = [
    { directory: rootfs, names: ["box", "other"] },
    { directory: join(rootfs, "box"), names: ["data", "other"] },
  ];
  const scene = sceneOf(grounds, request, exchanges, () => container.stop());
  return {
    ...scene,
    round: async (race) => {
      const tried = (await scene.round(race)).map(({ operation, done }) => ({ operation: `hook ${operation}`, done }));
      const mounts = container.mounts();
      if (mounts.length > 1) throw new Error(`the container still has ${mounts.join(", ")} mounted`);
      return tried;
    },
  };
}

function onHost(grounds: Grounds, wanted: Partial<MountRequest>, exchanges: readonly Exchange[]): Scene {
  return sceneOf(grounds, requestOf(grounds, wanted), exchanges, async () => {});
}

function requestOf({ place, base }: Grounds, wanted: Partial<MountRequest>): MountRequest {
  return {
    ...place.request(place.volume("empty"), base),
    containerPath: "data" as ContainerPath,
    owner: "sandbox",
    ...wanted,
  };
}

function sceneOf(
  grounds: Grounds,
  request: MountRequest,
  exchanges: readonly Exchange[],
  end: () => Promise<void>,
): Scene {
  const mounter = createBindMounter();
  const elsewhere = request.process !== undefined;
  async function round(): Promise<readonly Tried[]> {
    const refusals = ["conflict", "invalid", "damaged"];
    const mounted = await doneUnless(refusals, () => attachAndRecord(mounter, request));
    const mounts = grounds.place.mounts();
    if (mounted === undefined) {
      if (mounts.length > 0) throw new Error(`a refused attach left a mount at ${mounts.join(", ")}`);
      return [{ operation: "attach", done: false }];
    }
    const expected = elsewhere ? 0 : 1;
    const astray = mounts.some((path) => !path.startsWith(`${grounds.yard}/`));
    if (mounts.length !== expected || astray) throw new Error(`one attach mounted at ${mounts.join(", ")}`);
    const detaches = await doPersistently(["conflict"], () => mounter.detach(mounted, { lazy: false }));
    const left = grounds.place.mounts();
    if (left.length > 0) throw new Error(`a detach left a mount at ${left.join(", ")}`);
    return [
      { operation: "attach", done: true },
      ...Array.from({ length: detaches }, (_, index) => ({ operation: "detach", done: index === detaches - 1 })),
    ];
  }
  return {
    exchanges,
    round,
    async end() {
      await mounter.close();
      await end();
      const owner = ownerOf(request);
      if (![0, ATTACKER.uid].includes(owner)) throw new Error(`user ${owner} got the volume`);
    },
  };
}

/** Of the volume's content, wherever its disk is by now. */
function ownerOf({ diskRoot, uuid, directory }: MountRequest): number {
  const disks = [diskRoot, join(dirname(diskRoot), "other")];
  const found = disks
    .map((disk) => lstatSync(join(disk, "volumes", uuid, "content"), { throwIfNoEntry: false, bigint: true }))
    .find((stat) => String(stat?.ino) === directory.ino);
  if (found === undefined) throw new Error("the volume's content is gone");
  return Number(found.uid);
}
