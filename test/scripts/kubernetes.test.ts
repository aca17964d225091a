/**
 * The manifests of `scripts/kubernetes`: every field is one that the API server of `npm run test:kubernetes` knows, and the
 * parts fit together and to the daemon.
 */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { loadSettings } from "../../src/config/settings.ts";
import schema from "../kubernetes/schema.json" with { type: "json" };
import { mistakesIn, type Schema } from "../kubernetes/schema.ts";

const FOLDER = path.resolve(import.meta.dirname, "../../scripts/kubernetes");
/** Not the API server's, or of a CRD. */
const OTHERS = ["Component", "Kustomization", "VolumeSnapshotClass"];
/** Which leave out what they do not change. */
const PATCHES = ["snapshots/snapshotter.yaml", "watched/listen.yaml"];

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly mountPropagation?: string;
  }[];
}

interface DaemonSet extends Manifest {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
      };
    };
  };
}

const files = globSync("**/*.yaml", { cwd: FOLDER })
  .filter((file) => file !== "holdfast.yaml")
  .sort();

function documents(file: string): readonly Manifest[] {
  return parseAllDocuments(readFileSync(path.join(FOLDER, file), "utf8")).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  });
}

const all = files.flatMap(documents);
const daemonSet = documents("daemon-set.yaml")[0] as DaemonSet;
const pod = daemonSet.spec.template.spec;
const configuration = path.join(FOLDER, "holdfast.yaml");

test("the check finds a field that the API server does not know, and one of another type", () => {
  const wrong = structuredClone(daemonSet) as unknown as { spec: { template: { spec: Record<string, unknown> } } };
  wrong.spec.template.spec["hostPid"] = true;
  wrong.spec.template.spec["hostPID"] = "yes";
  expect(mistakesIn(schema as Schema, wrong)).toEqual([
    "DaemonSet.spec.template.spec.hostPID: expected boolean",
    "DaemonSet.spec.template.spec.hostPid: unknown",
  ]);
});

describe("every manifest", () => {
  test.each(files)("%s has fields of the API alone", (file) => {
    const own = documents(file).filter(({ kind }) => !OTHERS.includes(kind));
    const mistakes = own.flatMap((manifest) => mistakesIn(schema as Schema, manifest));
    expect(mistakes.filter((mistake) => !PATCHES.includes(file) || !mistake.endsWith(": missing"))).toEqual([]);
  });

  test("is in a kustomization, or an example", () => {
    const listed = files
      .filter((file) => path.basename(file) === "kustomization.yaml")
      .flatMap((file) => {
        const { resources = [], patches = [] } = parse(readFileSync(path.join(FOLDER, file), "utf8")) as {
          readonly resources?: readonly string[];
          readonly patches?: readonly { readonly path: string }[];
        };
        return [
          file,
          ...[...resources, ...patches.map((patch) => patch.path)].map((name) => path.join(path.dirname(file), name)),
        ];
      });
    expect(files.filter((file) => !listed.includes(file) && !file.startsWith("examples/"))).toEqual([]);
  });
});

describe("the parts fit together", () => {
  test("the configuration is one that the daemon takes, and its paths are mounted where they are", () => {
    const { workRoot, socket, csi } = loadSettings({ file: configuration, flags: {} });
    const [driver] = pod.containers;
    const hostPaths = new Map(pod.volumes.map(({ name, hostPath }) => [name, hostPath?.path]));
    for (const wanted of [workRoot, socket, csi?.path, csi?.kubeletRegistration]) {
      const mount = driver?.volumeMounts.find(
        ({ mountPath }) => wanted === mountPath || wanted?.startsWith(`${mountPath}/`),
      );
      expect(hostPaths.get(mount?.name ?? "")).toBe(mount?.mountPath);
    }
    const twoWays = driver?.volumeMounts.filter(({ mountPropagation }) => mountPropagation === "Bidirectional");
    expect(twoWays?.map(({ mountPath }) => mountPath)).toEqual(["/var/lib/holdfast", "/var/lib/kubelet"]);
  });

  test("every flag of the driver is one that the daemon has", () => {
    const patches = ["watched/listen.yaml"].flatMap((file) => documents(file) as DaemonSet[]);
    for (const { spec } of [daemonSet, ...patches]) {
      const [, ...flags] = spec.template.spec.containers.find(({ name }) => name === "driver")?.args ?? [];
      const known = flags.map((flag) => flag.replace(/^--/, "").split("=")[0] ?? "");
      const given = known
        .filter((name) => name !== "config")
        .map((name) => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()));
      const values = Object.fromEntries(given.map((name) => [name, SAMPLES[name]]));
      expect(() => loadSettings({ file: configuration, flags: values })).not.toThrow();
      expect(Object.values(values)).not.toContain(undefined);
    }
  });

  test("sidecars find the driver's socket, and every mount is of a volume that is there", () => {
    const names = pod.volumes.map(({ name }) => name);
    const sidecars = [
      ...pod.containers,
      ...(documents("snapshots/snapshotter.yaml") as DaemonSet[]).flatMap(({ spec }) => spec.template.spec.containers),
    ];
    for (const { volumeMounts } of sidecars) for (const { name } of volumeMounts) expect(names).toContain(name);
    const plugin = pod.volumes.find(({ name }) => name === "plugin")?.hostPath?.path;
    expect(`${plugin}/csi.sock`).toBe(loadSettings({ file: configuration, flags: {} }).csi?.path);
  });

  test("roles are bound to the account that the pods run as, in their namespace", () => {
    interface Binding extends Manifest {
      readonly subjects: readonly { readonly name: string; readonly namespace: string }[];
      readonly roleRef: { readonly kind: string; readonly name: string };
    }
    const bindings = all.filter(({ kind }) => kind.endsWith("RoleBinding")) as Binding[];
    expect(bindings.length).toBeGreaterThan(2);
    for (const { subjects, roleRef } of bindings) {
      expect(subjects).toMatchObject([{ name: pod.serviceAccountName, namespace: daemonSet.metadata.namespace }]);
      expect(all.some(({ kind, metadata }) => kind === roleRef.kind && metadata.name === roleRef.name)).toBe(true);
    }
  });
});

const SAMPLES: Readonly<Record<string, string>> = {
  csiNodeId: "node-1",
  listen: "0.0.0.0:5055",
  credentials: "/etc/holdfast-access/credentials.json",
  acls: "/etc/holdfast-access/acls.json",
};
