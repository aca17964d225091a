/** What Kubernetes' programs are told: one node, everything in one room, nobody else to be trusted or feared. */
import { generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { PAUSE_IMAGE } from "./image.ts";
import { NODE_ADDRESS } from "./room.ts";

export const NODE_NAME = "node-1";
export const KUBELET_ROOT = "/var/lib/kubelet";
export const CONTAINERD_SOCKET = "/run/containerd/containerd.sock";

const ETCD = "http://127.0.0.1:2379";
const ADMIN_TOKEN = "admin-of-the-test";
/** Fields that only later versions have without being asked, or that Holdfast's manifests use. */
const GATES = "CSIStorageCapacity=true,GenericEphemeralVolume=true";

/** Command lines by the program's name. */
export type CommandLines = Readonly<Record<string, readonly string[]>>;

export interface ConfigurationOptions {
  /** For configuration files; seen under the same path in the room. */
  readonly dir: string;
  /** Where the programs are. */
  readonly bin: string;
  /** A control group that all pods are below; it exists in every hierarchy. */
  readonly group: string;
}

/** Writes the files and says how each program is started. */
export async function configure({ dir, bin, group }: ConfigurationOptions): Promise<CommandLines> {
  const file = (name: string) => path.join(dir, name);
  const kubeconfig = `--kubeconfig=${kubeconfigIn(dir)}`;
  await mkdir(file("cni"), { recursive: true });
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const written: Readonly<Record<string, string>> = {
    "tokens.csv": `${ADMIN_TOKEN},admin,admin,system:masters\n`,
    "accounts.pem": key.export({ type: "pkcs8", format: "pem" }).toString(),
    "kubeconfig.json": JSON.stringify(KUBECONFIG),
    "kubelet.json": JSON.stringify(kubeletConfiguration(group, file("resolv.conf"))),
    "resolv.conf": "",
    "containerd.toml": containerdConfiguration(dir),
    "cni/10-loopback.conflist": JSON.stringify(LOOPBACK_ONLY),
  };
  for (const [name, text] of Object.entries(written)) await writeFile(file(name), text, { mode: 0o600 });
  return {
    etcd: [
      path.join(bin, "etcd"),
      `--data-dir=${file("etcd")}`,
      `--listen-client-urls=${ETCD}`,
      `--advertise-client-urls=${ETCD}`,
      "--listen-peer-urls=http://127.0.0.1:2380",
    ],
    "kube-apiserver": [
      path.join(bin, "kube-apiserver"),
      `--etcd-servers=${ETCD}`,
      `--bind-address=${NODE_ADDRESS}`,
      `--advertise-address=${NODE_ADDRESS}`,
      `--cert-dir=${file("certificates")}`,
      "--service-cluster-ip-range=10.98.0.0/24",
      "--service-account-issuer=https://kubernetes",
      `--service-account-signing-key-file=${file("accounts.pem")}`,
      `--service-account-key-file=${file("accounts.pem")}`,
      `--token-auth-file=${file("tokens.csv")}`,
      "--authorization-mode=RBAC",
      "--allow-privileged=true",
      // Nobody resolves the node's name here.
      "--kubelet-preferred-address-types=InternalIP",
      "--runtime-config=storage.k8s.io/v1alpha1=true",
      `--feature-gates=${GATES}`,
    ],
    "kube-controller-manager": [
      path.join(bin, "kube-controller-manager"),
      kubeconfig,
      "--leader-elect=false",
      "--use-service-account-credentials=false",
      `--service-account-private-key-file=${file("accounts.pem")}`,
      // Claims of a class wait for this long between two looks otherwise.
      "--pvclaimbinder-sync-period=2s",
      `--cert-dir=${file("certificates")}`,
      `--feature-gates=${GATES}`,
    ],
    "kube-scheduler": [
      path.join(bin, "kube-scheduler"),
      kubeconfig,
      "--leader-elect=false",
      `--cert-dir=${file("certificates")}`,
      `--feature-gates=${GATES}`,
    ],
    containerd: ["/usr/bin/containerd", `--config=${file("containerd.toml")}`],
    kubelet: [
      path.join(bin, "kubelet"),
      kubeconfig,
      `--config=${file("kubelet.json")}`,
      `--root-dir=${KUBELET_ROOT}`,
      `--hostname-override=${NODE_NAME}`,
      `--node-ip=${NODE_ADDRESS}`,
      "--container-runtime=remote",
      `--container-runtime-endpoint=unix://${CONTAINERD_SOCKET}`,
    ],
    kubectl: [path.join(bin, "kubectl"), kubeconfig, `--cache-dir=${file("kubectl")}`],
  };
}

function kubeconfigIn(dir: string): string {
  return path.join(dir, "kubeconfig.json");
}

const KUBECONFIG = {
  apiVersion: "v1",
  kind: "Config",
  clusters: [{ name: "test", cluster: { server: `https://${NODE_ADDRESS}:6443`, "insecure-skip-tls-verify": true } }],
  users: [{ name: "admin", user: { token: ADMIN_TOKEN } }],
  contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
  "current-context": "test",
};

function kubeletConfiguration(group: string, resolvConf: string): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    cgroupDriver: "cgroupfs",
    cgroupRoot: group,
    failSwapOn: false,
    protectKernelDefaults: true,
    makeIPTablesUtilChains: false,
    resolvConf,
    volumePluginDir: "/var/lib/kubelet-volume-plugins",
    // The machine's disk is others' business.
    evictionHard: { "nodefs.available": "1Mi", "imagefs.available": "1Mi", "memory.available": "10Mi" },
    imageGCHighThresholdPercent: 100,
    syncFrequency: "5s",
    volumeStatsAggPeriod: "5s",
    featureGates: { GenericEphemeralVolume: true },
  };
}

/** Every container is started with the limits that this machine allows. */
function containerdConfiguration(dir: string): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${path.join(dir, "cni")}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`;
}

const LOOPBACK_ONLY = { cniVersion: "0.4.0", name: "loopback-only", plugins: [{ type: "loopback" }] };
