/**
 * Holdfast as an operator has it: installed from the tarball on a Debian that boots, restarted, killed, hung, upgraded,
 * rebooted, cut from its power, and removed. The tests build on one another, in this order.
 */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { latestVersion } from "../../src/store/upgrade.ts";
import { openClient } from "../faces/csi/client.ts";
import { Machine } from "./machine.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { run } from "./run.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");
/** Of the checkpoint. */
const SCHEMA = latestVersion();
const SETUP_MS_MAX = 300_000;
const FILE = "/sandboxes/web-1/data/greeting";
const CSI_SOCKET = "/var/lib/kubelet/plugins/csi.holdfast.dev/csi.sock";
const UNITS = "holdfast.service holdfast.socket holdfast-http.socket holdfast-docker.socket";

describe.runIf(mayMount)("an installed Holdfast", { timeout: 120_000 }, () => {
  let place: Place;
  let machine: Machine;
  /** The unpacked tarball, as the machine sees it. */
  let tarball: string;

  beforeAll(async () => {
    place = await makePlace("installed");
    machine = await Machine.boot(place.dir);
    const file = await run(path.join(REPOSITORY, "scripts/package"), "--out", place.dir);
    await run("tar", "--extract", "--file", file, "--directory", path.join(machine.root, "root"));
    tarball = `/root/${path.basename(file, ".tar.gz")}`;
  }, SETUP_MS_MAX);

  afterAll(async () => {
    await machine?.dispose();
    await place?.remove();
  });

  /** Another version of the program: `upgrades` changes the checkpoint, `broken` ends before it is ready. */
  function variant(version: string, how: { readonly upgrades?: true; readonly broken?: true }): string {
    const name = `/root/holdfast-${version}`;
    const tree = path.join(machine.root, name);
    cpSync(path.join(machine.root, tarball), tree, { recursive: true });
    const schema = how.upgrades === true ? SCHEMA + 1 : SCHEMA;
    change(path.join(tree, "release"), [
      [/version=.*/, `version=${version}`],
      [/build=.*/, `build=${version}`],
      [/schema=.*/, `schema=${schema}`],
    ]);
    for (const part of readdirSync(path.join(tree, "lib")).filter((file) => file.endsWith(".js"))) {
      change(path.join(tree, "lib", part), [
        ...(how.upgrades === true
          ? [[/(UPGRADES = \[[\s\S]*?)\n\];/, '$1,\n(d) => d.exec("create table extra(x)")];'] as const]
          : []),
        ...(how.broken === true ? [[/tell\(\{ READY: "1" \}\)/, "process.exit(3)"] as const] : []),
      ]);
    }
    return name;
  }

  /** What CSI's Probe says. The socket lies on a disk, so that it can be reached from outside. */
  async function probe(): Promise<object> {
    const client = openClient(path.join(machine.root, CSI_SOCKET));
    const { status, value } = await client.call("Probe");
    client.close();
    return { status, ready: value?.ready?.value };
  }

  const pid = async () => Number(await machine.run("systemctl show --property MainPID --value holdfast"));
  const state = async (property: string) => machine.run(`systemctl show --property ${property} --value holdfast`);
  const attached = () => machine.run("holdfast containers | grep -c 'web-1 .*ads/db .*attached'");

  test.each([
    ["for another architecture", "sed -i s/^arch=.*/arch=sparc/ $T/release", "", /is for sparc/],
    ["of which a file is missing", "rm $T/release", "", /neither a checkout nor an unpacked tarball/],
    ["by somebody else than root", "chmod 755 /root", "setpriv --reuid 65534", /only root can install/],
    ["without systemd", "", "mount -t tmpfs none /run/systemd &&", /does not run systemd: install with --no-systemd/],
    [
      "onto a read-only file system",
      "",
      "mount --bind -o ro /opt /opt &&",
      /\/opt\/holdfast cannot be written|\/opt cannot/,
    ],
    ["where the command's place is taken", "touch /usr/local/bin/holdfast", "", /is something else/],
    ["with a mistake in the configuration", settings("gcDelay: soon"), "", /gcDelay is "soon"/],
    ["with a socket path that is too long", settings(`socket: /${"s".repeat(120)}`), "", /at most 107 bytes/],
    ["with a work root in memory", settings("workRoot: /dev/shm/h"), "", /forgets everything/],
    [
      "with a work root that is read-only",
      settings("workRoot: /srv/h"),
      "mount --bind -o ro /srv /srv &&",
      /read-only/,
    ],
    [
      "with a port that is taken",
      "systemd-run --quiet --unit blocker systemd-socket-activate -l 127.0.0.1:5055 true; sleep 0.3",
      "",
      /already in use/,
    ],
  ])("an install %s is refused and changes nothing", async (_what, prepare, before, reason) => {
    await machine.run(`cp -R ${tarball} /root/copy; mkdir -p /etc/holdfast; T=/root/copy; ${prepare}`);
    const picture = "find /opt /usr/local /etc /var/lib -xdev | sort";
    const old = await machine.run(picture);
    try {
      const { status, stderr } = await machine.try(`unshare --mount sh -c '${before} /root/copy/install'`);
      expect(stderr).toMatch(reason);
      expect(stderr).toContain("nothing was changed");
      expect(status).toBe(1);
      expect(await machine.run(picture)).toBe(old);
    } finally {
      await machine.try("systemctl stop blocker; rm -rf /root/copy /usr/local/bin/holdfast /etc/holdfast");
    }
  });

  test("a first install that does not come up leaves nothing", async () => {
    const { status, stderr } = await machine.try(`${variant("0.0.1", { broken: true })}/install`);
    expect(stderr).toMatch(/0\.0\.1 does not come up[\s\S]*nothing was installed/);
    expect(status).toBe(1);
    expect(existsSync(path.join(machine.root, "opt/holdfast"))).toBe(false);
    expect(existsSync(path.join(machine.root, "etc/holdfast"))).toBe(false);
    expect((await machine.try("systemctl cat holdfast")).status).not.toBe(0);
  });

  test("one command installs it, without a network, and it serves", async () => {
    await machine.run(`${tarball}/install`);
    expect(await state("StatusText")).toMatch(/^Serving 0 volumes/);
    await machine.run("holdfast reserve ads --size 100 && holdfast create ads/db --size 50 --path data");
    await machine.run("mkdir -p /sandboxes/web-1");
    await machine.run("holdfast attach ads/db --sandbox /sandboxes/web-1 --container web-1");
    await machine.run(`echo hello >${FILE}`);
    expect(await machine.run(`systemctl is-enabled ${UNITS}; systemctl is-active ${UNITS}`)).toBe(
      "enabled\nenabled\nenabled\nenabled\nactive\nactive\nactive\nactive",
    );
  });

  test("its mounts are the machine's, and it has no more privileges than it needs", async () => {
    expect(await machine.run("grep -c ' /sandboxes/web-1/data ' /proc/1/mountinfo")).toBe("1");
    const status = await machine.run(`cat /proc/${await pid()}/status`);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(status).toMatch(/^CapBnd:\t00000000002c021f$/m);
    const namespaces = `readlink /proc/1/ns/mnt /proc/${await pid()}/ns/mnt | uniq | wc -l`;
    expect(await machine.run(namespaces)).toBe("1");
    expect(await machine.run(`systemd-analyze verify ${UNITS} holdfast-csi.socket 2>&1`)).toBe("");
    expect(await machine.run("systemd-analyze security --no-pager holdfast.service")).toMatch(
      /holdfast\.service: 5\.1/,
    );
  });

  test("a restart and kill -9 leave the mount, and the daemon comes back by itself", async () => {
    await machine.run("systemctl restart holdfast");
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
    const killed = await pid();
    await machine.run(`kill -9 ${killed}; test -e ${FILE}`);
    await machine.until(
      `test "$(systemctl show --property MainPID --value holdfast)" -gt ${killed} && holdfast health`,
      10_000,
    );
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
    expect(await attached()).toBe("1");
  });

  test("a daemon that hangs is replaced by the watchdog", async () => {
    machine.write(
      "/etc/systemd/system/holdfast.service.d/50-test.conf",
      "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n",
    );
    await machine.run("systemctl daemon-reload && systemctl restart holdfast");
    await machine.run("sleep 3");
    expect(await state("NRestarts")).toBe("0");
    const hung = await pid();
    await machine.run(`kill -STOP ${hung}`);
    await machine.until("test $(systemctl show --property NRestarts --value holdfast) = 1 && holdfast health", 15_000);
    expect(await machine.run("journalctl --unit holdfast --grep 'Watchdog timeout' --output cat")).toContain(
      "Watchdog",
    );
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
    await machine.run("rm /etc/systemd/system/holdfast.service.d/50-test.conf && systemctl daemon-reload");
  });

  test("a stop unmounts nothing, and who knocks starts it again", async () => {
    await machine.run("systemctl stop holdfast.service");
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
    expect(await state("Result")).toBe("success");
    expect(await machine.run("stat --format '%a %U' /run/holdfast/holdfast.sock")).toBe("660 root");
    expect(await attached()).toBe("1");
    expect(await state("ActiveState")).toBe("active");
  });

  test("the doors stay open through a restart", async () => {
    const knock = "i=0; while [ $i -lt 20 ]; do holdfast list >/dev/null || echo shut; i=$((i+1)); done";
    const [said] = await Promise.all([machine.run(knock), machine.run("systemctl restart holdfast")]);
    expect(said).toBe("");
  });

  test("another address of the operator HTTP is refused until install has told systemd", async () => {
    machine.write("/etc/holdfast/holdfast.yaml", "listen: 127.0.0.1:6066\nsocket: /run/holdfast/other.sock\n");
    expect((await machine.try("systemctl restart holdfast.service")).status).toBe(1);
    expect(await machine.run("journalctl --unit holdfast --output cat")).toMatch(
      /listens on .* in its place, run install/,
    );
    await machine.run(`${tarball}/install`);
    expect(await machine.run("systemctl show --property Listen --value holdfast.socket")).toContain(
      "/run/holdfast/other.sock",
    );
    expect(await machine.run("systemctl show --property Listen --value holdfast-http.socket")).toContain(
      "127.0.0.1:6066",
    );
    await machine.run("rm /etc/holdfast/holdfast.yaml");
    await machine.run(`${tarball}/install`);
    expect(await attached()).toBe("1");
  });

  test("a wrong configuration is not tried for ever, and the doors open again with a right one", async () => {
    machine.write("/etc/holdfast/holdfast.yaml", "gcDelay: soon\n");
    expect((await machine.try("systemctl restart holdfast.service")).status).toBe(1);
    await machine.run("sleep 3");
    expect(await state("ActiveState")).toBe("failed");
    expect(await state("ExecMainStatus")).toBe("78");
    expect(await state("NRestarts")).toBe("0");
    // Who knocks starts it: as often as the limit says, which closes the doors.
    const { stderr } = await machine.try("holdfast list");
    expect(stderr).toMatch(/^holdfast: Cannot reach the daemon/);
    const closed = "test $(systemctl show --property Result --value holdfast.socket) = service-start-limit-hit";
    await machine.until(closed, 10_000);
    await machine.run("rm /etc/holdfast/holdfast.yaml; systemctl reset-failed holdfast.service");
    await machine.run(`${tarball}/install`);
    expect(await machine.run(`systemctl is-active ${UNITS}`)).toBe("active\nactive\nactive\nactive");
    expect(await attached()).toBe("1");
  });

  test("a work root that cannot be had is tried until it can, and who knocks waits for it", async () => {
    await machine.run("systemctl stop holdfast.service");
    await machine.run("systemd-run --quiet --unit holder flock --exclusive /var/lib/holdfast sleep 1000");
    await machine.until("! flock --shared --nonblock /var/lib/holdfast true", 5000);
    const knock = machine.run("holdfast list");
    await machine.until("test $(systemctl show --property NRestarts --value holdfast) -gt 3", 30_000);
    expect(await machine.run("systemctl is-active holdfast.socket")).toBe("active");
    await machine.run("systemctl stop holder");
    expect(await knock).toMatch(/ads\/db/);
  });

  test("Docker's socket is there while the configuration has it", async () => {
    machine.write("/etc/holdfast/holdfast.yaml", "gcDelay: 2w\n");
    expect((await machine.try("systemctl restart holdfast.service")).status).toBe(1);
    expect(await machine.run("journalctl --unit holdfast --output cat")).toContain(
      "Cannot leave /run/docker/plugins/holdfast.sock alone",
    );
    await machine.run(`${tarball}/install`);
    expect((await machine.try("systemctl is-enabled holdfast-docker.socket")).stdout).toBe("disabled");
    expect((await machine.try("test -e /run/docker/plugins/holdfast.sock")).status).toBe(1);
    machine.write("/etc/holdfast/holdfast.yaml", "dockerPlugin: /run/docker/plugins/other.sock\n");
    await machine.run(`${tarball}/install`);
    await machine.run(
      "curl --silent --fail --unix-socket /run/docker/plugins/other.sock -d '' http://plugin/Plugin.Activate",
    );
    await machine.run("rm /etc/holdfast/holdfast.yaml");
    await machine.run(`${tarball}/install`);
    expect(await machine.run("systemctl is-active holdfast-docker.socket; ls /run/docker/plugins")).toBe(
      "active\nholdfast.sock",
    );
  });

  test("CSI's socket is there while the configuration has it, through a restart and an upgrade", async () => {
    machine.write("/etc/holdfast/holdfast.yaml", `csi: ${CSI_SOCKET}\n`);
    await machine.run(`${tarball}/install`);
    expect(await machine.run(`stat --format '%F %a %U:%G' ${CSI_SOCKET}`)).toBe("socket 600 root:root");
    expect(await probe()).toEqual({ status: "OK", ready: true });
    await machine.run("systemctl restart holdfast.service");
    expect(await probe()).toEqual({ status: "OK", ready: true });
    const next = variant("0.1.9", {});
    await machine.run(`${next}/install`);
    expect(await machine.run("readlink /opt/holdfast/current")).toBe("0.1.9");
    expect(await probe()).toEqual({ status: "OK", ready: true });
    await machine.run("rm /etc/holdfast/holdfast.yaml");
    await machine.run(`${next}/install`);
    expect((await machine.try("systemctl is-enabled holdfast-csi.socket")).stdout).toBe("disabled");
    expect((await machine.try(`test -e ${CSI_SOCKET}`)).status).toBe(1);
  });

  test("the port that systemd holds is no obstacle when the agent socket is stopped", async () => {
    await machine.run("systemctl stop holdfast.service holdfast.socket");
    expect(await machine.run("holdfast daemon --config /etc/holdfast/holdfast.yaml --check")).toContain(
      "127.0.0.1:5055",
    );
    await machine.run("systemctl start holdfast.service");
    expect(await machine.run("systemctl is-active holdfast.socket")).toBe("active");
  });

  test("a reload reads the configuration again, and a broken one changes nothing", async () => {
    const before = await pid();
    machine.write("/etc/holdfast/holdfast.yaml", "gcDelay: soon\n");
    await machine.run("systemctl reload holdfast");
    await machine.until("journalctl --unit holdfast --output cat | grep -q 'old ones stay in force.*gcDelay'", 5000);
    machine.write("/etc/holdfast/holdfast.yaml", "gcDelay: 2w\nlogLevel: debug\n");
    await machine.run("systemctl reload holdfast");
    await machine.until(
      "journalctl --unit holdfast --output cat | grep -q 'need a restart: dockerPlugin, logLevel'",
      5000,
    );
    expect(await state("ActiveState")).toBe("active");
    expect(await pid()).toBe(before);
  });

  test("an upgrade keeps the mounts, the configuration and the program before", async () => {
    machine.write("/etc/holdfast/holdfast.yaml", "gcDelay: 2w\n");
    const next = variant("0.2.0", {});
    machine.write(`${next}/holdfast.yaml`, "# news\n");
    await machine.run(`${next}/install`);
    expect(readFileSync(path.join(machine.root, "etc/holdfast/holdfast.yaml"), "utf8")).toBe("gcDelay: 2w\n");
    expect(readFileSync(path.join(machine.root, "etc/holdfast/holdfast.yaml.new"), "utf8")).toBe("# news\n");
    expect(await machine.run("readlink /opt/holdfast/current")).toBe("0.2.0");
    expect(await machine.run("ls /opt/holdfast | wc -l")).toBe("3");
    expect(await attached()).toBe("1");
  });

  test("an upgrade that does not come up brings program and checkpoint back together", async () => {
    const { status, stderr } = await machine.try(`${variant("0.3.0", { upgrades: true, broken: true })}/install`);
    expect(stderr).toMatch(
      /checkpoint from before the upgrade is in place again[\s\S]*went back to 0\.2\.0, which runs/,
    );
    expect(status).toBe(1);
    expect(await machine.run("readlink /opt/holdfast/current")).toBe("0.2.0");
    expect(existsSync(path.join(machine.root, "opt/holdfast/0.3.0"))).toBe(false);
    expect(await attached()).toBe("1");
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
  });

  test("an upgrade of the checkpoint keeps a copy, and the way back is refused with the rule", async () => {
    await machine.run(`${variant("0.4.0", { upgrades: true })}/install`);
    expect(await attached()).toBe("1");
    const { status, stderr } = await machine.try("/root/holdfast-0.2.0/install");
    expect(stderr).toMatch(new RegExp(`schema ${SCHEMA + 1}.*put meta/checkpoint\\.v${SCHEMA} .*nothing was changed`));
    expect(status).toBe(1);
  });

  test("a reboot ends the mounts and keeps the data", async () => {
    await machine.reboot();
    await machine.until("holdfast health", 10_000);
    expect(await machine.run("holdfast list")).toMatch(/ads\/db +50 +detached/);
    expect((await machine.try(`test -e ${FILE}`)).status).toBe(1);
    await machine.run("holdfast attach ads/db --sandbox /sandboxes/web-1 --container web-1");
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
  });

  test("so do a power cut, and a power off", async () => {
    await machine.cutPower();
    await machine.start();
    await machine.until("holdfast health", 10_000);
    await machine.run("holdfast attach ads/db --sandbox /sandboxes/web-1 --container web-1");
    await machine.powerOff();
    await machine.start();
    await machine.until("holdfast health", 10_000);
    expect(await machine.run("holdfast list")).toMatch(/ads\/db +50 +detached/);
    await machine.run("holdfast attach ads/db --sandbox /sandboxes/web-1 --container web-1");
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
  });

  test("an uninstall leaves what is the operator's, and a second install finds it", async () => {
    const said = await machine.run("/opt/holdfast/current/install --uninstall");
    expect(said).toMatch(
      /\/var\/lib\/holdfast: every volume[\s\S]*\/etc\/holdfast: configuration[\s\S]*1 mounts of volumes/,
    );
    expect(await machine.run(`cat ${FILE}`)).toBe("hello");
    expect(await machine.run("find /opt /usr/local/bin /etc/systemd /etc/containers -name '*holdfast*'")).toBe("");
    expect(await machine.run("cat /etc/holdfast/holdfast.yaml")).toBe("gcDelay: 2w");
    expect(await machine.run("/root/holdfast-0.4.0/install --uninstall")).toContain("nothing is installed");
    await machine.run("/root/holdfast-0.4.0/install");
    expect(await attached()).toBe("1");
  });

  test("an install that was interrupted is finished by the next one", async () => {
    await machine.run("cd /opt/holdfast; mkdir .new; echo 0.4.0 >.previous; ln -sfn nowhere .current");
    const said = await machine.run("/root/holdfast-0.2.0/install 2>&1 || /root/holdfast-0.4.0/install");
    expect(said).toContain("an earlier install was interrupted before its program was known to run");
    expect(await machine.run("ls -A /opt/holdfast")).toBe(".hooks\n.served\n0.4.0\ncurrent");
    expect(await attached()).toBe("1");
  });

  test("anybody may run the command, and it says what it lacks", async () => {
    const { status, stderr } = await machine.try("setpriv --reuid 65534 --regid 65534 --clear-groups holdfast list");
    expect(stderr).toMatch(/^holdfast: .*permission/i);
    expect(status).toBe(1);
  });

  test("a work root that is gone is not begun anew", async () => {
    await machine.run(
      "systemctl stop 'holdfast*' && mv /var/lib/holdfast /var/lib/elsewhere && mkdir /var/lib/holdfast",
    );
    const { status, stderr } = await machine.try("/root/holdfast-0.4.0/install");
    expect(stderr).toMatch(/is empty, though volumes were served from it: mount its file system; nothing was changed/);
    expect(status).toBe(1);
    await machine.run("rmdir /var/lib/holdfast && mv /var/lib/elsewhere /var/lib/holdfast");
  });

  test("an image is prepared without a running system, and cleared again", async () => {
    await machine.run("mkdir /image && /root/holdfast-0.2.0/install --root /image --unit-dir /usr/lib/systemd/system");
    expect(await machine.run("readlink /image/usr/local/bin/holdfast /image/opt/holdfast/current")).toBe(
      "/opt/holdfast/current/bin/holdfast\n0.2.0",
    );
    expect(await machine.run("ls /image/etc/systemd/system/*.wants")).toMatch(
      /holdfast\.service[\s\S]*holdfast\.socket/,
    );
    await machine.run(
      "/root/holdfast-0.2.0/install --root /image --unit-dir /usr/lib/systemd/system --uninstall --purge-config",
    );
    expect(await machine.run("find /image -not -type d")).toBe("");
  });
});

/** A line of shell that writes the configuration. */
function settings(line: string): string {
  return `echo "${line}" >/etc/holdfast/holdfast.yaml`;
}

function change(file: string, replacements: readonly (readonly [RegExp, string])[]): void {
  const before = readFileSync(file, "utf8");
  const after = replacements.reduce((text, [pattern, text2]) => text.replace(pattern, text2), before);
  if (after !== before) writeFileSync(file, after);
}
