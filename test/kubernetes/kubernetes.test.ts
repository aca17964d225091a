/**
 * Kubernetes' own kubelet, scheduler and API server, as Debian has them, use the real daemon through CSI. Dynamic
 * provisioning needs sidecars that Debian does not have: volumes are made by the operator, or by the pods that they live and
 * end with.
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "../e2e/run.ts";
import { Cluster, eventually } from "./cluster.ts";
import { KUBELET_ROOT, NODE_NAME } from "./configuration.ts";
import { processesIn } from "./groups.ts";
import { makeDriverImage } from "./image.ts";
import { manifestFiles, overlays } from "./manifests.ts";
import { claimed, ephemeral, existingVolume, pod } from "./objects.ts";
import { type OpenApi, schemaOf } from "./schema.ts";

/** Of the manifests and their examples. */
const KINDS = [
  "apps/v1 DaemonSet",
  "rbac.authorization.k8s.io/v1 ClusterRole",
  "rbac.authorization.k8s.io/v1 ClusterRoleBinding",
  "rbac.authorization.k8s.io/v1 Role",
  "rbac.authorization.k8s.io/v1 RoleBinding",
  "storage.k8s.io/v1 CSIDriver",
  "storage.k8s.io/v1 StorageClass",
  "v1 Namespace",
  "v1 PersistentVolume",
  "v1 PersistentVolumeClaim",
  "v1 Pod",
  "v1 ServiceAccount",
];
/** No registry has the sidecar, and nobody routes packets here. */
const WITHOUT_OTHERS = JSON.stringify({
  spec: { template: { spec: { hostNetwork: true, containers: [{ name: "provisioner", $patch: "delete" }] } } },
});
const REGISTRATION = `${KUBELET_ROOT}/plugins_registry/csi.holdfast.dev-reg.sock`;

let cluster: Cluster;

beforeAll(async () => {
  const bin = await run(path.join(import.meta.dirname, "build"));
  cluster = await Cluster.start(bin);
  await cluster.mustKubectl("apply", "-f", manifestFiles.driver, "-f", manifestFiles.storageClass);
  await cluster.holdfast("reserve", "ads", "--size", "512");
}, 30 * 60_000);

afterAll(() => cluster?.remove());

/** Makes a volume as an operator does. */
async function makeVolume(id: string, sizeMb = 16): Promise<void> {
  await cluster.holdfast("create", `ads/${id}`, "--size", `${sizeMb}`, "--path", "data");
}

async function stateOf(id: string): Promise<unknown> {
  return (JSON.parse(await cluster.holdfast("show", `ads/${id}`, "--json")) as { readonly state: unknown }).state;
}

describe("registration", () => {
  test("kubelet takes the daemon for a driver of this node, without a registrar", async () => {
    const driver = await eventually(async () => {
      const { spec } = await cluster.get("csinode", NODE_NAME);
      return (spec["drivers"] as readonly object[] | null)?.[0];
    });
    expect(driver).toMatchObject({
      name: "csi.holdfast.dev",
      nodeID: NODE_NAME,
      topologyKeys: ["csi.holdfast.dev/node"],
    });
    const node = await cluster.get("node", NODE_NAME);
    expect(node.metadata.labels?.["csi.holdfast.dev/node"]).toBe(NODE_NAME);
    expect(await cluster.holdfast("status")).not.toContain("Kubelet");
  });

  test("the socket goes when the daemon stops, and kubelet takes the driver off its books until it is back", async () => {
    const drivers = async () => (await cluster.get("csinode", NODE_NAME)).spec["drivers"];
    await cluster.holdfastDaemon.stop();
    expect(existsSync(cluster.room.outside(REGISTRATION))).toBe(false);
    await eventually(async () => (await drivers()) === null);
    await cluster.holdfastDaemon.start();
    await eventually(async () => (await drivers()) !== null);
  });
});

