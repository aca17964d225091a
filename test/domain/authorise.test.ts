import { describe, expect, it } from "vitest";
import { type Acls, PERMISSIVE, parseAcls } from "../../src/domain/acl.ts";
import { authorise, may, mayView } from "../../src/domain/authorise.ts";
import { parseResource } from "../../src/domain/mesos-format.ts";
import { parsePrincipal, parseRole } from "../../src/domain/names.ts";
import type { Actor, Operation } from "../../src/domain/operation.ts";
import type { DiskResource } from "../../src/domain/resource.ts";
import type { MilliMb } from "../../src/domain/units.ts";
import { refusalOf } from "./refusals.ts";

const ops: Actor = { kind: "principal", principal: parsePrincipal("ops") };
const bob: Actor = { kind: "principal", principal: parsePrincipal("bob") };
const anonymous: Actor = { kind: "anonymous" };
const peer: Actor = { kind: "peer", uid: 0 };
const nobody = { creator: () => undefined };

const DENY_ALL = parseAcls({ permissive: false });
const only = (action: string, objectKey: string, ...values: string[]): Acls =>
  parseAcls({ permissive: false, [action]: [{ principals: { values: ["ops"] }, [objectKey]: { values } }] });
const anyObject = (action: string, objectKey: string): Acls =>
  parseAcls({ permissive: false, [action]: [{ principals: { values: ["ops"] }, [objectKey]: { type: "ANY" } }] });

function disk(fields: object = {}): DiskResource {
  return parseResource({ name: "disk", type: "SCALAR", scalar: { value: 10 }, ...fields }, "the resource");
}

function reserved(role: string, principal?: string): DiskResource {
  return disk({ role, reservation: principal === undefined ? {} : { principal } });
}

function stacked(...levels: (readonly [role: string, principal?: string])[]): DiskResource {
  const reservations = levels.map(([role, principal]) => ({ type: "DYNAMIC", role, principal }));
  return disk({ reservations });
}

function volume(role: string, id: string): DiskResource {
  const spec = { persistence: { id, principal: "mallory" }, volume: { mode: "RW", container_path: "data" } };
  return disk({ role, reservation: {}, disk: spec });
}

const reserve = (...resources: DiskResource[]): Operation => ({ type: "RESERVE", resources });
const unreserve = (...resources: DiskResource[]): Operation => ({ type: "UNRESERVE", resources });
const create = (...volumes: DiskResource[]): Operation => ({ type: "CREATE", volumes });
const destroy = (...volumes: DiskResource[]): Operation => ({ type: "DESTROY", volumes });
const grow = (role: string): Operation => ({
  type: "GROW_VOLUME",
  volume: volume(role, "db"),
  addition: reserved(role),
});
const shrink = (role: string): Operation => ({
  type: "SHRINK_VOLUME",
  volume: volume(role, "db"),
  subtract: 1000 as MilliMb,
});

function passes(
  acls: Acls,
  actor: Actor,
  operation: Operation,
  find: Parameters<typeof authorise>[3] = nobody,
): boolean {
  try {
    authorise(acls, actor, [operation], find);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "forbidden", details: { index: 0 } });
    return false;
  }
}

const EACH: readonly Operation[] = [
  reserve(reserved("ads")),
  { type: "RESERVE", resources: [stacked(["a"], ["a/b"])], source: [stacked(["a"], ["a/c"])] },
  unreserve(reserved("ads")),
  create(volume("ads", "db")),
  destroy(volume("ads", "db")),
  grow("ads"),
  shrink("ads"),
];

