/**
 * `GET /v1/volumes`: the list for programs, which goes on behind the last one it got, and the pages for people, which are
 * sorted, counted and searched.
 */
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { LIFECYCLE, type VolumeState } from "../../domain/lifecycle.ts";
import { parseIncarnation, parseRole } from "../../domain/names.ts";
import type { Actor } from "../../domain/operation.ts";
import type { Label } from "../../domain/resource.ts";
import type { AppId } from "../../domain/units.ts";
import type { Engine, VolumeFilter, VolumePage, VolumeQuery, VolumeSort, VolumeView } from "../../engine/engine.ts";
import { parseQuery, text } from "./schema.ts";
import { volumeJson } from "./views.ts";
import type { VolumesJson } from "./wire.ts";

const COUNT = /^[1-9]\d{0,8}$/;
const OFFSET = /^\d{1,9}$/;
const PAGE_VOLUMES = 100;
/** So many are written at a time. */
const SLICE_VOLUMES = 500;
const PAGE_VOLUMES_MAX = 1_000;

const SORTS = {
  id: true,
  role: true,
  size: true,
  state: true,
  containerPath: true,
  used: true,
  createdAt: true,
  retiredAt: true,
  dueAt: true,
} as const satisfies Record<VolumeSort, true>;

const FILTER = {
  role: text.optional(),
  state: z.enum(Object.keys(LIFECYCLE) as VolumeState[]).optional(),
  label: text.optional(),
  limit: z.string().regex(COUNT, "expected a positive number").optional(),
};

const LIST = z.strictObject({ ...FILTER, after: text.optional() });

const PAGE = z.strictObject({
  ...FILTER,
  retired: z.enum(["true", "false"]).optional(),
  app: text.optional(),
  search: text.optional(),
  sort: z.enum(Object.keys(SORTS) as VolumeSort[]).default("id"),
  order: z.enum(["asc", "desc"]).default("asc"),
  offset: z.string().regex(OFFSET, "expected a number"),
});

export function addVolumeList(app: FastifyInstance, engine: Engine): void {
  app.get("/v1/volumes", async (request, reply): Promise<VolumesJson | FastifyReply> => {
    if (!isPage(request)) {
      const volumes = await engine.volumes(request.actor, parseFilter(request));
      if (volumes.length <= SLICE_VOLUMES) return { volumes: volumes.map(volumeJson) };
      return reply
        .type("application/json; charset=utf-8")
        .send(Readable.from(inSlices(volumes), { objectMode: false }));
    }
    return pageJson(await engine.volumePage(request.actor, parsePage(request)));
  });
}

/** The address of the page that a console shows first, and what is there. */
export const FIRST_PAGE = "/v1/volumes?sort=role&order=asc&offset=0&retired=false&limit=50";

export async function firstPage(engine: Engine, actor: Actor): Promise<VolumesJson> {
  return pageJson(await engine.volumePage(actor, { sort: "role", order: "asc", offset: 0, retired: false, limit: 50 }));
}

function pageJson({ volumes, total, counts, roles }: VolumePage): VolumesJson {
  return { volumes: volumes.map(volumeJson), total, counts, roles: Object.fromEntries(roles) };
}

/** A long list is written as fast as it is read: its text is never there as a whole, and others get their turn. */
async function* inSlices(volumes: readonly VolumeView[]): AsyncGenerator<string> {
  for (let start = 0; start < volumes.length; start += SLICE_VOLUMES) {
    const slice = volumes.slice(start, start + SLICE_VOLUMES).map((volume) => JSON.stringify(volumeJson(volume)));
    yield `${start === 0 ? '{"volumes":[' : ","}${slice.join(",")}`;
    await nextTurn();
  }
  yield "]}";
}

function isPage({ raw }: FastifyRequest): boolean {
  return /[?&;]offset=/.test(raw.url ?? "");
}

function parseFilter(request: FastifyRequest): VolumeFilter {
  const { after, ...filter } = parseQuery(LIST, request);
  return {
    ...parseCommon(filter),
    ...(filter.limit === undefined ? {} : { limit: Number(filter.limit) }),
    ...(after === undefined ? {} : { after: parseIncarnation(after, "after") }),
  };
}

function parsePage(request: FastifyRequest): VolumeQuery {
  const { retired, app, search, sort, order, offset, ...filter } = parseQuery(PAGE, request);
  return {
    ...parseCommon(filter),
    ...(retired === undefined ? {} : { retired: retired === "true" }),
    // An id that no app can have finds nothing, like one that no app has.
    ...(app === undefined ? {} : { app: app as AppId }),
    ...(search === undefined || search === "" ? {} : { search }),
    sort,
    order,
    offset: Number(offset),
    limit: Math.min(Number(filter.limit ?? PAGE_VOLUMES), PAGE_VOLUMES_MAX),
  };
}

function parseCommon({ role, state, label }: z.output<typeof LIST>): Pick<VolumeFilter, "role" | "state" | "label"> {
  return {
    ...(role === undefined ? {} : { role: parseRole(role) }),
    ...(state === undefined ? {} : { state }),
    ...(label === undefined ? {} : { label: parseLabel(label) }),
  };
}

/** `team=ads`, or `team` with any value. */
function parseLabel(written: string): Label {
  const equals = written.indexOf("=");
  return equals < 0 ? { key: written } : { key: written.slice(0, equals), value: written.slice(equals + 1) };
}
