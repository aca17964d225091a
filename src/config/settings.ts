/**
 * What the daemon is told: defaults, then the YAML file, then the flags, each checked on its own so that a message can
 * name the place of the mistake. Behind `loadSettings` everything is typed and has its unit in its name.
 */
import { z } from "zod";
import { HoldfastError } from "../domain/error.ts";
import type { MilliMb, Role } from "../domain/units.ts";
import {
  absolutePath,
  duration,
  eventsKept,
  filePath,
  fraction,
  hostName,
  interval,
  type ListenAddress,
  listenAddress,
  listOf,
  nodeName,
  oneOf,
  type ProjectRange,
  projectRange,
  resources,
  role,
  selinuxLabel,
  size,
  socketPath,
  spares,
} from "./fields.ts";
import { DAEMON_OPTIONS, type OptionName } from "./options.ts";
import { readYamlFile } from "./yaml-file.ts";

export interface Settings {
  readonly workRoot: string;
  readonly listen: ListenAddress;
  readonly socket: string;
  /** The volume plugin for Docker and Podman; `undefined` when there is none. */
  readonly dockerPlugin: DockerPluginSettings | undefined;
  /** The CSI plugin for Kubernetes and Nomad; `undefined` when there is none. */
  readonly csi: CsiSettings | undefined;
  readonly sandboxRoots: readonly string[];
  /** Mesos's text or JSON form, not parsed yet; `undefined` means the size of the work root's file system. */
  readonly resources: string | undefined;
  readonly credentialsFile: string | undefined;
  readonly aclsFile: string | undefined;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** Host names in lower case that the Host header may have, besides the machine's own. */
  readonly allowedHosts: readonly string[];
  /** What volumes may have as project ids. */
  readonly projectRange: ProjectRange;
  /** Directories kept ready on each disk. */
  readonly spares: number;
  /** Room for the audit trail. */
  readonly eventsKeptBytes: number;
  readonly gcDelayMs: number;
  /** Between 0 and 1. */
  readonly gcHeadroom: number;
  readonly gcIntervalMs: number;
  readonly gcMinAgeMs: number;
  readonly mountBackend: "auto" | "bind" | "symlink";
  /** `auto`, `none`, or the label itself. */
  readonly selinuxLabel: string;
  readonly reconcileIntervalMs: number;
  readonly logLevel: "debug" | "info" | "warn" | "error";
}

/** What a setting is called by whoever sets it. */
const KEYS: Readonly<Record<keyof Settings, string>> = {
  workRoot: "workRoot",
  listen: "listen",
  socket: "socket",
  dockerPlugin: "dockerPlugin",
  csi: "csi",
  sandboxRoots: "sandboxRoot",
  resources: "resources",
  credentialsFile: "credentials",
  aclsFile: "acls",
  tls: "tlsCert or tlsKey",
  allowedHosts: "allowedHosts",
  projectRange: "projectRange",
  spares: "spares",
  eventsKeptBytes: "eventsKept",
  gcDelayMs: "gcDelay",
  gcHeadroom: "gcHeadroom",
  gcIntervalMs: "gcInterval",
  gcMinAgeMs: "gcMinAge",
  mountBackend: "mountBackend",
  selinuxLabel: "selinuxLabel",
  reconcileIntervalMs: "reconcileInterval",
  logLevel: "logLevel",
};

/** What may change while the daemon runs; everything else waits for a restart. */
const LIVE: readonly (keyof Settings)[] = ["gcDelayMs", "gcHeadroom", "gcMinAgeMs"];

/** The keys of those that differ, and take effect at a restart only. */
export function waitingForRestart(inForce: Settings, changed: Settings): readonly string[] {
  const names = Object.keys(KEYS) as (keyof Settings)[];
  return names
    .filter((name) => !LIVE.includes(name) && JSON.stringify(changed[name]) !== JSON.stringify(inForce[name]))
    .map((name) => KEYS[name]);
}

interface DockerPluginSettings {
  readonly path: string;
  /** Of the volumes that are named without a role. */
  readonly role: Role;
  /** Of a volume that is created without a size; `undefined` refuses it. */
  readonly defaultSize: MilliMb | undefined;
}

interface CsiSettings {
  readonly path: string;
  /** Of the volumes that are made without a role. */
  readonly role: Role;
  /** Of a volume that is made without a size. */
  readonly defaultSize: MilliMb;
  /** What the cluster calls this node; `undefined` for its host name. */
  readonly nodeId: string | undefined;
  /** Where kubelet looks for plugins; `undefined` where somebody else registers this one, or nobody. */
  readonly kubeletRegistration: string | undefined;
}

const SCHEMA = z.strictObject({
  workRoot: absolutePath,
  listen: listenAddress,
  socket: socketPath,
  dockerPlugin: socketPath.optional(),
  dockerPluginRole: role,
  dockerPluginSize: size.optional(),
  csi: socketPath.optional(),
  csiRole: role,
  csiSize: size,
  csiNodeId: nodeName.optional(),
  kubeletRegistration: absolutePath.optional(),
  sandboxRoot: listOf(absolutePath, "a list of absolute paths").optional(),
  resources: resources.optional(),
  credentials: filePath.optional(),
  acls: filePath.optional(),
  tlsCert: filePath.optional(),
  tlsKey: filePath.optional(),
  allowedHosts: listOf(hostName, "a list of host names").optional(),
  projectRange,
  spares,
  eventsKept,
  gcDelay: duration,
  gcHeadroom: fraction,
  gcInterval: interval,
  gcMinAge: duration,
  mountBackend: oneOf(["auto", "bind", "symlink"]),
  selinuxLabel,
  reconcileInterval: interval,
  logLevel: oneOf(["debug", "info", "warn", "error"]),
} satisfies Record<OptionName, z.ZodType>);