describe("authorise", () => {
  it.each(EACH)("$type: refuses everybody but peers where nothing is allowed", (operation) => {
    for (const actor of [ops, anonymous]) expect(passes(DENY_ALL, actor, operation)).toBe(false);
    expect(passes(DENY_ALL, peer, operation)).toBe(true);
  });

  it.each(EACH)("$type: lets everybody pass without rules", (operation) => {
    for (const actor of [ops, anonymous, peer]) expect(passes(PERMISSIVE, actor, operation)).toBe(true);
  });

  it("names the operation that is refused, by its index", () => {
    const acls = only("reserve_resources", "roles", "ads");
    const list = [reserve(reserved("ads")), reserve(reserved("ads"), reserved("web"))];
    const refusal = refusalOf(() => authorise(acls, ops, list, nobody));
    expect(refusal).toMatchObject({
      code: "forbidden",
      message: "Cannot reserve disk for role web: the ACLs do not allow reserve_resources to ops",
      details: { index: 1 },
    });
  });

  it("lets an empty list pass", () => {
    authorise(DENY_ALL, anonymous, [], nobody);
  });
});

describe("authorise RESERVE", () => {
  it("asks for the role of the last level", () => {
    const acls = only("reserve_resources", "roles", "eng/web");
    expect(passes(acls, ops, reserve(stacked(["eng"], ["eng/web"])))).toBe(true);
    expect(passes(acls, ops, reserve(reserved("eng")))).toBe(false);
    expect(passes(acls, bob, reserve(reserved("eng/web")))).toBe(false);
  });

  it("asks for each resource", () => {
    const acls = only("reserve_resources", "roles", "ads");
    expect(passes(acls, ops, reserve(reserved("ads"), reserved("web")))).toBe(false);
  });

  it("asks for no particular role where none is named", () => {
    expect(passes(only("reserve_resources", "roles", "ads"), ops, reserve(disk()))).toBe(false);
    expect(passes(anyObject("reserve_resources", "roles"), ops, reserve(disk()))).toBe(true);
  });

  it("asks for every level that a source does not have, and to unreserve what it has instead", () => {
    const transfer: Operation = {
      type: "RESERVE",
      source: [stacked(["eng", "root"], ["eng/old", "alice"], ["eng/old/a", "bob"])],
      resources: [stacked(["eng", "root"], ["eng/new"], ["eng/new/a"])],
    };
    const acls = (roles: string[], principals: string[]) =>
      parseAcls({
        permissive: false,
        reserve_resources: [{ principals: { type: "ANY" }, roles: { values: roles } }],
        unreserve_resources: [{ principals: { type: "ANY" }, reserver_principals: { values: principals } }],
      });
    expect(passes(acls(["eng/new", "eng/new/a"], ["alice", "bob"]), ops, transfer)).toBe(true);
    expect(passes(acls(["eng/new"], ["alice", "bob"]), ops, transfer)).toBe(false);
    expect(passes(acls(["eng/new/a"], ["alice", "bob"]), ops, transfer)).toBe(false);
    expect(passes(acls(["eng/new", "eng/new/a"], ["alice"]), ops, transfer)).toBe(false);
    expect(passes(acls(["eng/new", "eng/new/a"], ["bob"]), ops, transfer)).toBe(false);
  });

  it("asks for every level from an unreserved source", () => {
    const transfer: Operation = { type: "RESERVE", source: [disk()], resources: [stacked(["eng"], ["eng/web"])] };
    expect(passes(only("reserve_resources", "roles", "eng", "eng/web"), ops, transfer)).toBe(true);
    expect(passes(only("reserve_resources", "roles", "eng/web"), ops, transfer)).toBe(false);
  });
});

describe("authorise UNRESERVE", () => {
  it("asks for the principal of the last level", () => {
    const acls = only("unreserve_resources", "reserver_principals", "alice");
    expect(passes(acls, ops, unreserve(stacked(["eng", "root"], ["eng/web", "alice"])))).toBe(true);
    expect(passes(acls, ops, unreserve(stacked(["eng", "alice"], ["eng/web", "root"])))).toBe(false);
  });

  it("asks for no particular principal where nobody reserved", () => {
    expect(passes(only("unreserve_resources", "reserver_principals", "ops", ""), ops, unreserve(reserved("ads")))).toBe(
      false,
    );
    expect(passes(anyObject("unreserve_resources", "reserver_principals"), ops, unreserve(reserved("ads")))).toBe(true);
  });
});

