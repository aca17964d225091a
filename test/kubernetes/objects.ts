/** Kubernetes objects as the tests apply them: small, and with nothing that a claim or a pod could do without. */
import { PAUSE_IMAGE } from "./image.ts";

const DRIVER = "csi.holdfast.dev";
const CLASS = "holdfast";

/** The volume `ROLE/ID`, and the claim that has it; both by one name. */
export function existingVolume(name: string, handle: string, sizeMi = 16): readonly object[] {
  const common = { storageClassName: CLASS, accessModes: ["ReadWriteOnce"] };
  return [
    {
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: { name },
      spec: {
        ...common,
        capacity: { storage: `${sizeMi}Mi` },
        persistentVolumeReclaimPolicy: "Retain",
        claimRef: { namespace: "default", name },
        csi: { driver: DRIVER, volumeHandle: handle },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: `${DRIVER}/node`, operator: "In", values: ["node-1"] }] }],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name },
      spec: { ...common, volumeName: name, resources: { requests: { storage: `${sizeMi}Mi` } } },
    },
  ];
}

export interface PodOptions {
  /** What stands under `volumes[0]`, without its name. */
  readonly volume: object;
  readonly securityContext?: object;
  readonly readOnly?: boolean;
}

/** A pod that sleeps, with one volume at /data. */
export function pod(name: string, { volume, securityContext = {}, readOnly = false }: PodOptions): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      // Nobody routes packets here.
      hostNetwork: true,
      // With 0 it is off the API server's books before kubelet has done anything.
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      securityContext,
      containers: [
        {
          name: "main",
          image: PAUSE_IMAGE,
          imagePullPolicy: "Never",
          volumeMounts: [{ name: "data", mountPath: "/data", readOnly }],
        },
      ],
      volumes: [{ name: "data", ...volume }],
    },
  };
}

export function claimed(claimName: string, readOnly = false): object {
  return { persistentVolumeClaim: { claimName, readOnly } };
}

/** Written in the pod itself. */
export function ephemeral(attributes: Readonly<Record<string, string>>): object {
  return { csi: { driver: DRIVER, volumeAttributes: attributes } };
}
