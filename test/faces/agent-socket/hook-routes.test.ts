import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HoldfastError } from "../../../src/domain/error.ts";
import { ask, codeIn, messageIn, type Question } from "../ask.ts";
import { openAgentDoor } from "../doors.ts";

const ADA = { kind: "peer", uid: 1000, name: "ada" };
const DB = { role: "ads", id: "db", containerPath: "data" };
const HOOK_PID = 77;

/** What the bundle's file says, and who was asked to look at it. */
let config: string;
let looks: (readonly [string, number | undefined])[];
let hookPid: number;

let door: Awaited<ReturnType<typeof openAgentDoor>>;
beforeAll(async () => {
  door = await openAgentDoor({
    peer: () => ({ uid: 1000, name: "ada", pid: hookPid }),
    hookHost: {
      readBundleConfig: async (bundle, seenBy) => {
        looks.push([bundle, seenBy]);
        return config;
      },
      runtimeOf: (pid) => (pid === HOOK_PID ? "runc" : undefined),
    },
  });
});
beforeEach(() => {
  door.engine.calls.length = 0;
  door.engine.failure = undefined;
  door.errors.length = 0;
  looks = [];
  hookPid = HOOK_PID;
  config = bundleOf(annotated([DB]));
});
afterAll(() => door.close());

const annotated = (volumes: unknown, more: object = {}) => ({
  "io.holdfast.volumes": typeof volumes === "string" ? volumes : JSON.stringify(volumes),
  ...more,
});
const stateOf = (annotations?: object, more: object = {}) => ({
  ociVersion: "1.0.2",
  id: "web-1",
  status: "creating",
  pid: 42,
  bundle: "/run/bundles/web-1",
  ...(annotations === undefined ? {} : { annotations }),
  ...more,
});
const bundleOf = (annotations?: object, more: object = {}) =>
  JSON.stringify({
    ociVersion: "1.0.2",
    root: { path: "rootfs", readonly: true },
    process: { user: { uid: 33, gid: 34, umask: 18 }, args: ["sh"] },
    ...(annotations === undefined ? {} : { annotations }),
    ...more,
  });

const post = (state: unknown, stage = "createRuntime", question: Partial<Question> = {}) =>
  ask(door.where, `/v1/hooks/${stage}`, {
    method: "POST",
    body: typeof state === "string" ? state : JSON.stringify(state),
    ...question,
  });

describe("a container without the annotation", () => {
  it.each([
    ["no annotations", stateOf()],
    ["annotations that are null", stateOf(undefined, { annotations: null })],
    ["other annotations", stateOf({ "io.podman.annotations.label": "x" })],
    ["no pid, id or bundle", {}],
  ])("is let through at every stage with %s", async (_what, state) => {
    for (const stage of ["createRuntime", "createContainer", "poststop", "nonsense"]) {
      const answer = await post(state, stage);
      expect([answer.status, answer.json]).toEqual([200, {}]);
    }
    expect([looks, door.engine.calls]).toEqual([[], []]);
  });

  it("is let through when its list is empty", async () => {
    config = bundleOf(annotated([]));
    expect((await post(stateOf(annotated([])))).json).toEqual({});
    expect(door.engine.calls).toEqual([]);
  });
});