describe("authorise CREATE, GROW_VOLUME and SHRINK_VOLUME", () => {
  it.each([
    ["create_volumes", (role: string) => create(volume(role, "db"))],
    ["resize_volumes", grow],
    ["resize_volumes", shrink],
  ] as const)("asks %s for the role", (action, operation) => {
    expect(passes(only(action, "roles", "ads"), ops, operation("ads"))).toBe(true);
    expect(passes(only(action, "roles", "ads"), ops, operation("web"))).toBe(false);
    expect(passes(only(action, "roles", "ads"), anonymous, operation("ads"))).toBe(false);
  });

  it("asks for each volume", () => {
    const acls = only("create_volumes", "roles", "ads");
    expect(passes(acls, ops, create(volume("ads", "a"), volume("web", "b")))).toBe(false);
  });
});

describe("authorise DESTROY", () => {
  const creators = (creator: string | undefined) => ({ creator: () => creator });

  it("asks for the stored creator, whoever the request says it is", () => {
    const operation = destroy(volume("ads", "db"));
    expect(passes(only("destroy_volumes", "creator_principals", "alice"), ops, operation, creators("alice"))).toBe(
      true,
    );
    expect(passes(only("destroy_volumes", "creator_principals", "mallory"), ops, operation, creators("alice"))).toBe(
      false,
    );
  });

  it("asks for the empty principal where nobody created it", () => {
    const operation = destroy(volume("ads", "db"));
    expect(passes(only("destroy_volumes", "creator_principals", ""), ops, operation, creators(""))).toBe(true);
    expect(passes(only("destroy_volumes", "creator_principals", "ops"), ops, operation, creators(""))).toBe(false);
  });

  it("asks for no particular creator where there is no such volume, and says the same", () => {
    const operation = destroy(volume("ads", "db"));
    expect(passes(anyObject("destroy_volumes", "creator_principals"), ops, operation, nobody)).toBe(true);
    const acls = only("destroy_volumes", "creator_principals", "ops");
    const [missing, foreign] = [undefined, "alice"].map(
      (creator) => refusalOf(() => authorise(acls, ops, [operation], creators(creator))).message,
    );
    expect(missing).toBe("Cannot destroy volume ads/db: the ACLs do not allow destroy_volumes to ops");
    expect(foreign).toBe(missing);
  });

  it("asks for each volume", () => {
    const acls = only("destroy_volumes", "creator_principals", "alice");
    const find = { creator: (resource: DiskResource) => (resource.volume?.id === "a" ? "alice" : "bob") };
    expect(passes(acls, ops, destroy(volume("ads", "a")), find)).toBe(true);
    expect(passes(acls, ops, destroy(volume("ads", "a"), volume("ads", "b")), find)).toBe(false);
  });
});

describe("may", () => {
  it("takes an anonymous caller for nobody in particular", () => {
    const acls = parseAcls({
      permissive: false,
      create_volumes: [{ principals: { type: "ANY" }, roles: { values: ["ads"] } }],
    });
    expect(may(acls, anonymous, "create_volumes", "ads")).toBe(true);
    expect(may(acls, anonymous, "create_volumes", "web")).toBe(false);
    expect(may(acls, peer, "create_volumes", "web")).toBe(true);
  });
});

describe("mayView", () => {
  const acls = only("view_roles", "roles", "ads");
  it("shows a role to whom the ACLs show it", () => {
    expect(mayView(acls, ops, parseRole("ads"))).toBe(true);
    expect(mayView(acls, ops, parseRole("web"))).toBe(false);
    expect(mayView(acls, bob, parseRole("ads"))).toBe(false);
    expect(mayView(acls, anonymous, parseRole("ads"))).toBe(false);
    expect(mayView(acls, peer, parseRole("web"))).toBe(true);
  });

  it("shows unreserved disk to everybody", () => {
    for (const actor of [ops, bob, anonymous, peer]) expect(mayView(DENY_ALL, actor, undefined)).toBe(true);
  });
});
