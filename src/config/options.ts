/**
 * The daemon's options, listed once: the command line registers its flags from this table, the README prints it, and
 * the schema of the configuration file must have exactly these keys. Loads no library, so that the command line may
 * read it on every start.
 */
import { resolve } from "node:path";

export interface DaemonOption {
  /** The key in the configuration file. */
  readonly name: string;
  /** The same on the command line: `workRoot` is `--work-root`. */
  readonly flag: `--${string}`;
  /** Placeholder of the value. `DIR`, `FILE` and `PATH` are paths. */
  readonly argument: string;
  /** In the form a flag has; an option without one is off. */
  readonly default?: string;
  /** What the configuration that is installed sets, where that differs. */
  readonly installed?: string;
  readonly help: string;
  /** May be given several times, and is a list in the configuration file. */
  readonly repeatable: boolean;
}

export const DAEMON_OPTIONS = [
  {
    name: "workRoot",
    flag: "--work-root",
    argument: "DIR",
    default: "/var/lib/holdfast",
    help: "Directory that holds the volumes and everything Holdfast keeps",
    repeatable: false,
  },
  {
    name: "listen",
    flag: "--listen",
    argument: "HOST:PORT",
    default: "127.0.0.1:5055",
    help: "Address of the operator HTTP; port 0 takes a free one",
    repeatable: false,
  },
  {
    name: "socket",
    flag: "--socket",
    argument: "PATH",
    default: "/run/holdfast/holdfast.sock",
    help: "Agent socket; who can open it is the superuser",
    repeatable: false,
  },
  {
    name: "dockerPlugin",
    flag: "--docker-plugin",
    argument: "PATH",
    installed: "/run/docker/plugins/holdfast.sock",
    help: "Socket of the volume plugin for Docker and Podman, such as /run/docker/plugins/holdfast.sock; without it there is none",
    repeatable: false,
  },
  {
    name: "dockerPluginRole",
    flag: "--docker-plugin-role",
    argument: "ROLE",
    default: "docker",
    help: "Role of the volumes that Docker and Podman name without a role",
    repeatable: false,
  },
  {
    name: "dockerPluginSize",
    flag: "--docker-plugin-size",
    argument: "SIZE",
    help: "Size of a volume that Docker or Podman creates without one, such as 512M; without it a size must be given",
    repeatable: false,
  },
  {
    name: "csi",
    flag: "--csi",
    argument: "PATH",
    help: "Socket of the CSI plugin for Kubernetes and Nomad, such as /var/lib/kubelet/plugins/csi.holdfast.dev/csi.sock; without it there is none",
    repeatable: false,
  },
  {
    name: "csiRole",
    flag: "--csi-role",
    argument: "ROLE",
    default: "csi",
    help: "Role of the volumes that are made through CSI without one",
    repeatable: false,
  },
  {
    name: "csiSize",
    flag: "--csi-size",
    argument: "SIZE",
    default: "1G",
    help: "Size of a volume that is made through CSI without one",
    repeatable: false,
  },
  {
    name: "csiNodeId",
    flag: "--csi-node-id",
    argument: "NAME",
    help: "What the cluster calls this node; without it the host name",
    repeatable: false,
  },
  {
    name: "kubeletRegistration",
    flag: "--kubelet-registration",
    argument: "DIR",
    help: "Where kubelet looks for plugins, such as /var/lib/kubelet/plugins_registry: the daemon registers the CSI plugin there by itself",
    repeatable: false,
  },
  {
    name: "sandboxRoot",
    flag: "--sandbox-root",
    argument: "DIR",
    help: "Directory of sandboxes that is made a shared mount at start, so that running containers see new volumes",
    repeatable: true,
  },
  {
    name: "resources",
    flag: "--resources",
    argument: "RESOURCES",
    help: "Disk of this node in Mesos's text or JSON form, such as disk(ads):2048;disk(*):8192; without it the size is detected from the work root's file system",
    repeatable: false,
  },
  {
    name: "credentials",
    flag: "--credentials",
    argument: "FILE",
    help: "Who may use the operator HTTP, in Mesos's JSON form; without it everybody may",
    repeatable: false,
  },
  {
    name: "acls",
    flag: "--acls",
    argument: "FILE",
    help: "What they may do, in Mesos's JSON form; without it everything",
    repeatable: false,
  },
  {
    name: "tlsCert",
    flag: "--tls-cert",
    argument: "FILE",
    help: "Certificate chain in PEM form: the operator HTTP becomes HTTPS",
    repeatable: false,
  },
  {
    name: "tlsKey",
    flag: "--tls-key",
    argument: "FILE",
    help: "Private key of the certificate in PEM form",
    repeatable: false,
  },
  {
    name: "allowedHosts",
    flag: "--allowed-hosts",
    argument: "HOST",
    help: "Name that the operator HTTP accepts in the Host header, besides IP addresses, localhost and the machine's names",
    repeatable: true,
  },
  {
    name: "projectRange",
    flag: "--project-range",
    argument: "FIRST-LAST",
    default: "2000000-2999999",
    help: "Project ids that Holdfast may give to volumes where project quotas hold them to their sizes; one that anything on the disk has already is left alone",
    repeatable: false,
  },
  {
    name: "spares",
    flag: "--spares",
    argument: "NUMBER",
    default: "1024",
    help: "Directories kept ready on each disk, so that creating a volume waits for no sync; 0 makes each when it is needed",
    repeatable: false,
  },
  {
    name: "eventsKept",
    flag: "--events-kept",
    argument: "SIZE",
    default: "64M",
    help: "Room for the audit trail under the work root, at least 1M; when it is full, the oldest events go",
    repeatable: false,
  },
  {
    name: "gcDelay",
    flag: "--gc-delay",
    argument: "DURATION",
    default: "1w",
    help: "How long the content of a destroyed volume is kept while the disk is empty",
    repeatable: false,
  },
  {
    name: "gcHeadroom",
    flag: "--gc-headroom",
    argument: "FRACTION",
    default: "0.1",
    help: "Part of the disk that garbage collection keeps free: age >= delay * max(0, 1 - headroom - usage) is collected",
    repeatable: false,
  },
  {
    name: "gcInterval",
    flag: "--gc-interval",
    argument: "DURATION",
    default: "1m",
    help: "How often garbage collection looks",
    repeatable: false,
  },
  {
    name: "gcMinAge",
    flag: "--gc-min-age",
    argument: "DURATION",
    default: "1h",
    help: "How long destroyed content is kept even when the disk is full",
    repeatable: false,
  },
  {
    name: "mountBackend",
    flag: "--mount-backend",
    argument: "auto|bind|symlink",
    default: "auto",
    help: "How volumes appear in sandboxes; auto takes bind mounts where they work",
    repeatable: false,
  },
  {
    name: "selinuxLabel",
    flag: "--selinux-label",
    argument: "auto|none|LABEL",
    default: "auto",
    help: "SELinux label of new volumes' content; auto takes system_u:object_r:container_file_t:s0 where there is SELinux",
    repeatable: false,
  },
  {
    name: "reconcileInterval",
    flag: "--reconcile-interval",
    argument: "DURATION",
    default: "30s",
    help: "How often every volume and mount is compared with what is recorded",
    repeatable: false,
  },
  {
    name: "logLevel",
    flag: "--log-level",
    argument: "debug|info|warn|error",
    default: "info",
    help: "Least level of the log lines on stderr",
    repeatable: false,
  },
] as const satisfies readonly DaemonOption[];

export type OptionName = (typeof DAEMON_OPTIONS)[number]["name"];

const PATH_ARGUMENTS: readonly string[] = ["DIR", "FILE", "PATH"];

/** The same flags with relative paths made absolute: a shell's user means the current directory, a file cannot. */
export function resolvePathFlags(flags: Readonly<Record<string, unknown>>, cwd: string): Record<string, unknown> {
  const resolved: Record<string, unknown> = { ...flags };
  for (const { name, argument } of DAEMON_OPTIONS) {
    if (!PATH_ARGUMENTS.includes(argument) || resolved[name] === undefined) continue;
    const value = resolved[name];
    resolved[name] = Array.isArray(value) ? value.map((path) => absolute(cwd, path)) : absolute(cwd, value);
  }
  return resolved;
}

function absolute(cwd: string, path: unknown): unknown {
  if (typeof path !== "string" || path === "" || path.startsWith("file://")) return path;
  return resolve(cwd, path);
}
