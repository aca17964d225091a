import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { VolumeId } from "../../../src/domain/units.ts";
import { PAGE } from "../../fakes/fake-engine.ts";
import { ask, codeIn, messageIn } from "../ask.ts";
import { openOperatorDoor } from "../doors.ts";

let door: Awaited<ReturnType<typeof openOperatorDoor>>;
beforeAll(async () => {
  door = await openOperatorDoor();
});
beforeEach(() => {
  door.engine.calls.length = 0;
});
afterAll(() => door.close());

/** What the engine was asked for. */
const asked = () => door.engine.calls.map(({ method, args }) => [method, args[1]]);

describe("a page of volumes", () => {
  test.each([
    ["offset=", "offset is wrong"],
    ["offset=-1", "offset is wrong"],
    ["offset=0&sort=colour", "sort is wrong"],
    ["offset=0&order=up", "order is wrong"],
    ["offset=0&limit=0", "limit is wrong"],
    ["offset=0&state=gone", "state is wrong"],
    ["offset=0&retired=yes", "retired is wrong"],
    ["offset=0&role=*", "the role"],
    ["offset=0&after=22222222-2222-4222-8222-222222222222", 'the unknown field "after"'],
    ["sort=id", 'the unknown field "sort"'],
  ])("is refused with %s", async (query, reason) => {
    const answer = await ask(door.where, `/v1/volumes?${query}`);
    expect([answer.status, codeIn(answer)]).toEqual([400, "invalid"]);
    expect(messageIn(answer)).toContain(reason);
    expect(asked()).toEqual([]);
  });

  test("begins with a hundred in the order of their ids", async () => {
    await ask(door.where, "/v1/volumes?offset=0");
    expect(asked()).toEqual([["volumePage", { sort: "id", order: "asc", offset: 0, limit: 100 }]]);
  });

  test("is never longer than a thousand", async () => {
    await ask(door.where, "/v1/volumes?offset=5&limit=100000");
    expect(asked()).toMatchObject([["volumePage", { offset: 5, limit: 1000 }]]);
  });

  test("is what was asked for, with what there is in all", async () => {
    const query =
      "role=eng%2Fweb&state=attached&retired=false&app=%2Fshop&label=team%3Dads&search=db&sort=used&order=desc";
    const answer = await ask(door.where, `/v1/volumes?${query}&offset=20&limit=10`);
    expect(asked()).toEqual([
      [
        "volumePage",
        {
          role: "eng/web",
          state: "attached",
          retired: false,
          app: "/shop",
          label: { key: "team", value: "ads" },
          search: "db",
          sort: "used",
          order: "desc",
          offset: 20,
          limit: 10,
        },
      ],
    ]);
    expect(answer.json).toMatchObject({
      volumes: [{ role: "ads", id: "db" }],
      total: 7,
      counts: { attached: 1, detached: 6 },
      roles: { ads: 7 },
    });
  });
});

test("A list takes a label with and without a value", async () => {
  await ask(door.where, "/v1/volumes?label=team");
  await ask(door.where, "/v1/volumes?label=team=");
  expect(asked()).toEqual([
    ["volumes", { label: { key: "team" } }],
    ["volumes", { label: { key: "team", value: "" } }],
  ]);
});

test("Free disk alone is listed when that is asked for", async () => {
  const all = await ask(door.where, "/v1/resources");
  const free = await ask(door.where, "/v1/resources?free=true");
  expect([resourcesIn(all), resourcesIn(free)]).toEqual([3, 2]);
});

function resourcesIn({ json }: { readonly json: unknown }): number {
  return (json as { readonly resources: readonly object[] }).resources.length;
}

describe("a long list of volumes", () => {
  const many = Array.from({ length: 1_234 }, (_, index) => index);

  beforeEach(() => {
    const [view] = PAGE.volumes;
    if (view === undefined) throw new Error("The page is empty");
    const { volumes } = door.engine;
    door.engine.volumes = async () =>
      many.map((index) => ({ ...view, volume: { ...view.volume, id: `v-${index}` as VolumeId } }));
    return () => {
      door.engine.volumes = volumes;
    };
  });

  test("holds nobody up when its reader leaves", async () => {
    const socket = connect(door.where.port, "127.0.0.1");
    socket.write("GET /v1/volumes HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(socket, "data");
    socket.destroy();
    expect((await ask(door.where, "/v1/volumes?limit=1")).status).toBe(200);
    expect(door.errors).toEqual([]);
  });

  test("is whole, and JSON", async () => {
    const answer = await ask(door.where, "/v1/volumes");
    expect([answer.status, answer.headers["content-type"]]).toEqual([200, "application/json; charset=utf-8"]);
    const { volumes } = answer.json as { volumes: { id: string }[] };
    expect(volumes.map(({ id }) => id)).toEqual(many.map((index) => `v-${index}`));
  });

  test("has a head without a body", async () => {
    const answer = await ask(door.where, "/v1/volumes", { method: "HEAD" });
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });
});
