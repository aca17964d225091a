/**
 * `holdfast doctor`: examines the node, every volume and every mount, and changes nothing. Beside a running daemon it
 * asks it; without one it reads a copy of the checkpoint and compares it with the disk.
 */
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { release } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { readAclsFile } from "./auth/acls-file.ts";
import { readCredentialsFile } from "./auth/credentials.ts";
import type { Settings } from "./config/settings.ts";
import { nameOf } from "./domain/decide.ts";
import { parseDeclaredResources, requireApart } from "./domain/declared.ts";
import { HoldfastError, messageOf } from "./domain/error.ts";
import { sameDirectory, type Volume } from "./domain/records.ts";
import { ROOT_DISK, sourceKey } from "./domain/resource.ts";
import { countVolumes } from "./engine/disk-table.ts";
import type { StatusJson } from "./faces/http/wire.ts";
import { fileSystemTypeOf, whyVolatile } from "./host/file-system.ts";
import { bindMountRefusal } from "./host/mount-probe.ts";
import { realPathOf } from "./host/real-path.ts";
import { examineSandboxRoot } from "./host/sandbox-root.ts";
import { selinuxLabelFor, selinuxMode, selinuxTypeOf } from "./host/selinux.ts";
import { hasHistory, type Survey, type SurveyedVolume, surveyDisk, surveySelinuxLabels } from "./host/survey.ts";
import { flock, isErrno, LOCK } from "./host/syscalls.ts";
import { readCopy, whyAbsent } from "./offline.ts";
import type { StoreContents } from "./ports/store.ts";
import { checkpointPaths } from "./store/files.ts";
import { decodeNodeLabel, decodeVolumeLabel } from "./store/label.ts";

interface Finding {
  readonly verdict: "ok" | "doubt" | "bad";
  readonly check: string;
  /** What was seen, and for anything but `ok` what to do. */
  readonly detail: string;
}

const OLDEST_KERNEL = [5, 14] as const;

/** @throws `damaged` when something is bad, after all was printed */
export async function runDoctor(settings: Settings, { json }: { readonly json: boolean }): Promise<void> {
  const findings = await examine(settings);
  process.stdout.write(json ? `${JSON.stringify({ findings }, undefined, 2)}\n` : `${findings.map(line).join("\n")}\n`);
  const bad = findings.filter(({ verdict }) => verdict === "bad").length;
  if (bad > 0) throw new HoldfastError("damaged", `Cannot call this node healthy: ${bad} of its checks are bad`);
}

function line({ verdict, check, detail }: Finding): string {
  return `${verdict.padEnd(5)}  ${check}: ${detail}`;
}

async function examine(settings: Settings): Promise<readonly Finding[]> {
  return [
    examineKernel(),
    examineNamespace("self", "mount namespace"),
    examineMounting(settings),
    ...settings.sandboxRoots.map((root) => describeSandboxRoot(root, settings)),
    ...(await examineFiles(settings)),
    examineWorkRoot(settings.workRoot),
    ...(await examineNode(settings)),
  ];
}

function examineKernel(): Finding {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_KERNEL;
  const old = major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
  return old
    ? bad("kernel", `${release()} is older than ${OLDEST_KERNEL.join(".")}, mounts by descriptor may be missing`)
    : ok("kernel", release());
}

/** Mount ids are unique across namespaces, so the same first mount means the same namespace. */
function examineNamespace(pid: number | "self", check: string): Finding {
  try {
    const [own, host] = [pid, 1].map((one) => readFileSync(`/proc/${one}/mountinfo`, "latin1").split(" ", 1)[0]);
    if (own === host) return ok(check, "the host's");
  } catch (error) {
    return doubt(check, `cannot be compared with process 1's (${messageOf(error)})`);
  }
  return doubt(check, "not process 1's: mounts made there may be invisible to containers");
}

function examineMounting(settings: Settings): Finding {
  const refusal = bindMountRefusal();
  if (refusal === undefined) return ok("mounting", "bind mounts work");
  const detail = `bind mounts do not work (${refusal}), volumes appear as symlinks`;
  return settings.mountBackend === "bind" ? bad("mounting", detail) : doubt("mounting", detail);
}

