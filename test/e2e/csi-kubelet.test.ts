/**
 * What kubelet says since Kubernetes 1.27 to a node with our capabilities, call by call, because Debian has no kubelet
 * that new: fsGroup is the driver's business, ReadWriteOnce is SINGLE_NODE_MULTI_WRITER, and ReadWriteOncePod is
 * SINGLE_NODE_SINGLE_WRITER. An older one, real, is in `npm run test:kubernetes`.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CsiScene, capability, MIB } from "./csi-scene.ts";
import { mayMount } from "./privileges.ts";

const ONCE = "SINGLE_NODE_MULTI_WRITER";
const ONCE_POD = "SINGLE_NODE_SINGLE_WRITER";
const [FS_GROUP, OTHER_GROUP] = [4321, 5432];

let scene: CsiScene;

interface PodVolume {
  readonly volume_id: string;
  readonly pod: string;
  readonly mode?: typeof ONCE | typeof ONCE_POD;
  readonly fsGroup?: number;
  readonly readonly?: boolean;
  /** Of a volume that is written in the pod. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** As kubelet asks for it, once it has made the directory that the target lies in and written its own notes there. */
function publishing({ volume_id, pod, mode = ONCE, fsGroup, readonly = false, attributes }: PodVolume) {
  const target_path = scene.target(pod);
  writeFileSync(path.join(path.dirname(target_path), "vol_data.json"), "{}");
  const group = fsGroup === undefined ? {} : { volume_mount_group: `${fsGroup}` };
  return {
    volume_id,
    target_path,
    readonly,
    volume_capability: capability(mode, { fs_type: "", mount_flags: [], ...group }),
    volume_context: {
      ...(attributes ?? { "storage.kubernetes.io/csiProvisionerIdentity": "1700000000000-1-csi.holdfast.dev" }),
      "csi.storage.k8s.io/ephemeral": `${attributes !== undefined}`,
      "csi.storage.k8s.io/pod.name": pod,
      "csi.storage.k8s.io/pod.namespace": "default",
      "csi.storage.k8s.io/pod.uid": `uid-of-${pod}`,
      "csi.storage.k8s.io/serviceAccount.name": "default",
    },
  };
}

function groupsOf(target: string, ...names: readonly string[]): readonly number[] {
  return ["", ...names].map((name) => statSync(path.join(target, name)).gid);
}

