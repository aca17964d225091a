/**
 * A real Debian with systemd, booted under systemd-nspawn from a directory of its own: to be installed on, rebooted,
 * and cut from its power. It shares the kernel and has no network; its boot id is new at every boot.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Outcome, runToEnd } from "./command.ts";
import { copyDebian } from "./debian-image.ts";
import { type CommandLine, Program } from "./program.ts";

const BOOT_MS_MAX = 60_000;
const COMMAND_MS_MAX = 120_000;
const END_MS_MAX = 60_000;
const ENVIRONMENT = ["PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/root"];
/** Where control groups are made, with the hybrid layout or the unified one. */
const CGROUP_ROOTS = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

export class Machine {
  /** Its root directory, as seen from outside. */
  readonly root: string;
  readonly #name: string;
  readonly #log: string;
  #program: Program | undefined;

  private constructor(dir: string) {
    this.root = path.join(dir, "machine");
    this.#name = path.basename(dir);
    this.#log = path.join(dir, "machine.log");
  }

  /** Makes it in an existing directory, and boots it. */
  static async boot(dir: string): Promise<Machine> {
    const machine = await Machine.make(dir);
    await machine.start();
    return machine;
  }

  /** Makes it in an existing directory: switched off, its root a directory to put things in. */
  static async make(dir: string): Promise<Machine> {
    const machine = new Machine(dir);
    await copyDebian(machine.root);
    return machine;
  }

  /** Boots it: first after `make`, again after `powerOff` or `cutPower`. */
  async start(): Promise<void> {
    // Two machines, or a machine and this one, must not share a control group.
    const groups = CGROUP_ROOTS.filter((root) => existsSync(`${root}/cgroup.procs`)).map(
      (root) => `${root}/${this.#name}`,
    );
    for (const group of groups) mkdirSync(group, { recursive: true });
    const enter = groups.map((group) => `echo $$ >${group}/cgroup.procs`).join("; ");
    const nspawn = ["systemd-nspawn", "--quiet", "--boot", `--directory=${this.root}`, `--machine=${this.#name}`];
    const apart = ["--register=no", "--keep-unit", "--private-network", "--link-journal=no"];
    // When this process is killed, so is all that it started.
    const bound = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const line: CommandLine = ["sh", "-c", `${enter}; exec "$@"`, "sh", ...bound, ...nspawn, ...apart];
    this.#program = await Program.start(line, this.#log);
    await this.#program.until(() => this.#isUp(), { pollMs: 50, msMax: BOOT_MS_MAX });
  }

  /** Runs a line of shell in it to its end, however that is. */
  try(line: string): Promise<Outcome> {
    const inside = ["--target", String(this.#leader()), "--all", "--", "/usr/bin/env", "-i", ...ENVIRONMENT];
    return runToEnd("nsenter", [...inside, "/bin/sh", "-c", line], { timeout: COMMAND_MS_MAX });
  }

  /** Like `try`, for a line that must work; returns what it printed. */
  async run(line: string): Promise<string> {
    const { status, stdout, stderr } = await this.try(line);
    if (status !== 0) throw new Error(`${line}: status ${status}: ${stdout}\n${stderr}`);
    return stdout;
  }

  /** Waits until a line of shell succeeds. */
  async until(line: string, timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs;
    while ((await this.try(line)).status !== 0) {
      if (performance.now() > end) throw new Error(`${line}: not within ${timeoutMs} ms`);
      await sleep(100);
    }
  }

  write(file: string, text: string): void {
    mkdirSync(path.dirname(path.join(this.root, file)), { recursive: true });
    writeFileSync(path.join(this.root, file), text);
  }

  async reboot(): Promise<void> {
    await this.try("systemctl reboot");
    await this.#ended();
    await this.start();
  }

  async powerOff(): Promise<void> {
    await this.try("systemctl poweroff");
    await this.#ended();
  }

  /** All its processes end at once; what they had not synced is up to the kernel. */
  async cutPower(): Promise<void> {
    process.kill(this.#leader(), "SIGKILL");
    await this.#ended();
  }

  /** Ends it, however it is, and leaves no control group behind. */
  async dispose(): Promise<void> {
    if (this.#program?.running === true) await this.cutPower();
    for (const root of CGROUP_ROOTS) removeGroups(`${root}/${this.#name}`);
    // What systemd-nspawn leaves where /run is a disk.
    const left = `/run/systemd/nspawn/propagate/${this.#name}`;
    if (existsSync(left)) rmdirSync(left);
  }

  async #isUp(): Promise<boolean> {
    const { stdout } = await this.try("systemctl is-system-running");
    return ["running", "degraded"].includes(stdout);
  }

  /** Its process 1, as seen from outside: what `unshare` started has started it. */
  #leader(): number {
    const [leader] = childrenOf(this.#program?.pid).flatMap(childrenOf);
    if (leader === undefined) throw new Error("The machine is off");
    return leader;
  }

  async #ended(): Promise<void> {
    const end = performance.now() + END_MS_MAX;
    while (this.#program?.running === true) {
      if (performance.now() > end) throw new Error(`The machine did not end within ${END_MS_MAX} ms`);
      await sleep(20);
    }
  }
}

function childrenOf(pid: number | undefined): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number) : [];
}

function removeGroups(group: string): void {
  if (!existsSync(group)) return;
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(path.join(group, entry.name));
  }
  rmdirSync(group);
}
