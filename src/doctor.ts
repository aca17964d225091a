/**
 * `holdfast doctor`: examines the node, every volume and every mount, and changes nothing. Beside a running daemon it
 * asks it; without one it reads a copy of the checkpoint and compares it with the disk.
 */
import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { removeSync } from "fs-extra/esm";
import { readAclsFile } from "./auth/acls-file.ts";
import { readCredentialsFile } from "./auth/credentials.ts";
import type { Settings } from "./config/settings.ts";
import { nameOf } from "./domain/decide.ts";
import type { Volume } from "./domain/records.ts";
import { describeFileSystem, whyVolatile } from "./host/file-system.ts";
import { bindMountRefusal } from "./host/mount-probe.ts";
import { isSharedAlone } from "./host/sandbox-root.ts";
import { type Survey, type SurveyedVolume, surveyDisk } from "./host/survey.ts";
import { createLog } from "./observe/log.ts";
import type { StoreContents } from "./ports/store.ts";
import { openCheckpoint } from "./store/checkpoint.ts";
import { decodeNodeLabel, decodeVolumeLabel } from "./store/label.ts";

interface Finding {
  readonly verdict: "ok" | "doubt" | "bad";
  readonly check: string;
  /** What was seen, and for anything but `ok` what to do. */
  readonly detail: string;
}

const OLDEST_KERNEL = [5, 14] as const;

/** Exits with 1 when something is bad. */
export async function runDoctor(settings: Settings, { json }: { readonly json: boolean }): Promise<void> {
  const findings = await examine(settings);
  process.stdout.write(json ? `${JSON.stringify({ findings }, undefined, 2)}\n` : `${findings.map(line).join("\n")}\n`);
  if (findings.some(({ verdict }) => verdict === "bad")) process.exitCode = 1;
}

function line({ verdict, check, detail }: Finding): string {
  return `${verdict.padEnd(5)}  ${check}: ${detail}`;
}

async function examine(settings: Settings): Promise<readonly Finding[]> {
  return [
    examineKernel(),
    examineNamespace(),
    examineMounting(settings),
    ...settings.sandboxRoots.map(examineSandboxRoot),
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
function examineNamespace(): Finding {
  try {
    const [own, host] = ["self", "1"].map((pid) => readFileSync(`/proc/${pid}/mountinfo`, "latin1").split(" ", 1)[0]);
    if (own === host) return ok("mount namespace", "the host's");
  } catch (error) {
    return doubt("mount namespace", `cannot be compared with process 1's (${reasonOf(error)})`);
  }
  return doubt("mount namespace", "not process 1's: mounts made here may be invisible to containers");
}

function examineMounting(settings: Settings): Finding {
  const refusal = bindMountRefusal();
  if (refusal === undefined) return ok("mounting", "bind mounts work");
  const detail = `bind mounts do not work (${refusal}), volumes appear as symlinks`;
  return settings.mountBackend === "bind" ? bad("mounting", detail) : doubt("mounting", detail);
}

function examineSandboxRoot(root: string): Finding {
  const check = `sandbox root ${root}`;
  if (isSharedAlone(root)) return ok(check, "is a shared mount of its own");
  return doubt(check, "is no shared mount of its own: the daemon makes it one at its start");
}

async function examineFiles({ credentialsFile, aclsFile }: Settings): Promise<Finding[]> {
  const findings: Finding[] = [];
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
    return bad(check, reasonOf(error));
  }
}

function examineWorkRoot(root: string): Finding {
  if (!existsSync(root)) return doubt("work root", `${root} is not there yet: the daemon makes it at its first start`);
  const type = typeOf(root);
  const reason = whyVolatile(type);
  return reason === undefined
    ? ok("work root", `${root} on ${type}`)
    : bad("work root", `${root} is on ${type}, ${reason}`);
}

function typeOf(directory: string): string {
  const fd = openSync(directory, "r");
  try {
    return describeFileSystem(fd).type;
  } finally {
    closeSync(fd);
  }
}

async function examineNode(settings: Settings): Promise<Finding[]> {
  const problems = await askDaemon(settings.socket);
  if (problems !== undefined) {
    return [
      ok("daemon", `answers on ${settings.socket}`),
      ...(problems.length === 0 ? [ok("node", "no problems")] : problems.map((problem) => bad("node", problem))),
    ];
  }
  const stopped = doubt("daemon", `nobody answers on ${settings.socket}`);
  if (!existsSync(join(settings.workRoot, "meta"))) return [stopped];
  return [stopped, ...(await examineOffline(settings.workRoot))];
}

/** The problems that a running daemon knows, `undefined` when none runs. */
function askDaemon(socketPath: string): Promise<readonly string[] | undefined> {
  return new Promise((resolve) => {
    const ask = request({ socketPath, path: "/v1/status", timeout: 10_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => {
        const status: unknown = response.statusCode === 200 ? JSON.parse(text) : undefined;
        const problems = (status as { problems?: readonly string[] } | undefined)?.problems;
        resolve(problems ?? [`the daemon answers with status ${response.statusCode}`]);
      });
    });
    ask.on("timeout", () => ask.destroy());
    ask.on("error", () => resolve(undefined));
    ask.end();
  });
}

