/**
 * The daemon: builds every part from the settings, starts them, and stops them in reverse. The only wiring there is.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import manifest from "../package.json" with { type: "json" };
import { readAclsFile } from "./auth/acls-file.ts";
import { createBasicAuthenticator } from "./auth/basic.ts";
import { readCredentialsFile } from "./auth/credentials.ts";
import { createReloader, type Reloader } from "./auth/reloader.ts";
import { watchFiles } from "./auth/watch.ts";
import { nodeName } from "./config/fields.ts";
import { type Settings, waitingForRestart } from "./config/settings.ts";
import { type Acls, PERMISSIVE } from "./domain/acl.ts";
import { parseDeclaredResources, requireApart } from "./domain/declared.ts";
import { HoldfastError, messageOf } from "./domain/error.ts";
import { type DiskResource, type DiskSource, ROOT_DISK, sourceKey } from "./domain/resource.ts";
import { parseSizeMb } from "./domain/size.ts";
import type { AgentId } from "./domain/units.ts";
import type { Engine, NodeStatus } from "./engine/engine.ts";
import { NodeEngine, type NodeEngineOptions } from "./engine/node-engine.ts";
import { registerBuild, registerGauges } from "./gauges.ts";
import { readBundleConfig } from "./host/bundle.ts";
import { createProcesses } from "./host/container-processes.ts";
import { type DirectoryDiskOptions, openDirectoryDisk } from "./host/directory-disk.ts";
import { lookAtDrive } from "./host/disk-peek.ts";
import { openEventTrail } from "./host/event-trail.ts";
import { createHolders } from "./host/holders.ts";
import { openJournal } from "./host/journal.ts";
import { lockWorkRoot } from "./host/lock.ts";
import { createMounter } from "./host/mount-thread.ts";
import { nodeKey } from "./host/node-key.ts";
import { peerOf } from "./host/peer.ts";
import { realPathOf } from "./host/real-path.ts";
import { runtimeOf } from "./host/runtime-of.ts";
import { shareSandboxRoot } from "./host/sandbox-root.ts";
import { createSandboxes } from "./host/sandboxes.ts";
import { selinuxLabelFor, selinuxMode } from "./host/selinux.ts";
import { hasHistory } from "./host/survey.ts";
import { exitNow } from "./host/syscalls.ts";
import { openSystemClock } from "./host/system-clock.ts";
import { systemRandom } from "./host/system-random.ts";
import { type ServiceManager, unixPathOf } from "./host/systemd.ts";
import { detectDiskMb, prepareWorkRoot } from "./host/work-root.ts";
import { createLog, type FlushableLog } from "./observe/log.ts";
import { createMetrics } from "./observe/metrics.ts";
import type { Authenticator } from "./ports/authenticator.ts";
import type { Disk } from "./ports/disk.ts";
import type { Log } from "./ports/log.ts";
import { reportReady } from "./service.ts";
import { openCheckpoint } from "./store/checkpoint.ts";
import { decodeVolumeLabel, encodeNodeLabel, encodeVolumeLabel } from "./store/label.ts";

export interface DaemonOptions {
  /** For development and tests: takes a work root that does not outlive a reboot. */
  readonly allowVolatile?: boolean;
  readonly log?: FlushableLog;
  readonly configuration?: ConfigurationFile;
  /** Sockets that listen already, by the door they belong to: `agent`, `docker`, `csi`, `http`. */
  readonly listeners?: ReadonlyMap<string, number>;
}

export interface Daemon {
  readonly agentId: AgentId;
  readonly mountBackend: "bind" | "symlink";
  /** Where the operator HTTP listens. */
  readonly address: { readonly host: string; readonly port: number };
  readonly log: FlushableLog;
  readonly engine: Engine;
  /** Reads configuration, credentials and ACLs again; what is broken stays as it was, and the log says so. */
  reload(): Promise<void>;
  /** Finishes what was begun and closes everything. Never unmounts. */
  stop(): Promise<void>;
}

/** The checkpoint cannot be stored any more: the service manager shall know it from a mistake in the configuration. */
const EXIT_STORE = 74;