describe("POST /v1/hooks/STAGE", () => {
  it.each(["createContainer", "startContainer", "poststart", "poststop", "nonsense"])(
    "refuses to attach at %s and names the stage to use",
    async (stage) => {
      const answer = await post(stateOf(annotated([DB])), stage);
      expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
      expect(messageIn(answer)).toContain("use createRuntime");
      expect(looks).toEqual([]);
    },
  );

  it.each([
    ["what is not JSON", "{", "not JSON"],
    ["a list", [], "the state"],
    ["annotations that are a list", stateOf(undefined, { annotations: [] }), "annotations is wrong"],
    ["no id", stateOf(annotated([DB]), { id: undefined }), "the state: id is missing"],
    ["an id with a slash", stateOf(annotated([DB]), { id: "a/b" }), "the state: id"],
    ["no pid", stateOf(annotated([DB]), { pid: undefined }), "has no pid, use createRuntime"],
    ["a pid of 0, as crun gives at createContainer", stateOf(annotated([DB]), { pid: 0 }), "has no pid"],
    ["a negative pid", stateOf(annotated([DB]), { pid: -1 }), "the state: pid"],
    ["no bundle", stateOf(annotated([DB]), { bundle: undefined }), "bundle is wrong"],
    ["a relative bundle", stateOf(annotated([DB]), { bundle: "b" }), "bundle is wrong, expected an absolute path"],
    ["a bundle with NUL", stateOf(annotated([DB]), { bundle: "/b\0" }), "bundle is wrong, expected no NUL"],
    ["an annotation that is no text", stateOf({ "io.holdfast.volumes": [DB] }), "annotation io.holdfast.volumes"],
  ])("refuses a state with %s", async (_what, state, reason) => {
    const answer = await post(state);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(messageIn(answer)).toContain(reason);
    expect(door.engine.calls).toEqual([]);
  });

  it.each([
    ["what is not JSON", "{", "config.json: it is not JSON"],
    ["no root", bundleOf(annotated([DB]), { root: undefined }), "config.json: root is wrong"],
    ["an empty root", bundleOf(annotated([DB]), { root: { path: "" } }), "root.path is wrong"],
    [
      "a user without uid",
      bundleOf(annotated([DB]), { process: { user: { gid: 0 } } }),
      "config.json: process.user.uid is wrong",
    ],
  ])("refuses a bundle with %s", async (_what, text, reason) => {
    config = text;
    const answer = await post(stateOf(annotated([DB])));
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(messageIn(answer)).toContain(`/run/bundles/web-1/${reason.replace(/^(?!config)/, "config.json: ")}`);
    expect(door.engine.calls).toEqual([]);
  });

  it.each([
    ["nothing", "", "it is empty"],
    ["what is not JSON", "ads/db", "it is not JSON"],
    ["an object", DB, "expected array"],
    ["an unknown field", [{ ...DB, path: "x" }], 'unknown field "path"'],
    ["no role", [{ id: "db" }], "item 1: role is missing"],
    ["a nested path", [{ ...DB, containerPath: "var/lib" }], "item 1: containerPath"],
    ["a path that leaves", [DB, { ...DB, containerPath: ".." }], "item 2: containerPath"],
    ["an unknown mode", [{ ...DB, mode: "rw" }], "mode is wrong"],
  ])("refuses a list of volumes with %s", async (_what, volumes, reason) => {
    config = bundleOf(annotated(volumes));
    const answer = await post(stateOf(annotated(volumes)));
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(messageIn(answer)).toMatch(/^Cannot parse annotation io\.holdfast\.volumes: /);
    expect(messageIn(answer)).toContain(reason);
    expect(door.engine.calls).toEqual([]);
  });

  it("refuses an app that is none", async () => {
    config = bundleOf({ "io.holdfast.app": "/Sesame" });
    const answer = await post(stateOf({ "io.holdfast.app": "/Sesame" }));
    expect(answer.status).toBe(400);
    expect(messageIn(answer)).toMatch(/^Cannot parse annotation io\.holdfast\.app: it is "\/Sesame"/);
  });

  it("attaches an app without a list of volumes", async () => {
    config = bundleOf({ "io.holdfast.app": "/sesame/samson" });
    expect((await post(stateOf({ "io.holdfast.app": "/sesame/samson" }))).status).toBe(200);
    expect(door.engine.calls[0]?.args[1]).toMatchObject({ app: "/sesame/samson", volumes: [] });
  });

  it.each(["srv", "", "/srv/../etc"])("refuses the sandbox %j", async (sandbox) => {
    config = bundleOf(annotated([DB], { "io.holdfast.sandbox": sandbox }));
    const answer = await post(stateOf(annotated([DB])));
    expect(answer.status).toBe(400);
    expect(messageIn(answer)).toMatch(/^Cannot parse annotation io\.holdfast\.sandbox: it is /);
  });

  it.each(["createRuntime", "prestart"])("attaches at %s, with the runtime's root", async (stage) => {
    const answer = await post(stateOf(annotated([DB])), stage);
    expect([answer.status, answer.json]).toMatchObject([200, { id: "web-1" }]);
    expect(looks).toEqual([["/run/bundles/web-1", HOOK_PID]]);
    expect(door.engine.calls).toEqual([
      {
        method: "attach",
        args: [
          ADA,
          {
            container: "web-1",
            sandbox: "/",
            process: { pid: 42, rootfs: "/run/bundles/web-1/rootfs", seenBy: HOOK_PID },
            runtime: "runc",
            volumes: [{ ...DB, mode: "RW" }],
            owner: { uid: 33, gid: 34 },
          },
        ],
      },
    ]);
  });

  it("takes an absolute root and a sandbox, and no user where there is none", async () => {
    config = bundleOf(annotated([DB], { "io.holdfast.sandbox": "//srv/./web" }), {
      root: { path: "/images/web" },
      process: undefined,
    });
    await post(stateOf(annotated([DB])));
    const [call] = door.engine.calls;
    expect(call?.args[1]).toMatchObject({ sandbox: "/srv/web", process: { rootfs: "/images/web" } });
    expect(call?.args[1]).not.toHaveProperty("owner");
  });

  it("hands on a root as it is written, since runtimes differ on what .. in it means", async () => {
    for (const [path, rootfs] of [
      ["link/../rootfs", "/run/bundles/web-1/link/../rootfs"],
      ["/images/link/../web", "/images/link/../web"],
    ]) {
      door.engine.calls.length = 0;
      config = bundleOf(annotated([DB]), { root: { path } });
      await post(stateOf(annotated([DB])));
      expect(door.engine.calls).toMatchObject([{ args: [ADA, { process: { rootfs } }] }]);
    }
  });

  it("takes the bundle's annotations before the state's", async () => {
    config = bundleOf(annotated([{ ...DB, id: "other" }]));
    await post(stateOf(annotated([DB], { "io.holdfast.sandbox": "/told" })));
    expect(door.engine.calls).toMatchObject([{ args: [ADA, { sandbox: "/", volumes: [{ id: "other" }] }] }]);
  });

  it("takes the state's annotations when the bundle has none", async () => {
    config = bundleOf();
    await post(stateOf(annotated([DB], { "io.holdfast.sandbox": "/told" })));
    expect(door.engine.calls).toMatchObject([{ args: [ADA, { sandbox: "/told", volumes: [{ id: "db" }] }] }]);
  });

  it("looks with its own eyes for a hook that the kernel does not show", async () => {
    hookPid = 0;
    await post(stateOf(annotated([DB])));
    expect(looks).toEqual([["/run/bundles/web-1", undefined]]);
    const [call] = door.engine.calls;
    expect(call?.args[1]).toMatchObject({ runtime: "oci", process: { pid: 42 } });
    expect(call?.args[1]).not.toHaveProperty("process.seenBy");
  });

  it("answers a hook with the reason alone", async () => {
    door.engine.failure = new HoldfastError("in_use", "Cannot attach volume ads/db:\n\u001battached to web-2");
    const answer = await post(stateOf(annotated([DB])), "createRuntime", { headers: { accept: "text/plain" } });
    expect([answer.status, answer.headers["content-type"], answer.text]).toEqual([
      409,
      "text/plain",
      "Cannot attach volume ads/db: attached to web-2\n",
    ]);
  });

  it("answers any state and bundle with something other than a failure of its own", async () => {
    const key = fc.constantFrom("id", "pid", "bundle", "annotations", "root", "path", "process", "user", "uid", "gid");
    const value = fc.constantFrom<unknown>("/b", "db", 42, 0, -1, null, {}, [], "\ud800", annotated([DB]));
    const document = fc.oneof(
      fc.json(),
      fc.object({ key, values: [value], maxDepth: 3 }).map((one) => JSON.stringify(one)),
    );
    await fc.assert(
      fc.asyncProperty(document, document, fc.boolean(), async (state, bundle, whole) => {
        config = bundle;
        expect((await post(whole ? stateOf(annotated([DB])) : state)).status).toBeOneOf([200, 400]);
      }),
      { numRuns: 300 },
    );
    expect(door.errors).toEqual([]);
  });
});