function describeSandboxRoot(root: string, { mountBackend }: Settings): Finding {
  const check = `sandbox root ${root}`;
  if (mountBackend === "symlink") return ok(check, "need not be a mount: volumes appear as symlinks");
  try {
    const state = examineSandboxRoot(root);
    if (state.is === "shared alone") return ok(check, "is a shared mount in a peer group of its own");
    const what = state.is === "shared with others" ? `${state.is} (${state.others.slice(0, 3).join(", ")})` : state.is;
    return doubt(check, `is ${what}: a start of the daemon makes it a shared mount in a peer group of its own`);
  } catch (error) {
    return bad(check, `${messageOf(error)}: the daemon does not start with it`);
  }
}

async function examineFiles({ credentialsFile, aclsFile, resources, workRoot }: Settings): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (resources !== undefined) {
    findings.push(
      await attempt("resources", async () => {
        requireApart(parseDeclaredResources(resources).disks, workRoot, realPathOf);
        return [];
      }),
    );
  }
  if (credentialsFile === undefined)
    findings.push(doubt("credentials", "none: whoever reaches the port may do everything"));
  else findings.push(await attempt("credentials", async () => (await readCredentialsFile(credentialsFile)).warnings));
  if (aclsFile !== undefined) {
    findings.push(
      await attempt("ACLs", async () => {
        await readAclsFile(aclsFile);
        return [];
      }),
    );
  }
  return findings;
}

async function attempt(check: string, read: () => Promise<readonly string[]>): Promise<Finding> {
  try {
    const warnings = await read();
    return warnings.length === 0 ? ok(check, "readable") : doubt(check, warnings.join("; "));
  } catch (error) {
    return bad(check, messageOf(error));
  }
}

function examineWorkRoot(root: string): Finding {
  if (!existsSync(root)) return doubt("work root", `${root} is not there yet: the daemon makes it at its first start`);
  try {
    const type = fileSystemTypeOf(root);
    const reason = whyVolatile(type);
    return reason === undefined
      ? ok("work root", `${root} on ${type}`)
      : bad("work root", `${root} is on ${type}, ${reason}`);
  } catch (error) {
    return bad("work root", `${root} cannot be examined (${messageOf(error)})`);
  }
}

async function examineNode(settings: Settings): Promise<Finding[]> {
  const { socket, workRoot } = settings;
  const status = await askDaemon(socket);
  if (status === undefined) return [doubt("daemon", `nobody answers on ${socket}`), ...(await examineFree(settings))];
  if ("refusal" in status) return [bad("daemon", `the one on ${socket} answers ${status.refusal}`)];
  const served = status.disks.find(({ source }) => source.type === "ROOT")?.root;
  if (served !== resolve(workRoot)) {
    return [doubt("daemon", `the one on ${socket} serves ${served}`), ...(await examineFree(settings))];
  }
  const { problems } = status;
  return [
    ok("daemon", `answers on ${socket}`),
    ...pidIn(workRoot).map((pid) => examineNamespace(pid, "the daemon's mount namespace")),
    ...(problems.length === 0 ? [ok("node", "no problems")] : problems.map((problem) => bad("node", problem))),
    ...examineSelinux(
      settings,
      status.disks.map(({ root }) => root),
    ),
  ];
}

type Answer = Pick<StatusJson, "disks" | "problems"> | { readonly refusal: string };