/** What a part says of itself in the node's status. */
type Remarks = Pick<NodeStatus, "problems" | "notices">;

/** The configuration file, and how to read it again with the flags that win over it. */
interface ConfigurationFile {
  readonly path: string;
  readonly load: () => Promise<Settings>;
}

/** Runs until SIGTERM or SIGINT; a second signal does not wait. */
export async function runDaemon(
  settings: Settings,
  { manager, ...options }: DaemonOptions & { readonly manager: ServiceManager },
): Promise<void> {
  const { listeners } = manager;
  const log = options.log ?? openLog(settings);
  // The last listener: the log's comes before all others.
  process.on("exit", (status) => exitNow(status));
  // Node itself would print what nobody caught behind that one: never.
  process.on("uncaughtExceptionMonitor", (error) => tellEnd(error, log));
  const daemon = await startDaemon(settings, { ...options, log, listeners });
  const service = reportReady({ manager, engine: daemon.engine, log: daemon.log });
  process.on("SIGHUP", () => void service.reloading(daemon.reload()));
  await stopSignal(daemon.log);
  service.stopping();
  await daemon.stop();
}

/** Resolves at the first SIGTERM or SIGINT. */
export function stopSignal(log: Log): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        log.info({ signal }, "Stopping");
        process.once(signal, () => process.exit(1));
        resolve();
      });
    }
  });
}