describe.runIf(mayMount)("kubelet since 1.27", () => {
  beforeAll(async () => {
    scene = await CsiScene.start();
  });

  afterAll(() => scene?.close());

  afterEach(() => scene.clear());

  test("ReadWriteOncePod: a second pod of the node waits for the end of the first, also for one that many may have", async () => {
    const own = await scene.create("own", { volume_capabilities: [capability(ONCE_POD)] });
    const many = await scene.create("many", { volume_capabilities: [capability(ONCE)] });
    for (const volume_id of [own, many]) {
      const first = publishing({ volume_id, pod: `${path.basename(volume_id)}-1`, mode: ONCE_POD });
      const second = publishing({ volume_id, pod: `${path.basename(volume_id)}-2`, mode: ONCE_POD });
      await scene.must("NodePublishVolume", first);
      const refusal = await scene.call("NodePublishVolume", second);
      expect(refusal).toMatchObject({ status: "FAILED_PRECONDITION", message: expect.stringContaining(volume_id) });
      expect(existsSync(second.target_path)).toBe(false);
      // Kubelet that started again asks for what is there.
      await scene.must("NodePublishVolume", first);
      await scene.must("NodeUnpublishVolume", first);
      await scene.must("NodePublishVolume", second);
    }
  });

  test("ReadWriteOnce of a volume that is not shared is one pod's, too", async () => {
    const volume_id = await scene.createByOperator("ads", "db");
    await scene.must("NodePublishVolume", publishing({ volume_id, pod: "db-1" }));
    expect(await scene.call("NodePublishVolume", publishing({ volume_id, pod: "db-2" }))).toMatchObject({
      status: "FAILED_PRECONDITION",
      message: expect.stringContaining("it is not shared"),
    });
  });

  test("fsGroup of a pod that only reads changes nothing: others may write in it", async () => {
    const volume_id = await scene.create("read", { volume_capabilities: [capability(ONCE)] });
    const writer = publishing({ volume_id, pod: "writer", fsGroup: FS_GROUP });
    const reader = publishing({ volume_id, pod: "reader", fsGroup: OTHER_GROUP, readonly: true });
    await scene.must("NodePublishVolume", writer);
    writeFileSync(path.join(writer.target_path, "file"), "");
    await scene.must("NodePublishVolume", reader);
    expect(groupsOf(reader.target_path, "file")).toEqual([FS_GROUP, FS_GROUP]);
  });

  test("fsGroup is what comes, what is there, and what somebody else's pod left, through kill -9", async () => {
    const volume_id = await scene.create("shared", { volume_capabilities: [capability(ONCE)] });
    const first = publishing({ volume_id, pod: "first", fsGroup: FS_GROUP });
    await scene.must("NodePublishVolume", first);
    mkdirSync(path.join(first.target_path, "directory"));
    writeFileSync(path.join(first.target_path, "directory/file"), "", { mode: 0o600 });
    chownSync(path.join(first.target_path, "directory/file"), 1000, 1000);
    expect(groupsOf(first.target_path, "directory")).toEqual([FS_GROUP, FS_GROUP]);

    await scene.restart();
    await scene.must("NodePublishVolume", first);
    const second = publishing({ volume_id, pod: "second", fsGroup: OTHER_GROUP });
    await scene.must("NodePublishVolume", second);
    expect(groupsOf(first.target_path, "directory", "directory/file")).toEqual(Array(3).fill(OTHER_GROUP));
    expect(statSync(path.join(first.target_path, "directory/file")).mode & 0o777).toBe(0o660);
  });

  test("fsGroup is set again where a program has taken it from the top", async () => {
    const volume_id = await scene.create("taken", { volume_capabilities: [capability(ONCE)] });
    const fields = publishing({ volume_id, pod: "taken", fsGroup: FS_GROUP });
    await scene.must("NodePublishVolume", fields);
    chmodSync(fields.target_path, 0o2700);
    await scene.must("NodeUnpublishVolume", fields);
    await scene.must("NodePublishVolume", fields);
    expect(statSync(fields.target_path)).toMatchObject({ gid: FS_GROUP });
    expect(statSync(fields.target_path).mode & 0o7777).toBe(0o2770);
  });

  test("a volume that is written in the pod is its fsGroup's from the beginning, and ends with it", async () => {
    const volume_id = `csi-${"0".repeat(64)}`;
    const fields = publishing({ volume_id, pod: "brief", fsGroup: FS_GROUP, attributes: { size: "8Mi" } });
    await scene.must("NodePublishVolume", fields);
    expect(groupsOf(fields.target_path)).toEqual([FS_GROUP]);
    await scene.must("NodeUnpublishVolume", fields);
    expect((await scene.volumes("retained")).map(({ id }) => id)).toContain(volume_id);
  });

  test.each([ONCE, ONCE_POD] as const)(
    "figures, growing and the end of one as %s leave kubelet its own notes alone",
    async (mode) => {
      const volume_id = await scene.create("life", { volume_capabilities: [capability(mode)] });
      const fields = publishing({ volume_id, pod: "life", mode });
      const { target_path, volume_capability } = fields;
      await scene.must("NodePublishVolume", fields);
      const at = { volume_id, volume_path: target_path, staging_target_path: "" };
      await scene.must("NodeGetVolumeStats", at);
      const larger = { capacity_range: { required_bytes: 8 * MIB }, volume_capability, secrets: {} };
      expect(await scene.must("NodeExpandVolume", { ...at, ...larger })).toMatchObject({
        capacity_bytes: `${8 * MIB}`,
      });
      await scene.must("NodeGetVolumeHealth", { volume_id, volume_publish_path: target_path });
      await scene.must("NodeUnpublishVolume", { volume_id, target_path });
      expect(existsSync(target_path)).toBe(false);
      expect(existsSync(path.join(path.dirname(target_path), "vol_data.json"))).toBe(true);
    },
  );
});