describe("a volume of the operator's", () => {
  test("a pod whose volume is not there waits, is told why, and runs as soon as it is made", async () => {
    await cluster.apply(...existingVolume("late", "ads/late"), pod("late", { volume: claimed("late") }));
    await eventually(async () => /Cannot .*ads\/late/.test(await cluster.eventsOf("late")));
    await makeVolume("late");
    await cluster.untilReady("late");
    await cluster.deletePods("late");
    expect(await stateOf("late")).toBe("detached");
  });

  test("keeps its data through kill -9 of kubelet and daemon, for the pod that runs and for the next one", async () => {
    await makeVolume("db");
    await cluster.apply(...existingVolume("db", "ads/db"), pod("db-1", { volume: claimed("db") }));
    await cluster.untilReady("db-1");
    await cluster.inPod("db-1", "echo first > /data/file");

    await Promise.all([cluster.kubelet.kill9(), cluster.holdfastDaemon.kill9()]);
    await cluster.holdfastDaemon.start();
    await cluster.kubelet.start();
    // Kubelet answers before it knows its pods.
    await eventually(async () => (await cluster.kubectl("exec", "db-1", "--", "true")).status === 0);
    await cluster.inPod("db-1", "echo second >> /data/file");
    expect(await stateOf("db")).toBe("attached");

    await cluster.deletePods("db-1");
    expect(await cluster.volumeMounts()).toEqual([]);
    await cluster.apply(pod("db-2", { volume: claimed("db") }));
    await cluster.untilReady("db-2");
    expect(await cluster.inPod("db-2", "cat /data/file")).toBe("first\nsecond");
    await cluster.deletePods("db-2");
  });

  test("a pod that is deleted while the daemon is dead goes when the daemon is back", async () => {
    await makeVolume("orphan");
    await cluster.apply(...existingVolume("orphan", "ads/orphan"), pod("orphan", { volume: claimed("orphan") }));
    await cluster.untilReady("orphan");
    await cluster.holdfastDaemon.kill9();
    await cluster.mustKubectl("delete", "pod", "orphan", "--wait=false");
    await eventually(async () => (await cluster.volumeMounts()).length === 1);
    await cluster.holdfastDaemon.start();
    await cluster.mustKubectl("wait", "--for=delete", "pod/orphan", "--timeout=100s");
    await eventually(async () => (await stateOf("orphan")) === "detached");
    expect(await cluster.volumeMounts()).toEqual([]);
  });

  test("a second pod waits until the first one has gone", async () => {
    await makeVolume("one");
    await cluster.apply(...existingVolume("one", "ads/one"), pod("one-1", { volume: claimed("one") }));
    await cluster.untilReady("one-1");
    await cluster.apply(pod("one-2", { volume: claimed("one") }));
    await eventually(async () => (await cluster.eventsOf("one-2")).includes("ads/one"));
    await cluster.deletePods("one-1");
    await cluster.untilReady("one-2");
    await cluster.deletePods("one-2");
  });

  test("read-only is the kernel's word", async () => {
    await makeVolume("fixed");
    await cluster.apply(...existingVolume("fixed", "ads/fixed"), pod("fixed", { volume: claimed("fixed", true) }));
    await cluster.untilReady("fixed");
    expect(await cluster.inPod("fixed", "touch /data/file 2>&1 || true")).toContain("Read-only file system");
    await cluster.deletePods("fixed");
  });

  test("fsGroup lets a user who is not root write, here by kubelet's own hand: 1.20 does not leave it to drivers", async () => {
    await makeVolume("shared");
    const securityContext = { runAsUser: 1000, runAsGroup: 1000, fsGroup: 4321 };
    await cluster.apply(
      ...existingVolume("shared", "ads/shared"),
      pod("shared", { volume: claimed("shared"), securityContext }),
    );
    await cluster.untilReady("shared");
    expect(await cluster.inPod("shared", "touch /data/file && stat -c %g /data/file")).toBe("4321");
    await cluster.deletePods("shared");
  });

  test("kubelet tells how full it is", async () => {
    await makeVolume("told");
    await cluster.apply(...existingVolume("told", "ads/told"), pod("told", { volume: claimed("told") }));
    await cluster.untilReady("told");
    const stats = await eventually(async () => {
      const summary = await cluster.mustKubectl("get", "--raw", `/api/v1/nodes/${NODE_NAME}/proxy/stats/summary`);
      return volumeStats(summary, "told");
    });
    expect(stats).toMatchObject({ pvcRef: { name: "told" }, capacityBytes: 16 * 2 ** 20 });
    await cluster.deletePods("told");
  });

  test("grows under its pod when the claim and the volume say so", async () => {
    await makeVolume("grown");
    await cluster.apply(...existingVolume("grown", "ads/grown"), pod("grown", { volume: claimed("grown") }));
    await cluster.untilReady("grown");
    const larger = JSON.stringify({ spec: { resources: { requests: { storage: "32Mi" } } } });
    await cluster.mustKubectl("patch", "pvc", "grown", "--patch", larger);
    await cluster.mustKubectl(
      "patch",
      "pv",
      "grown",
      "--patch",
      JSON.stringify({ spec: { capacity: { storage: "32Mi" } } }),
    );
    await eventually(async () => {
      const { status } = await cluster.get("pvc", "grown");
      return (status?.["capacity"] as { readonly storage: string } | undefined)?.storage === "32Mi";
    });
    expect(await cluster.holdfast("show", "ads/grown")).toContain("32 MB");
    await cluster.deletePods("grown");
  });
});