export async function startDaemon(settings: Settings, options: DaemonOptions = {}): Promise<Daemon> {
  const log = options.log ?? openLog(settings);
  const stops: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of stops.toReversed()) await close();
    stops.length = 0;
    log.info({}, "Stopped");
    log.flush();
  };
  try {
    return { ...(await startParts(settings, options, log, stops)), log, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Each part that must be closed leaves its way to do so in `stops`. */
async function startParts(
  settings: Settings,
  options: DaemonOptions,
  log: FlushableLog,
  stops: (() => unknown)[],
): Promise<Omit<Daemon, "log" | "stop">> {
  const workRoot = prepareWorkRoot(settings.workRoot, { allowVolatile: options.allowVolatile === true });
  const lock = await lockWorkRoot(workRoot.path, { log });
  stops.push(() => lock.release());

  if (settings.mountBackend !== "symlink") settings.sandboxRoots.forEach(shareSandboxRoot);
  const reloads: Reloader<unknown>[] = [];
  const { current, waiting } = watchConfiguration(settings, options.configuration, log, stops, reloads);
  const access = await loadAccess(settings, log, stops, reloads);
  const clock = openSystemClock();
  const metrics = createMetrics();
  const declared = declaredDisk(settings, workRoot.path, log);
  const mounter = await createMounter({ backend: settings.mountBackend });
  stops.push(() => mounter.close());
  const firstStart = !hasHistory(workRoot.path);
  const diskNotices: string[] = [];
  const selinux = selinuxOptions(settings, (notice) => diskNotices.push(notice));
  const diskRoots: string[] = [];
  const openDisk = (source: DiskSource): Promise<Disk> => {
    const root = source.type === "ROOT" ? workRoot.path : source.root;
    // Also where a disk has gone away, processes may still hold what was on it.
    if (!diskRoots.includes(root)) diskRoots.push(root);
    const labels = {
      encodeVolume: encodeVolumeLabel,
      decodeVolume: decodeVolumeLabel,
      encodeNode: encodeNodeLabel,
    };
    const { projectRange } = settings;
    const spares = { min: settings.spares, max: 2 * settings.spares };
    return openDirectoryDisk({ root, source, labels, log, selinux, projectRange, spares });
  };
  const rootDisk = await openDisk(ROOT_DISK);
  stops.push(() => rootDisk.close());
  const holders = createHolders({ diskRoots });
  stops.push(() => holders.close());
  const processes = createProcesses();
  stops.push(() => processes.close());
  const sandboxes = createSandboxes({ foundations: foundationsOf(settings) });
  stops.push(() => sandboxes.close());

  const store = openCheckpoint({
    directory: join(workRoot.path, "meta"),
    ...(firstStart ? { create: { header: { agentId: systemRandom.uuid() as AgentId, createdAt: clock.now() } } } : {}),
    onFatal: (error) => die(error, log),
    log,
    metrics,
  });
  const trail = openEventTrail({
    directory: join(workRoot.path, "meta/events"),
    bytesMax: settings.eventsKeptBytes,
    bootId: clock.bootId(),
    now: () => clock.now(),
    log,
  });
  stops.push(() => trail.close());
  let frameworkNotices: () => readonly string[] = () => [];
  let registrationRemarks: () => Remarks = () => ({ problems: [], notices: [] });
  const engine = new NodeEngine({
    store,
    trail,
    declared,
    disks: new Map([[sourceKey(ROOT_DISK), rootDisk]]),
    drives: { look: lookAtDrive, open: openDisk },
    mounter,
    holders,
    processes,
    sandboxes,
    clock,
    random: systemRandom,
    log,
    metrics,
    acls: access.acls,
    reconcileIntervalMs: settings.reconcileIntervalMs,
    gc: liveGcSettings(current),
    remarks: () => ({
      problems: [...reloads.flatMap(({ failure }) => failure ?? []), ...registrationRemarks().problems],
      notices: [
        ...(waiting().length === 0 ? [] : [restartNotice(waiting())]),
        ...diskNotices,
        ...frameworkNotices(),
        ...registrationRemarks().notices,
      ],
    }),
  });
  // Also what does not come to be ready has threads to stop.
  stops.push(() => engine.stop());
  // The faces and their libraries load while the store's thread reads the checkpoint.
  const [
    { startOperatorHttp },
    { startAgentSocket },
    { addConsole, isConsolePage },
    { Scheduler },
    { addScheduler },
    { addMarathonRoutes },
    { readJson },
  ] = await Promise.all([
    import("./faces/operator-http/server.ts"),
    import("./faces/agent-socket/server.ts"),
    import("./faces/console/routes.ts"),
    import("./faces/scheduler/scheduler.ts"),
    import("./faces/scheduler/routes.ts"),
    import("./faces/marathon/routes.ts"),
    import("./faces/http/body.ts"),
    engine.start(),
  ]);
  const { version } = manifest;
  registerGauges(metrics, engine);
  registerBuild(metrics, version);

  const socket = await startAgentSocket({
    engine,
    path: settings.socket,
    listener: unixListener("agent", settings.socket, options),
    version,
    log,
    mode: 0o660,
    peer: peerOf,
    hookHost: { readBundleConfig, runtimeOf },
    share: (app, readBody) => addMarathonRoutes(app, { engine, hostname: hostname(), log, readBody }),
  });
  stops.push(() => socket.close());
  if (settings.dockerPlugin === undefined) refuseListener("docker", options);
  else {
    const { startDockerPlugin } = await import("./faces/docker-plugin/server.ts");
    const plugin = await startDockerPlugin({
      engine,
      ...settings.dockerPlugin,
      listener: unixListener("docker", settings.dockerPlugin.path, options),
      log,
      peer: peerOf,
    });
    stops.push(() => plugin.close());
  }
  if (settings.csi === undefined) refuseListener("csi", options);
  else {
    const { startCsi } = await import("./faces/csi/server.ts");
    const csi = await startCsi({
      engine,
      ...settings.csi,
      nodeId: nodeIdOf(settings.csi),
      listener: unixListener("csi", settings.csi.path, options),
      version,
      log,
      peer: peerOf,
    });
    stops.push(() => csi.close());
    if (settings.csi.kubeletRegistration !== undefined) {
      const { startRegistration } = await import("./faces/csi/registration.ts");
      const registration = await startRegistration({
        directory: settings.csi.kubeletRegistration,
        endpoint: settings.csi.path,
        log,
        peer: peerOf,
      });
      stops.push(() => registration.close());
      registrationRemarks = registration.remarks;
    }
  }
  const idKey = await nodeKey(join(workRoot.path, "meta"), "framework-key", log);
  const scheduler = new Scheduler({ engine, clock, log, hostname: hostname(), idKey });
  stops.push(() => scheduler.stop());
  frameworkNotices = () => scheduler.notices();
  const operator = await startOperatorHttp({
    engine,
    authenticator: access.authenticator,
    accessChanges: access.changes,
    metrics,
    listen: settings.listen,
    listener: options.listeners?.get("http"),
    ...(settings.tls === undefined ? {} : { tls: readTls(settings.tls) }),
    allowedHosts: settings.allowedHosts,
    version,
    log,
    share: (app) => {
      addConsole(app, { engine, hostname: hostname(), version });
      addScheduler(app, scheduler, clock);
      addMarathonRoutes(app, { engine, hostname: hostname(), log, readBody: readJson });
    },
    isPage: isConsolePage,
  });
  stops.push(() => operator.close());
  log.info({ ...operator.address, socket: settings.socket, workRoot: workRoot.path, version }, "Serving");
  return {
    agentId: engine.agentId,
    mountBackend: mounter.backend,
    address: operator.address,
    engine,
    reload: async () => void (await Promise.all(reloads.map((reloader) => reloader.reload()))),
  };
}

/** What the daemon stands on is no sandbox, whoever hands it over: its sockets, and the directories of sandboxes. */
function foundationsOf({ socket, dockerPlugin, csi, sandboxRoots }: Settings): readonly string[] {
  const sockets = [socket, dockerPlugin?.path, csi?.path].filter((path) => path !== undefined);
  return [...sockets.map((path) => dirname(resolve(path))), ...sandboxRoots, import.meta.dirname];
}

/** What the cluster calls this node. @throws `invalid` when nothing was said and the host name is no name for it */
export function nodeIdOf({ nodeId = hostname() }: NonNullable<Settings["csi"]>): string {
  const name = nodeName.safeParse(nodeId);
  if (name.success) return name.data;
  const message = `Cannot serve CSI as node ${nodeId}: the host name is no name for it, give csiNodeId`;
  throw new HoldfastError("invalid", message);
}

/** What was opened beforehand must be what is asked for: otherwise a change of the setting would change nothing. */
function unixListener(door: string, wanted: string, { listeners }: DaemonOptions): number | undefined {
  const fd = listeners?.get(door);
  if (fd === undefined) return undefined;
  const path = unixPathOf(fd);
  if (path === wanted) return fd;
  const message = `Cannot listen on ${wanted}: the service manager listens on ${path} in its place, run install again`;
  throw new HoldfastError("invalid", message);
}

/** Who knocked at a door that nobody wants would wait for ever. */
function refuseListener(door: string, { listeners }: DaemonOptions): void {
  const fd = listeners?.get(door);
  if (fd === undefined) return;
  const message = `Cannot leave ${unixPathOf(fd)} alone: the service manager listens on it, run install again`;
  throw new HoldfastError("invalid", message);
}

/** The settings in force: read again when their file changes, as far as they may; a broken file changes nothing. */
function watchConfiguration(
  settings: Settings,
  configuration: ConfigurationFile | undefined,
  log: Log,
  stops: (() => unknown)[],
  reloads: Reloader<unknown>[],
): { readonly current: () => Settings; readonly waiting: () => readonly string[] } {
  if (configuration === undefined) return { current: () => settings, waiting: () => [] };
  const load = async (): Promise<Settings> => {
    const changed = await configuration.load();
    const waiting = waitingForRestart(settings, changed);
    if (waiting.length > 0) log.warn({ waiting }, restartNotice(waiting));
    return changed;
  };
  const reloader = createReloader({ what: "configuration", initial: settings, load, log });
  reloads.push(reloader);
  const watcher = watchFiles([configuration.path], () => void reloader.reload(), { log });
  stops.push(() => watcher.close());
  return { current: () => reloader.current, waiting: () => waitingForRestart(settings, reloader.current) };
}

function restartNotice(waiting: readonly string[]): string {
  return `Settings that changed need a restart: ${waiting.join(", ")}`;
}

function liveGcSettings(current: () => Settings): NodeEngineOptions["gc"] {
  return {
    get delayMs() {
      return current().gcDelayMs;
    },
    get headroom() {
      return current().gcHeadroom;
    },
    get minAgeMs() {
      return current().gcMinAgeMs;
    },
    intervalMs: current().gcIntervalMs,
  };
}

interface Access {
  readonly authenticator: () => Authenticator;
  readonly acls: () => Acls;
  /** Calls back when either is another one. @returns what ends that */
  readonly changes: (listener: () => void) => () => void;
}

/** Credentials and ACLs, read again whenever their files change; a broken file keeps the old ones and says so. */
async function loadAccess(
  settings: Settings,
  log: Log,
  stops: (() => unknown)[],
  reloads: Reloader<unknown>[],
): Promise<Access> {
  const { credentialsFile, aclsFile } = settings;
  const loadAuthenticator = async (): Promise<Authenticator> => {
    if (credentialsFile === undefined) return createBasicAuthenticator(undefined);
    const { credentials, warnings } = await readCredentialsFile(credentialsFile);
    for (const warning of warnings) log.warn({}, warning);
    return createBasicAuthenticator(credentials);
  };
  const loadAcls = async (): Promise<Acls> => (aclsFile === undefined ? PERMISSIVE : readAclsFile(aclsFile));
  const listeners = new Set<() => void>();
  const onChange = (): void => {
    for (const listener of listeners) listener();
  };
  const authenticator = createReloader({
    what: "credentials",
    initial: await loadAuthenticator(),
    load: loadAuthenticator,
    log,
    onChange,
  });
  const acls = createReloader({ what: "ACLs", initial: await loadAcls(), load: loadAcls, log, onChange });
  const files = [credentialsFile, aclsFile].filter((file) => file !== undefined);
  if (credentialsFile !== undefined) reloads.push(authenticator);
  if (aclsFile !== undefined) reloads.push(acls);
  if (files.length > 0) {
    const watcher = watchFiles(
      files,
      (changed) => {
        if (credentialsFile !== undefined && changed.includes(credentialsFile)) void authenticator.reload();
        if (aclsFile !== undefined && changed.includes(aclsFile)) void acls.reload();
      },
      { log },
    );
    stops.push(() => watcher.close());
  }
  const changes: Access["changes"] = (listener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  return { authenticator: () => authenticator.current, acls: () => acls.current, changes };
}

/** What the operator declared, else what the work root's file system has. */
function declaredDisk(settings: Settings, workRoot: string, log: Log): readonly DiskResource[] {
  if (settings.resources === undefined) {
    return [{ size: parseSizeMb(detectDiskMb(workRoot), "the detected disk"), source: ROOT_DISK, reservations: [] }];
  }
  const { disks, ignored } = parseDeclaredResources(settings.resources);
  requireApart(disks, workRoot, realPathOf);
  if (ignored.length > 0) log.warn({ ignored }, `Only disk is managed, ignored in --resources: ${ignored.join(", ")}`);
  return disks;
}

/** A label that the operator chose is asked for; one that was guessed must stop nobody. */
function selinuxOptions(
  { selinuxLabel }: Settings,
  onUnlabelled: (notice: string) => void,
): DirectoryDiskOptions["selinux"] {
  const label = selinuxLabelFor(selinuxLabel, selinuxMode());
  return label === undefined ? undefined : { label, required: selinuxLabel !== "auto", onUnlabelled };
}

/** @throws `invalid` when they cannot be read or do not belong together */
export function readTls({ certFile, keyFile }: { readonly certFile: string; readonly keyFile: string }) {
  const tls = { cert: readPem(certFile), key: readPem(keyFile) };
  try {
    createSecureContext(tls);
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HoldfastError("invalid", `Cannot use TLS with ${certFile} and ${keyFile}: ${reason}`, { cause });
  }
  return tls;
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HoldfastError("invalid", `Cannot read the TLS file ${path}: ${reason}`, { cause });
  }
}

function openLog({ logLevel }: Settings): FlushableLog {
  return createLog({ level: logLevel, journal: openJournal(process.env) });
}

function die(error: HoldfastError, log: FlushableLog): void {
  tellEnd(error, log);
  process.exit(EXIT_STORE);
}

function tellEnd(error: Error, log: FlushableLog): void {
  log.error({ error }, `Cannot go on: ${messageOf(error)}`);
  log.flush();
}
