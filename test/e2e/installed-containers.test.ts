/**
 * Containers on a machine whose image Holdfast was installed into from a checkout: its service has no more privileges than
 * its unit grants, and opens every door. The tests build on one another, in this order.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asking } from "./hook-scene.ts";
import { Machine } from "./machine.ts";
import { configOf, makeRoot } from "./oci.ts";
import { makePlace, type Place } from "./place.ts";
import { mayMount } from "./privileges.ts";
import { run } from "./run.ts";

const REPOSITORY = path.resolve(import.meta.dirname, "../..");
const SETUP_MS_MAX = 300_000;
const UNITS = "holdfast.service holdfast.socket holdfast-http.socket holdfast-docker.socket";
const DROP_IN = "/etc/systemd/system/holdfast.service.d/50-test.conf";
/** What a systemd that is older than these calls would make of a list of what is allowed. */
const WITHOUT_STATMOUNT = "[Service]\nSystemCallFilter=\nSystemCallFilter=@system-service @mount\n";

describe.runIf(mayMount)("an installed Holdfast and containers", { timeout: 120_000 }, () => {
  let place: Place;
  let machine: Machine;

  beforeAll(async () => {
    place = await makePlace("containers");
    machine = await Machine.make(place.dir);
    await run(path.join(REPOSITORY, "scripts/install"), "--root", machine.root);
    await makeRoot(path.join(machine.root, "c/rootfs"));
    await machine.start();
  }, SETUP_MS_MAX);

  afterAll(async () => {
    await machine?.dispose();
    await place?.remove();
  });

  /** Starts a container that asks for ads/db, with the hook that its bundle has got at its first start. */
  async function start(
    id: string,
    script = "echo first >>/data/log; trap exit TERM; sleep 1000 & wait",
  ): Promise<number> {
    const bundle = path.join(machine.root, "c/bundle");
    mkdirSync(bundle, { recursive: true });
    const annotations = asking({ role: "ads", id: "db" });
    writeFileSync(
      path.join(bundle, "config.json"),
      JSON.stringify(configOf({ id, script, annotations }, { rootfs: "/c/rootfs", hooks })),
    );
    // What this machine permits to limit is not what is tested.
    await machine.run(
      `runc --rootless true run --detach --bundle /c/bundle ${id} </dev/null >/c/output 2>&1 || { cat /c/output >&2; exit 1; }`,
    );
    return JSON.parse(await machine.run(`runc state ${id}`)).pid;
  }
  let hooks: object;

  const detached = "holdfast list | grep -q '^ads/db .*detached'";

  async function kill(id: string, pid: number): Promise<void> {
    await machine.run(`kill -9 ${pid}`);
    await machine.until(detached, 1000);
    await machine.run(`runc delete --force ${id}`);
  }

  test("an image that was prepared from a checkout serves as soon as it boots", async () => {
    await machine.until("holdfast health", 10_000);
    expect(await machine.run(`systemctl is-active ${UNITS}`)).toBe("active\nactive\nactive\nactive");
    const file = readFileSync(path.join(machine.root, "etc/containers/oci/hooks.d/holdfast.json"), "utf8");
    expect(JSON.parse(file).hook.args).toEqual([
      "/usr/bin/perl",
      "-f",
      "/opt/holdfast/current/oci-hook/hook.pl",
      "/run/holdfast/holdfast.sock",
    ]);
    await machine.run("holdfast reserve ads --size 100");
    for (const id of ["db", "two"])
      await machine.run(`holdfast create ads/${id} --size 20 --path ${id === "db" ? "data" : id}`);
    hooks = JSON.parse(await machine.run("holdfast hook config"));
  });

  describe.each([
    ["as it is installed", undefined],
    ["where the filter lets nobody ask for a mount by its id", WITHOUT_STATMOUNT],
  ])("%s", (_how, dropIn) => {
    beforeAll(async () => {
      if (dropIn === undefined) return;
      machine.write(DROP_IN, dropIn);
      await machine.run("systemctl daemon-reload && systemctl restart holdfast");
    });
    afterAll(() => machine.run(`rm -f ${DROP_IN} && systemctl daemon-reload && systemctl restart holdfast`));

    test("a container has its volume before its first process, through a restart, and until it is killed", async () => {
      const pid = await start("web-1");
      await machine.run("systemctl restart holdfast");
      expect(await machine.run("holdfast containers")).toMatch(
        new RegExp(`web-1 +runc +${pid} +ads/db +/data .*attached`),
      );
      expect(await machine.run("cat /var/lib/holdfast/volumes/roles/ads/db/log")).toMatch(/^first/);
      expect(await machine.run("holdfast show ads/db")).toContain("/web-1 at /data");
      await kill("web-1", pid);
    });

    test("a volume comes into a container that runs, and goes", async () => {
      const pid = await start("web-2");
      const attach = `holdfast attach ads/two --pid ${pid} --sandbox /srv --container extra`;
      const look = `nsenter --target ${pid} --mount /bin/ls /srv`;
      await machine.run(attach);
      expect(await machine.run(look)).toBe("two");
      await machine.run("holdfast detach extra");
      expect(await machine.run(look)).toBe("");
      await machine.run(attach);
      await machine.run("systemctl restart holdfast");
      expect((await machine.try("holdfast destroy ads/two")).stderr).toContain("attached to container extra");
      await machine.run("holdfast detach extra");
      expect(await machine.run(look)).toBe("");
      await kill("web-2", pid);
    });

    test("a container in a user namespace of its own gets a volume with its own ids", async () => {
      await machine.run("systemd-run --quiet --unit rooted unshare --user --map-root-user --mount sleep 1000");
      await machine.until("grep -q sleep /proc/$(systemctl show --property MainPID --value rooted)/comm", 5000);
      const pid = await machine.run("systemctl show --property MainPID --value rooted");
      await machine.run(`holdfast attach ads/two --pid ${pid} --sandbox /srv --container rooted`);
      expect(await machine.run(`grep -c ' /srv/two ' /proc/${pid}/mountinfo`)).toBe("1");
      expect((await machine.try("grep ' /srv/two ' /proc/1/mountinfo")).status).toBe(1);
      await machine.run("holdfast detach rooted");
      await machine.run("systemctl stop rooted");
    });
  });

  test("Docker's protocol is spoken on the socket that systemd holds", async () => {
    const call = async (name: string, body: object = {}) =>
      JSON.parse(
        await machine.run(
          `curl --silent --unix-socket /run/docker/plugins/holdfast.sock --data '${JSON.stringify(body)}' http://plugin/${name}`,
        ),
      );
    expect(await machine.run("stat --format '%a %U' /run/docker/plugins/holdfast.sock")).toBe("600 root");
    expect(await call("Plugin.Activate")).toEqual({ Implements: ["VolumeDriver"] });
    expect(await call("VolumeDriver.Create", { Name: "v1", Opts: { size: "8M" } })).toEqual({ Err: "" });
    const { Mountpoint } = await call("VolumeDriver.Mount", { Name: "v1", ID: "c1" });
    await machine.run(`test -d ${Mountpoint}`);
    expect(await call("VolumeDriver.Unmount", { Name: "v1", ID: "c1" })).toEqual({ Err: "" });
    expect(await call("VolumeDriver.Remove", { Name: "v1" })).toEqual({ Err: "" });
  });

  test("a bundle's hook outlives an upgrade", async () => {
    await machine.run(
      "cp -RL /opt/holdfast/current /root/next && sed -i s/^version=.*/version=9.9.9/ /root/next/release",
    );
    await machine.run("/root/next/install");
    expect(await machine.run("readlink /opt/holdfast/current")).toBe("9.9.9");
    await kill("web-3", await start("web-3"));
  });

  test("after a reboot nobody has it, and the next container gets it with what was written", async () => {
    await start("web-4");
    await machine.reboot();
    await machine.until(detached, 10_000);
    await machine.run("runc delete --force web-4");
    const pid = await start("web-5");
    expect((await machine.run("cat /var/lib/holdfast/volumes/roles/ads/db/log")).split("\n").length).toBeGreaterThan(4);
    await kill("web-5", pid);
  });
});