/** What a running daemon says, `undefined` when none runs. */
async function askDaemon(socketPath: string): Promise<Answer | undefined> {
  const ask = request({ socketPath, path: "/v1/status", timeout: 10_000 });
  ask.on("timeout", () => ask.destroy());
  try {
    ask.end();
    const [response] = (await once(ask, "response")) as [IncomingMessage];
    const body = await text(response);
    if (response.statusCode !== 200) return { refusal: `with status ${response.statusCode}` };
    return JSON.parse(body) as StatusJson;
  } catch (error) {
    const absent = ["ENOENT", "ECONNREFUSED", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
    return absent ? undefined : { refusal: `nothing of use (${messageOf(error)})` };
  }
}

/** Who has the work root, as it wrote itself. */
function pidIn(workRoot: string): number[] {
  try {
    return [Number.parseInt(readFileSync(join(workRoot, "meta/pid"), "utf8"), 10)];
  } catch {
    return [];
  }
}

/** What nobody answers for; what a daemon is writing cannot be judged beside it. */
async function examineFree(settings: Settings): Promise<Finding[]> {
  const { workRoot } = settings;
  if (!existsSync(join(workRoot, "meta"))) return [];
  try {
    if (!isFree(workRoot)) return [bad("daemon", `a process has ${workRoot}, ask it at its own --socket`)];
    return await examineOffline(settings);
  } catch (error) {
    return [bad("node", `it cannot be examined (${messageOf(error)})`)];
  }
}

/** Whether no process has a work root that is there. Nothing but the lock itself tells. */
export function isFree(workRoot: string): boolean {
  const fd = openSync(workRoot, "r");
  try {
    flock(fd, LOCK.SH | LOCK.NB);
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return false;
    throw error;
  } finally {
    closeSync(fd);
  }
}

async function examineOffline(settings: Settings): Promise<Finding[]> {
  const { workRoot } = settings;
  if (!existsSync(checkpointPaths(join(workRoot, "meta")).checkpoint) && !hasHistory(workRoot)) return [];
  let contents: StoreContents;
  try {
    contents = await readCopy(join(workRoot, "meta"));
  } catch (error) {
    return [bad("checkpoint", messageOf(error))];
  }
  const { records, damaged } = contents;
  const disks = await examineDisks(settings, contents);
  return [
    ok("checkpoint", `${records.volumes.size} volumes, ${records.reservations.size} reservations`),
    ...damaged.map(({ table, key, reason }) =>
      bad("checkpoint", `record ${key} in ${table} is damaged (${reason}): run holdfast rebuild`),
    ),
    ...disks,
  ];
}

/** Those that are declared, and those that volumes are on. What is not there says so once. */
async function examineDisks(settings: Settings, contents: StoreContents): Promise<Finding[]> {
  const declared = settings.resources === undefined ? [] : parseDeclaredResources(settings.resources).disks;
  const sources = [ROOT_DISK, ...[...declared, ...contents.records.volumes.values()].map(({ source }) => source)];
  const findings: Finding[] = [];
  const roots: string[] = [];
  for (const [key, source] of new Map(sources.map((one) => [sourceKey(one), one]))) {
    const root = source.type === "ROOT" ? settings.workRoot : source.root;
    const volumes = [...contents.records.volumes.values()].filter((volume) => sourceKey(volume.source) === key);
    const reason = await whyAbsent(source, contents.records);
    if (reason !== undefined) {
      findings.push(bad(`disk ${root}`, `its ${countVolumes(volumes.length)} cannot be used: ${reason}`));
      continue;
    }
    roots.push(root);
    findings.push(...examineDisk({ root, volumes }, contents));
  }
  return [...findings, ...examineSelinux(settings, roots)];
}

function examineDisk(
  disk: { readonly root: string; readonly volumes: readonly Volume[] },
  contents: StoreContents,
): Finding[] {
  try {
    const survey = surveyDisk(disk.root);
    return [
      ...examineLabel(disk.root, survey),
      ...disk.volumes.flatMap((volume) => examineVolume(volume, survey)),
      ...survey.volumes.filter((found) => isOrphan(found, contents)).map((found) => describeOrphan(disk.root, found)),
    ];
  } catch (error) {
    return [bad(`disk ${disk.root}`, `it cannot be examined (${messageOf(error)})`)];
  }
}

/** So many volumes are named of what may be thousands. */
const NAMED_MAX = 3;

/** Whether containers may use the volumes as far as SELinux is concerned. Its rules go by the type in a label. */
function examineSelinux({ selinuxLabel }: Settings, roots: readonly string[]): Finding[] {
  const mode = selinuxMode();
  const wanted = selinuxLabelFor(selinuxLabel, mode);
  if (wanted === undefined && mode === "absent") return [ok("SELinux", "is not there, volumes need no label")];
  if (wanted === undefined) return [doubt("SELinux", `is ${mode}, and volumes get no label: selinuxLabel is none`)];
  return roots.map((root) => examineSelinuxLabels(root, wanted));
}

function examineSelinuxLabels(root: string, wanted: string): Finding {
  const check = `SELinux labels on ${root}`;
  try {
    const labels = surveySelinuxLabels(root);
    const wrong = labels.filter(({ label }) => selinuxTypeOf(label) !== selinuxTypeOf(wanted));
    if (wrong.length === 0) return ok(check, `all ${labels.length} volumes are ${selinuxTypeOf(wanted)}`);
    const named = wrong.slice(0, NAMED_MAX).map(({ path, label }) => `${path} is ${selinuxTypeOf(label)}`);
    const cure = `containers may not use them: chcon -R ${wanted} DIRECTORY`;
    return doubt(check, `${wrong.length} of ${labels.length} volumes have another one (${named.join(", ")}), ${cure}`);
  } catch (error) {
    return doubt(check, `they cannot be examined (${messageOf(error)})`);
  }
}

function examineLabel(root: string, { node }: Survey): Finding[] {
  const check = `label of ${root}`;
  if (node === undefined) return [doubt(check, "is missing: the daemon writes it at its next start")];
  try {
    decodeNodeLabel(node);
    return [];
  } catch (error) {
    return [doubt(check, `${messageOf(error)}: the daemon writes it anew at its next start`)];
  }
}

function examineVolume(volume: Volume, survey: Survey): Finding[] {
  const check = `volume ${nameOf(volume)} (${volume.uuid})`;
  const found = survey.volumes.filter(({ uuid }) => uuid === volume.uuid);
  if (volume.phase === "live") return examineLive(check, volume, found);
  const place = found.find(({ directory }) => directory !== undefined);
  if (place !== undefined) return volume.phase === "collecting" ? [] : examineVolumeLabel(check, volume, place);
  const gone = volume.phase === "retained";
  return gone ? [doubt(check, "its content is gone from trash: the daemon forgets it at its next start")] : [];
}

function examineLive(check: string, volume: Volume, places: readonly SurveyedVolume[]): Finding[] {
  const cure = "bring it back from where it went or from a backup and run holdfast rebuild, or destroy the volume";
  const found = places.find(({ place }) => place === "volumes");
  if (found?.foreign !== undefined) return [bad(check, `its directory ${found.foreign}: ${cure}`)];
  if (found?.directory === undefined) {
    return [
      bad(check, `its directory is ${places.some(({ place }) => place === "trash") ? "in trash" : "missing"}: ${cure}`),
    ];
  }
  if (!sameDirectory(found.directory, volume.directory)) {
    return [bad(check, "its directory is another one than was recorded: run holdfast rebuild if that is meant")];
  }
  return examineVolumeLabel(check, volume, found);
}

function examineVolumeLabel(check: string, volume: Volume, found: SurveyedVolume): Finding[] {
  const revision = revisionOf(found);
  if (revision === volume.revision) return [];
  // Labels are written behind the commit.
  return revision !== undefined && revision > volume.revision
    ? [bad(check, "its label is newer than its record, the checkpoint is of an earlier time: run holdfast rebuild")]
    : [doubt(check, "its label is missing, damaged or old: the daemon writes it anew at its next start")];
}

/** Of a label that can be read. */
function revisionOf({ label }: SurveyedVolume): number | undefined {
  try {
    return label === undefined ? undefined : decodeVolumeLabel(label).revision;
  } catch {
    return undefined;
  }
}

/** Empty and without a label is a spare; a damaged record is shown already. */
function isOrphan(found: SurveyedVolume, { records, damaged }: StoreContents): boolean {
  if (records.volumes.has(found.uuid) || (found.label === undefined && found.empty)) return false;
  return !damaged.some(({ table, key }) => table === "volumes" && key === found.uuid);
}

function describeOrphan(root: string, { place, uuid }: SurveyedVolume): Finding {
  return doubt(
    "orphan",
    `${root}/${place}/${uuid} has no record: look into it, then remove it or run holdfast rebuild`,
  );
}

function ok(check: string, detail: string): Finding {
  return { verdict: "ok", check, detail };
}

function doubt(check: string, detail: string): Finding {
  return { verdict: "doubt", check, detail };
}

function bad(check: string, detail: string): Finding {
  return { verdict: "bad", check, detail };
}