async function examineOffline(workRoot: string): Promise<Finding[]> {
  let contents: StoreContents;
  try {
    contents = await readCopy(join(workRoot, "meta"));
  } catch (error) {
    return [bad("checkpoint", `${reasonOf(error)}: run holdfast rebuild`)];
  }
  const survey = surveyDisk(workRoot);
  const volumes = contents.records.volumes;
  return [
    ok("checkpoint", `${volumes.size} volumes, ${contents.records.reservations.size} reservations`),
    ...contents.damaged.map(({ table, key, reason }) =>
      bad("checkpoint", `record ${key} in ${table} is damaged (${reason}): run holdfast rebuild`),
    ),
    ...examineLabel(survey),
    ...[...volumes.values()].flatMap((volume) => examineVolume(volume, survey)),
    ...survey.volumes.filter((found) => isOrphan(found, volumes)).map((found) => describeOrphan(workRoot, found)),
  ];
}

/** Opening a checkpoint changes it, so a copy is opened. */
async function readCopy(meta: string): Promise<StoreContents> {
  const copy = mkdtempSync(join(tmpdir(), "holdfast-doctor-"));
  try {
    for (const name of readdirSync(meta)) {
      if (name.startsWith("checkpoint.db")) copyFileSync(join(meta, name), join(copy, name));
    }
    const store = openCheckpoint({
      directory: copy,
      ballastBytes: 0,
      onFatal: () => {},
      log: createLog({ level: "error" }),
    });
    try {
      return await store.open();
    } finally {
      await store.close();
    }
  } finally {
    removeSync(copy);
  }
}

function examineLabel({ node }: Survey): Finding[] {
  if (node === undefined) return [doubt("node label", "is missing: the daemon writes it at its next start")];
  try {
    decodeNodeLabel(node);
    return [];
  } catch (error) {
    return [bad("node label", `${reasonOf(error)}: the daemon writes it anew at its next start`)];
  }
}

function examineVolume(volume: Volume, survey: Survey): Finding[] {
  const check = `volume ${nameOf(volume)} (${volume.uuid})`;
  const place = volume.phase === "live" ? "volumes" : "trash";
  const found = survey.volumes.find(({ uuid }) => uuid === volume.uuid);
  if (found?.directory === undefined)
    return [bad(check, `its directory is missing: bring it back or destroy the volume`)];
  if (found.place !== place && volume.phase !== "destroying") {
    return [bad(check, `its directory lies in ${found.place}/, expected in ${place}/`)];
  }
  const { ino, birthNs } = found.directory;
  if (ino !== volume.directory.ino || birthNs !== volume.directory.birthNs) {
    return [bad(check, "its directory is another one than was recorded: run holdfast rebuild if that is meant")];
  }
  return volume.phase === "live" && !hasTrueLabel(volume, found)
    ? [doubt(check, "its label is missing, damaged or old: the daemon writes it anew at its next start")]
    : [];
}

function hasTrueLabel(volume: Volume, { label }: SurveyedVolume): boolean {
  try {
    return label !== undefined && decodeVolumeLabel(label).revision === volume.revision;
  } catch {
    return false;
  }
}

/** Empty and without a label is a spare. */
function isOrphan(found: SurveyedVolume, volumes: ReadonlyMap<string, Volume>): boolean {
  return !volumes.has(found.uuid) && (found.label !== undefined || !found.empty);
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

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