describe("a volume that is written in its pod", () => {
  test("is made and destroyed with it, and its content is retained", async () => {
    await cluster.apply(pod("scratch", { volume: ephemeral({ size: "8Mi" }) }));
    await cluster.untilReady("scratch");
    await cluster.inPod("scratch", "echo here > /data/file");
    const [made] = await volumesOfCsi();
    expect(made).toMatchObject({ role: "csi", sizeMb: 8, state: "attached" });
    await cluster.deletePods("scratch");
    await eventually(async () => (await volumesOfCsi()).every(({ state }) => state === "retained"));
    const [retained] = await volumesOfCsi();
    expect((await cluster.room.run("cat", `${retained?.path}/file`)).stdout).toBe("here");
  });

  test("with an attribute that nobody knows its pod waits and is told", async () => {
    await cluster.apply(pod("wrong", { volume: ephemeral({ size: "8Mi", colour: "red" }) }));
    await eventually(async () => (await cluster.eventsOf("wrong")).includes("colour"));
    await cluster.deletePods("wrong");
  });
});

describe("the manifests", () => {
  test("the API server takes every one of them, with nothing in it that it does not know", async () => {
    await cluster.mustKubectl("create", "namespace", "holdfast");
    const kustomized = ["apply", "--dry-run=server", "--validate=true"];
    await cluster.mustKubectl(...kustomized, "-k", manifestFiles.folder);
    // Nothing of the other tests bears these names there.
    await cluster.mustKubectl("create", "namespace", "examples");
    const inExamples = [...kustomized, "--namespace=examples"];
    for (const example of manifestFiles.examples) await cluster.mustKubectl(...inExamples, "-f", example);
  });

  test.each(overlays)("the API server takes what %s changes", async (_name, patch) => {
    await cluster.mustKubectl("apply", "-f", manifestFiles.daemonSet, "--dry-run=server", "--validate=true");
    const patched = await cluster.mustKubectl(
      "patch",
      "--local",
      "-f",
      manifestFiles.daemonSet,
      "--type=strategic",
      "--patch",
      patch,
      "-o",
      "yaml",
    );
    await cluster.applyText(patched, "--dry-run=server", "--validate=true");
  });

  test("schema.json, which every test run checks them by, is what this API server knows", async () => {
    const openApi = JSON.parse(await cluster.mustKubectl("get", "--raw", "/openapi/v2")) as OpenApi;
    const text = `${JSON.stringify(schemaOf(openApi, KINDS))}\n`;
    await expect(text).toMatchFileSnapshot(path.join(import.meta.dirname, "schema.json"));
  });

  test("the CSIDriver says what it was told to say", async () => {
    expect((await cluster.get("csidriver", "csi.holdfast.dev")).spec).toMatchObject({
      attachRequired: false,
      podInfoOnMount: true,
      volumeLifecycleModes: ["Persistent", "Ephemeral"],
      storageCapacity: true,
      fsGroupPolicy: "File",
    });
  });
});