const LAYER = SCHEMA.partial();

type Layer = Readonly<Record<string, unknown>>;

/**
 * The settings from a YAML file and the command line's flags, by the names of `DAEMON_OPTIONS`; flags win, and those
 * that are `undefined` were not given. Paths must be absolute: `resolvePathFlags` goes first.
 * @throws `invalid` naming the file or the flag, its value and what was expected
 */
export function loadSettings(sources: { readonly file?: string | undefined; readonly flags: Layer }): Settings {
  const file = sources.file === undefined ? {} : readLayer(sources.file);
  const flags = Object.fromEntries(Object.entries(sources.flags).filter(([, value]) => value !== undefined));
  check(file, `the configuration ${sources.file}`, (name) => name);
  check(flags, "the command line", flagOf);
  return toSettings(SCHEMA.parse({ ...defaults(), ...file, ...flags }));
}

function readLayer(path: string): Layer {
  const value = readYamlFile(path);
  if (value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Layer;
  throw new HoldfastError("invalid", `Cannot use the configuration ${path}: expected settings such as workRoot: /data`);
}

function defaults(): Layer {
  return Object.fromEntries(
    DAEMON_OPTIONS.flatMap((option) => ("default" in option ? [[option.name, option.default]] : [])),
  );
}

function toSettings(values: z.output<typeof SCHEMA>): Settings {
  return {
    workRoot: values.workRoot,
    listen: values.listen,
    socket: values.socket,
    dockerPlugin:
      values.dockerPlugin === undefined
        ? undefined
        : { path: values.dockerPlugin, role: values.dockerPluginRole, defaultSize: values.dockerPluginSize },
    csi: csiOf(values),
    sandboxRoots: values.sandboxRoot ?? [],
    resources: values.resources,
    credentialsFile: values.credentials,
    aclsFile: values.acls,
    tls: tlsOf(values.tlsCert, values.tlsKey),
    allowedHosts: values.allowedHosts ?? [],
    projectRange: values.projectRange,
    spares: values.spares,
    eventsKeptBytes: values.eventsKept,
    gcDelayMs: values.gcDelay,
    gcHeadroom: values.gcHeadroom,
    gcIntervalMs: values.gcInterval,
    gcMinAgeMs: values.gcMinAge,
    mountBackend: values.mountBackend,
    selinuxLabel: values.selinuxLabel,
    reconcileIntervalMs: values.reconcileInterval,
    logLevel: values.logLevel,
  };
}

function csiOf(values: z.output<typeof SCHEMA>): Settings["csi"] {
  const { csi: path, csiRole: role, csiSize: defaultSize, csiNodeId: nodeId, kubeletRegistration } = values;
  if (path !== undefined) return { path, role, defaultSize, nodeId, kubeletRegistration };
  if (kubeletRegistration === undefined) return undefined;
  throw new HoldfastError("invalid", "Cannot use kubeletRegistration: there is no plugin to register without csi");
}

function tlsOf(certFile: string | undefined, keyFile: string | undefined): Settings["tls"] {
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  if (certFile === undefined && keyFile === undefined) return undefined;
  const [given, missing] = certFile === undefined ? ["tlsKey", "tlsCert"] : ["tlsCert", "tlsKey"];
  throw new HoldfastError("invalid", `Cannot use TLS: ${given} is given without ${missing}, expected both or neither`);
}

/** Nobody mends more at once. */
const MISTAKES_SHOWN = 10;

/** Refuses a layer with its mistakes in one sentence; `label` is what its author calls a setting. */
function check(layer: Layer, place: string, label: (name: string) => string): void {
  const { error } = LAYER.safeParse(layer, { reportInput: true });
  if (error === undefined) return;
  const mistakes = error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys" ? unknownKeys(issue.keys) : [wrongValue(issue, label)],
  );
  const rest = mistakes.length - MISTAKES_SHOWN;
  const told = rest > 0 ? [...mistakes.slice(0, MISTAKES_SHOWN), `and ${rest} more`] : mistakes;
  throw new HoldfastError("invalid", `Cannot use ${place}: ${told.join("; ")}`);
}

function wrongValue(issue: z.core.$ZodIssue, label: (name: string) => string): string {
  const [name, ...indices] = issue.path;
  const place = label(String(name)) + indices.map((index) => `[${String(index)}]`).join("");
  return `${place} is ${shown(issue.input)}, expected ${issue.message}`;
}

/** What there is instead is listed once. */
function unknownKeys(keys: readonly string[]): readonly string[] {
  let isListed = false;
  return keys.map((key) => {
    const meant = DAEMON_OPTIONS.find(({ name }) => plain(name) === plain(key));
    if (meant !== undefined) return `${shown(key)} is not a setting, expected ${meant.name}`;
    const names = isListed ? "" : `, expected one of ${DAEMON_OPTIONS.map(({ name }) => name).join(", ")}`;
    isListed = true;
    return `${shown(key)} is not a setting${names}`;
  });
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, "");
}

function flagOf(name: string): string {
  return DAEMON_OPTIONS.find((option) => option.name === name)?.flag ?? name;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
