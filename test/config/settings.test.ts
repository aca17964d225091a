import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { DAEMON_OPTIONS, resolvePathFlags } from "../../src/config/options.ts";
import { loadSettings, waitingForRestart } from "../../src/config/settings.ts";
import { HoldfastError } from "../../src/domain/error.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-settings-"));
afterAll(() => rmSync(directory, { recursive: true }));

const file = join(directory, "holdfast.yaml");

function fromFile(text: string | Buffer, flags: Record<string, unknown> = {}) {
  writeFileSync(file, text);
  return loadSettings({ file, flags });
}

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "invalid") return error.message;
    throw error;
  }
  throw new Error("Nothing was refused");
}

test("waitingForRestart names the keys that cannot change while the daemon runs, and no others", () => {
  const inForce = loadSettings({ flags: {} });
  const changed = loadSettings({
    flags: { listen: "127.0.0.1:1", gcDelay: "2w", gcInterval: "5m", sandboxRoot: ["/s"], credentials: "/c.json" },
  });
  expect(waitingForRestart(inForce, changed)).toEqual(["listen", "sandboxRoot", "credentials", "gcInterval"]);
  expect(waitingForRestart(inForce, inForce)).toEqual([]);
});

describe("a configuration file is refused", () => {
  test("with a reason that is not as long as the file", () => {
    expect(refusal(() => fromFile("*a".repeat(5_000))).length).toBeLessThan(500);
  });

  test("when it is nested deeper than its parser can go", () => {
    expect(refusal(() => fromFile("? ".repeat(20_000)))).toMatch(/^Cannot read the configuration .*holdfast\.yaml: /);
    // Few enough for the parser, and hours for what makes text of a key.
    expect(refusal(() => fromFile(`${"? ".repeat(600)}a`))).toContain("line 1, column 3: a key is no text");
  });

  test("when it is missing", () => {
    expect(refusal(() => loadSettings({ file: "/nowhere/x.yaml", flags: {} }))).toBe(
      "Cannot read the configuration /nowhere/x.yaml: no such file or directory",
    );
  });

  test("when it is not UTF-8", () => {
    expect(refusal(() => fromFile(Buffer.from([0xff, 0xfe])))).toContain("it is not UTF-8 text");
  });

  test("with line and column of a syntax error", () => {
    expect(refusal(() => fromFile("workRoot: /data\nlisten: [1\n"))).toMatch(/holdfast\.yaml: line 3, column 1: /);
  });

  test("when a key appears twice", () => {
    expect(refusal(() => fromFile("gcDelay: 1w\ngcDelay: 2w\n"))).toMatch(/line 2, column 1: Map keys must be unique/);
  });

  test("when it has several documents", () => {
    expect(refusal(() => fromFile("gcDelay: 1w\n---\ngcDelay: 2w\n"))).toContain("line 2");
  });

  test("when it has a tag that means nothing", () => {
    expect(refusal(() => fromFile("gcDelay: !mine 1w\n"))).toContain("line 1, column 10");
  });

  test.each([
    ["a list", "[workRoot]: /data\n"],
    ["a map", "? workRoot: /data\n"],
    ["an alias", "workRoot: &there [/data]\n*there : 1\n"],
  ])("when a key is %s", (_what, text) => {
    expect(refusal(() => fromFile(text))).toContain("a key is no text");
  });

  test("when its aliases explode", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x,x]"];
    for (const [name, previous] of ["ba", "cb", "dc", "ed"].map((pair) => [...pair])) {
      bomb.push(`${name}: &${name} [${`*${previous},`.repeat(10).slice(0, -1)}]`);
    }
    expect(refusal(() => fromFile(bomb.join("\n")))).toContain("Excessive alias count");
  });

  test.each(["just text", "- a\n- b", "5"])("when it is no mapping: %j", (text) => {
    expect(refusal(() => fromFile(text))).toBe(
      `Cannot use the configuration ${file}: expected settings such as workRoot: /data`,
    );
  });

  test("naming the setting that was meant by a misspelt key", () => {
    expect(refusal(() => fromFile("gc-delay: 1w\n"))).toBe(
      `Cannot use the configuration ${file}: "gc-delay" is not a setting, expected gcDelay`,
    );
  });

  test("listing all settings for a key that resembles none", () => {
    expect(refusal(() => fromFile("colour: blue\n"))).toContain(
      '"colour" is not a setting, expected one of workRoot, ',
    );
  });

  test("listing them once for several such keys", () => {
    const told = refusal(() => fromFile("colour: blue\nsize: 1\n"));
    expect(told.split("workRoot, ")).toHaveLength(2);
    expect(told).toMatch(/"size" is not a setting$/);
  });

  test("when a key is __proto__", () => {
    expect(refusal(() => fromFile("__proto__: {workRoot: /evil}\n"))).toContain('"__proto__" is not a setting');
  });

  test("with the value and what was expected", () => {
    expect(refusal(() => fromFile("gcDelay: soon\n"))).toBe(
      `Cannot use the configuration ${file}: gcDelay is "soon", expected a duration such as 1w, 12h, 30m or 90s`,
    );
  });

  test("with every mistake at once", () => {
    expect(refusal(() => fromFile("gcDelay: soon\nworkRoot: data\n"))).toMatch(
      /workRoot is "data".*; gcDelay is "soon"/,
    );
  });

  test.each([
    ["workRoot: data", 'workRoot is "data", expected an absolute path'],
    ["workRoot:", "workRoot is null, expected an absolute path"],
    ['workRoot: "/a\\0b"', "expected an absolute path"],
    [`socket: /${"s".repeat(107)}`, "expected an absolute path of at most 107 bytes"],
    [`socket: /${"ü".repeat(54)}`, "expected an absolute path of at most 107 bytes"],
    ["dockerPlugin: h.sock", 'dockerPlugin is "h.sock", expected an absolute path of at most 107 bytes'],
    ["dockerPluginRole: '*'", 'dockerPluginRole is "*", expected a role such as ads or eng/web'],
    ["dockerPluginRole: [ads]", "expected a role such as ads or eng/web"],
    ["dockerPluginSize: large", 'dockerPluginSize is "large", expected a size such as 512M or 10G'],
    ["csi: c.sock", 'csi is "c.sock", expected an absolute path of at most 107 bytes'],
    ["csiRole: '*'", 'csiRole is "*", expected a role such as ads or eng/web'],
    ["csiSize: large", 'csiSize is "large", expected a size such as 512M or 10G'],
    ["csiNodeId: a/b", 'csiNodeId is "a/b", expected at most 63 letters, digits, -, _ and .'],
    [`csiNodeId: ${"n".repeat(64)}`, "expected at most 63 letters"],
    ["dockerPluginSize: 0", "expected a size such as 512M or 10G"],
    ["listen: 5055", "listen is 5055, expected HOST:PORT such as 127.0.0.1:5055 or [::1]:5055"],
    ["listen: :5055", "expected HOST:PORT"],
    ["listen: ::1:5055", "expected HOST:PORT"],
    ["listen: localhost", "expected HOST:PORT"],
    ["listen: localhost:65536", "expected HOST:PORT"],
    ["listen: 256.0.0.1:80", "expected HOST:PORT"],
    ["listen: '[localhost]:80'", "expected HOST:PORT"],
    ["listen: a b:80", "expected HOST:PORT"],
    ["sandboxRoot: [/a, b]", 'sandboxRoot[1] is "b", expected an absolute path'],
    ["sandboxRoot: b", 'sandboxRoot[0] is "b", expected an absolute path'],
    ["sandboxRoot: 5", "sandboxRoot is 5, expected a list of absolute paths"],
    ["allowedHosts: [a:80]", 'allowedHosts[0] is "a:80", expected a host name or IP address without a port'],
    ["projectRange: 5000", "projectRange is 5000, expected FIRST-LAST such as 2000000-2999999, within 1-4294967294"],
    ["projectRange: 0-9", "expected FIRST-LAST"],
    ["projectRange: 9-8", "expected FIRST-LAST"],
    ["projectRange: 1-4294967295", "expected FIRST-LAST"],
    ["projectRange: 1-99999999999", "expected FIRST-LAST"],
    ["projectRange: -1-9", "expected FIRST-LAST"],
    ["projectRange: 01-9", "expected FIRST-LAST"],
    ["projectRange: 1 - 9", "expected FIRST-LAST"],
    ["projectRange: 1-9-10", "expected FIRST-LAST"],
    ["projectRange: 1e3-1e4", "expected FIRST-LAST"],
    ["projectRange: [1, 9]", "expected FIRST-LAST"],
    ["spares: -1", "spares is -1, expected a whole number up to 100000"],
    ["spares: 1.5", "expected a whole number"],
    ["spares: 100001", "expected a whole number"],
    ["spares: many", "expected a whole number"],
    ["eventsKept: 512K", 'eventsKept is "512K", expected a size between 1M and 1T such as 64M'],
    ["eventsKept: 0", "expected a size between 1M and 1T"],
    ["gcDelay: 7", "gcDelay is 7, expected a duration"],
    ["gcHeadroom: 1.5", "gcHeadroom is 1.5, expected a number between 0 and 1"],
    ["gcHeadroom: .nan", "expected a number between 0 and 1"],
    ["gcHeadroom: little", 'gcHeadroom is "little", expected a number between 0 and 1'],
    ["gcInterval: 0s", 'gcInterval is "0s", expected a duration between 100ms and 3w'],
    ["reconcileInterval: 4w", "expected a duration between 100ms and 3w"],
    ["mountBackend: overlay", 'mountBackend is "overlay", expected one of auto, bind, symlink'],
    ["selinuxLabel: container_file_t", "expected auto, none, or a label such as system_u:object_r:"],
    ["logLevel: trace", "expected one of debug, info, warn, error"],
    ["credentials: ../c.json", "expected an absolute path"],
    ["credentials: file://host/c.json", "expected an absolute path"],
    ["resources: ''", "expected Mesos's text form"],
  ])("when it says %s", (text, expected) => {
    expect(refusal(() => fromFile(`${text}\n`))).toContain(expected);
  });

  test.each([
    ["tlsCert: /c.pem", "Cannot use TLS: tlsCert is given without tlsKey, expected both or neither"],
    ["tlsKey: /k.pem", "Cannot use TLS: tlsKey is given without tlsCert, expected both or neither"],
    ["kubeletRegistration: /d", "Cannot use kubeletRegistration: there is no plugin to register without csi"],
  ])("when it says %s alone", (text, expected) => {
    expect(refusal(() => fromFile(text))).toBe(expected);
  });

  test("cuts a long value short in its message", () => {
    expect(refusal(() => fromFile(`mountBackend: ${"x".repeat(5000)}`)).length).toBeLessThan(400);
    expect(refusal(() => fromFile(`allowedHosts: [${"'?',".repeat(5_000)}]`))).toMatch(/; and 4990 more$/);
  });

  test("with a HoldfastError, whatever it holds", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          fromFile(text);
        } catch (error) {
          expect(error).toMatchObject({ code: "invalid", message: expect.stringContaining(file) });
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("flags", () => {
  test("are called by their flag in a refusal", () => {
    expect(refusal(() => loadSettings({ flags: { gcDelay: "soon" } }))).toBe(
      'Cannot use the command line: --gc-delay is "soon", expected a duration such as 1w, 12h, 30m or 90s',
    );
  });

  test("do not hide a mistake in the file", () => {
    expect(refusal(() => fromFile("gcDelay: soon\n", { gcDelay: "1w" }))).toContain('gcDelay is "soon"');
  });

  test("win over the file, and those not given do not", () => {
    const settings = fromFile("gcDelay: 2w\ngcMinAge: 2h\n", { gcDelay: "3w", gcMinAge: undefined });
    expect(settings).toMatchObject({ gcDelayMs: 3 * 604_800_000, gcMinAgeMs: 7_200_000 });
  });

  test("take numbers and lists as text", () => {
    const settings = loadSettings({ flags: { gcHeadroom: "0.25", sandboxRoot: ["/a/", "/b", "/a"] } });
    expect(settings).toMatchObject({ gcHeadroom: 0.25, sandboxRoots: ["/a", "/b"] });
  });

  test("with relative paths become absolute where they were typed", () => {
    const flags = { workRoot: "data", sandboxRoot: ["a", "/b"], acls: "file:///x", listen: "h:1", socket: undefined };
    expect(resolvePathFlags(flags, "/home/ada")).toEqual({
      ...flags,
      workRoot: "/home/ada/data",
      sandboxRoot: ["/home/ada/a", "/b"],
    });
  });
});

describe("loadSettings", () => {
  test("serves CSI only where its socket is named, in role csi, with 1 GiB for who says no size", () => {
    expect(fromFile("csiRole: ads\n").csi).toBeUndefined();
    expect(fromFile("csi: /run/csi.sock\n").csi).toEqual({
      path: "/run/csi.sock",
      role: "csi",
      defaultSize: 1_024_000,
      nodeId: undefined,
    });
  });

  test("has a volume plugin only where its socket is named, of role docker and without a default size", () => {
    expect(fromFile("dockerPluginSize: 512\n").dockerPlugin).toBeUndefined();
    expect(fromFile("dockerPlugin: /run/h.sock\n").dockerPlugin).toEqual({
      path: "/run/h.sock",
      role: "docker",
      defaultSize: undefined,
    });
    expect(fromFile("dockerPlugin: /run/h.sock\ndockerPluginSize: 512\n").dockerPlugin).toMatchObject({
      defaultSize: 512_000,
    });
  });

  test("knows every default", () => {
    expect(loadSettings({ flags: {} })).toEqual({
      workRoot: "/var/lib/holdfast",
      listen: { host: "127.0.0.1", port: 5055 },
      socket: "/run/holdfast/holdfast.sock",
      dockerPlugin: undefined,
      csi: undefined,
      sandboxRoots: [],
      resources: undefined,
      credentialsFile: undefined,
      aclsFile: undefined,
      tls: undefined,
      allowedHosts: [],
      projectRange: { first: 2_000_000, last: 2_999_999 },
      spares: 1024,
      eventsKeptBytes: 64 * 1024 * 1024,
      gcDelayMs: 604_800_000,
      gcHeadroom: 0.1,
      gcIntervalMs: 60_000,
      gcMinAgeMs: 3_600_000,
      mountBackend: "auto",
      selinuxLabel: "auto",
      reconcileIntervalMs: 30_000,
      logLevel: "info",
    });
  });

  test("takes an empty file for no settings", () => {
    expect(fromFile("# nothing\n")).toEqual(loadSettings({ flags: {} }));
  });

  test("reads everything a file can say", () => {
    const settings = fromFile(`
workRoot: /data/holdfast/
listen: "[::1]:0"
socket: /run/h.sock
dockerPlugin: /run/docker/plugins/holdfast.sock
dockerPluginRole: eng/docker
dockerPluginSize: 1.5G
csi: /var/lib/kubelet/plugins/csi.holdfast.dev/csi.sock
csiRole: eng/csi
csiSize: 2G
csiNodeId: node-1.example
sandboxRoot: [/sandboxes]
resources: [{name: disk, type: SCALAR, scalar: {value: 8}}]
credentials: file:///etc/holdfast/credentials.json
acls: /etc/holdfast/acls.json
tlsCert: /c.pem
tlsKey: /k.pem
allowedHosts: [Storage.Example.com, "[::1]"]
projectRange: 1-4294967294
spares: 0
eventsKept: 16M
gcDelay: 2weeks
gcHeadroom: 0
gcInterval: 10secs
gcMinAge: 0s
mountBackend: bind
selinuxLabel: system_u:object_r:container_file_t:s0:c1,c2
reconcileInterval: 1mins
logLevel: debug
`);
    expect(settings).toEqual({
      workRoot: "/data/holdfast",
      listen: { host: "::1", port: 0 },
      socket: "/run/h.sock",
      dockerPlugin: { path: "/run/docker/plugins/holdfast.sock", role: "eng/docker", defaultSize: 1_536_000 },
      csi: {
        path: "/var/lib/kubelet/plugins/csi.holdfast.dev/csi.sock",
        role: "eng/csi",
        defaultSize: 2_048_000,
        nodeId: "node-1.example",
      },
      sandboxRoots: ["/sandboxes"],
      resources: '[{"name":"disk","type":"SCALAR","scalar":{"value":8}}]',
      credentialsFile: "/etc/holdfast/credentials.json",
      aclsFile: "/etc/holdfast/acls.json",
      tls: { certFile: "/c.pem", keyFile: "/k.pem" },
      allowedHosts: ["storage.example.com", "::1"],
      projectRange: { first: 1, last: 4_294_967_294 },
      spares: 0,
      eventsKeptBytes: 16 * 1024 * 1024,
      gcDelayMs: 1_209_600_000,
      gcHeadroom: 0,
      gcIntervalMs: 10_000,
      gcMinAgeMs: 0,
      mountBackend: "bind",
      selinuxLabel: "system_u:object_r:container_file_t:s0:c1,c2",
      reconcileIntervalMs: 60_000,
      logLevel: "debug",
    });
  });

  test.each([
    ["0.0.0.0:80", { host: "0.0.0.0", port: 80 }],
    ["localhost:5055", { host: "localhost", port: 5055 }],
    ["node-1.example.com:0", { host: "node-1.example.com", port: 0 }],
    ["[fe80::1%eth0]:80", { host: "fe80::1%eth0", port: 80 }],
  ])("listens on %s", (listen, address) => {
    expect(loadSettings({ flags: { listen } }).listen).toEqual(address);
  });
});

test("every option's flag is its name in kebab case", () => {
  for (const { name, flag } of DAEMON_OPTIONS) {
    expect(flag).toBe(`--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  }
});