describe("the DaemonSet", () => {
  const driverOf = async () =>
    (await cluster.mustKubectl("get", "pods", "--namespace=holdfast", "-o", "name")).split("/")[1] ?? "";
  const rolledOut = ["rollout", "status", "daemonset/holdfast", "--namespace=holdfast", "--timeout=120s"];

  test("takes the node over from the daemon that was there, with a pod at work", async () => {
    await makeVolume("kept");
    await cluster.apply(...existingVolume("kept", "ads/kept"), pod("kept-1", { volume: claimed("kept") }));
    await cluster.untilReady("kept-1");
    await cluster.inPod("kept-1", "echo first > /data/file");
    await cluster.importImage(await makeDriverImage(cluster.dir, "docker.io/library/holdfast:0.1.0"));

    await cluster.holdfastDaemon.stop();
    await cluster.mustKubectl("apply", "-k", manifestFiles.folder);
    await cluster.mustKubectl("patch", "daemonset", "holdfast", "--namespace=holdfast", "--patch", WITHOUT_OTHERS);
    await cluster.mustKubectl(...rolledOut);
    expect(await stateOf("kept")).toBe("attached");
    expect(await cluster.inPod("kept-1", "cat /data/file")).toBe("first");
  });

  test("mounts into pods of the node from its container, through the end of its own pod", async () => {
    await cluster.deletePods("kept-1");
    await cluster.apply(
      pod("kept-2", { volume: claimed("kept") }),
      pod("brief", { volume: ephemeral({ size: "8Mi" }) }),
    );
    await cluster.untilReady("kept-2");
    await cluster.untilReady("brief");
    expect(await cluster.inPod("kept-2", "cat /data/file && echo second >> /data/file")).toBe("first");

    await cluster.mustKubectl("delete", "pod", await driverOf(), "--namespace=holdfast", "--timeout=90s");
    await cluster.inPod("kept-2", "echo third >> /data/file");
    await cluster.mustKubectl(...rolledOut);
    await cluster.deletePods("kept-2", "brief");
    await eventually(async () => (await cluster.volumeMounts()).length === 0);
    expect(await stateOf("kept")).toBe("detached");
  });

  test("gives the node back to a daemon outside, which has everything as it was", async () => {
    await cluster.mustKubectl("delete", "daemonset", "holdfast", "--namespace=holdfast", "--timeout=90s");
    await eventually(async () => (await driverOf()) === "");
    await cluster.holdfastDaemon.start();
    await cluster.apply(pod("kept-3", { volume: claimed("kept") }));
    await cluster.untilReady("kept-3");
    expect(await cluster.inPod("kept-3", "cat /data/file")).toBe("first\nsecond\nthird");
    await cluster.deletePods("kept-3");
  });
});

test("nothing is left when the pods are gone", async () => {
  expect((await cluster.mustKubectl("get", "pods", "-o", "name")).trim()).toBe("");
  expect(await cluster.volumeMounts()).toEqual([]);
  expect(await cluster.holdfast("containers", "--json")).toBe(JSON.stringify({ containers: [] }, null, 2));
  const pods = cluster.room.outside(`${KUBELET_ROOT}/pods`);
  await eventually(async () => (await readdir(pods)).length === 0);
  await eventually(async () => (await processesIn(cluster.group)).length === 0);
  expect((await cluster.room.run("pgrep", "-f", "containerd-shim")).stdout).toBe("");
  expect(await cluster.holdfast("status")).not.toContain("Problem");
});

interface VolumeOfCsi {
  readonly role: string;
  readonly sizeMb: number;
  readonly state: string;
  readonly path: string;
}

async function volumesOfCsi(): Promise<readonly VolumeOfCsi[]> {
  const listed = await cluster.holdfast("list", "--role", "csi", "--json");
  return (JSON.parse(listed) as { readonly volumes: readonly VolumeOfCsi[] }).volumes;
}

interface Summary {
  readonly pods: readonly {
    readonly podRef: { readonly name: string };
    readonly volume?: readonly { readonly name: string }[];
  }[];
}

function volumeStats(summary: string, name: string): object | undefined {
  const found = (JSON.parse(summary) as Summary).pods.find(({ podRef }) => podRef.name === name);
  return found?.volume?.find((volume) => volume.name === "data");
}
