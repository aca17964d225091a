/** The volumes of the node, in Marathon's columns: searched, filtered, sorted and paged by the daemon. */
import { html, nothing, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import type { VolumeJson, VolumePageQuery, VolumesJson } from "../faces/http/wire.ts";
import { getVolumes, Refusal } from "./api.ts";
import type { Context, Show } from "./context.ts";
import { number } from "./format.ts";
import { type Column, columnHead, command, pager, stateBadge, titled, useBar, volumeLink } from "./parts.ts";
import { linkTo } from "./route.ts";

const PAGE_VOLUMES = 50;
/** A person who types is waited for. */
const TYPING_MS = 200;

const COLUMNS: readonly Column[] = [
  { label: "ID", sort: "role" },
  { label: "App" },
  { label: "Host" },
  { label: "Type" },
  { label: "Container Path", sort: "containerPath" },
  { label: "Size (MiB)", sort: "size", numeric: true },
  { label: "Used", sort: "used" },
  { label: "Mode" },
  { label: "Status", sort: "state" },
];

/** Those that people filter by, in the order of the lifecycle; another one is shown when a volume is in it. */
const STATES: readonly VolumeJson["state"][] = ["attached", "detached", "lingering", "damaged"];

interface Query {
  readonly search: string;
  readonly role: string;
  readonly app: string;
  readonly state: string;
  readonly sort: string;
  readonly order: string;
  readonly offset: number;
}

export async function volumesPage(context: Context): Promise<Show> {
  const query = queryOf(context.route.query);
  const found = await find({ ...query, retired: false, limit: PAGE_VOLUMES } as VolumePageQuery);
  return () => volumesView(context, query, found);
}

/** What no role or state can be called finds nothing, like one that nobody has. */
async function find(query: VolumePageQuery): Promise<VolumesJson> {
  try {
    return await getVolumes(query);
  } catch (error) {
    if (error instanceof Refusal && error.status === 400) return { volumes: [], total: 0 };
    throw error;
  }
}

function queryOf(query: Readonly<Record<string, string>>): Query {
  const { search = "", role = "", app = "", state = "", sort = "role", order = "asc" } = query;
  return { search, role, app, state, sort, order, offset: Math.max(0, Number(query["offset"] ?? 0) || 0) };
}

function volumesView(context: Context, query: Query, found: VolumesJson): TemplateResult {
  const { volumes, total = 0, counts = {}, roles = {} } = found;
  const isFiltered = [query.search, query.role, query.app, query.state].some((value) => value !== "");
  const change = (changed: Partial<Query>): void =>
    context.go(linkTo("volumes", [], asText({ ...query, offset: 0, ...changed })), { replace: true });
  return html`
    <header class="title">
      <h1 tabindex="-1">Volumes</h1>
      <span class="space"></span>
      <a class="button primary" href=${linkTo("create")}>Create</a>
    </header>
    ${total === 0 && !isFiltered ? emptyView() : tableView()}
  `;

  function tableView(): TemplateResult {
    const hasApps = volumes.some(({ app }) => app !== undefined);
    const columns = COLUMNS.filter(({ label }) => label !== "App" || hasApps);
    return html`
      ${filters(query, roles, change)} ${stateFilter(query.state, counts, change)}
      <div class="scroll" role="region" aria-label="Volumes" tabindex="0">
        <table>
          <caption class="unseen">
            Volumes, ${number(total)} in all
          </caption>
          <thead>
            <tr>
              ${columns.map((column) => columnHead(column, query, (sort, order) => change({ sort, order })))}
            </tr>
          </thead>
          <tbody>
            ${repeat(
              volumes,
              ({ uuid }) => uuid,
              (volume) => row(context, volume, hasApps),
            )}
          </tbody>
        </table>
      </div>
      ${total === 0 ? html`<p class="empty">No volume matches.</p>` : nothing}
      ${pager({
        offset: query.offset,
        limit: PAGE_VOLUMES,
        total,
        go: (offset) => context.go(linkTo("volumes", [], asText({ ...query, offset }))),
      })}
    `;
  }
}

function row({ host }: Context, volume: VolumeJson, hasApps: boolean): TemplateResult {
  const { app, containerPath, sizeMb, usedBytes, state, shared, problem, description } = volume;
  return html`<tr>
    <th scope="row" class="id">
      ${volumeLink(volume)}${volume.protected === true ? html` <span class="mark">protected</span>` : nothing}
      ${description === undefined ? nothing : html`<small>${description}</small>`}
    </th>
    ${hasApps ? html`<td>${app === undefined ? nothing : html`<a href=${linkTo("app", [app.id])}>${app.id}</a>`}</td>` : nothing}
    <td>${host}</td>
    <td>PERSISTENT</td>
    <td><bdi>${containerPath}</bdi></td>
    <td class="number">${number(sizeMb)}</td>
    <td>${useBar(usedBytes, sizeMb)}</td>
    <td>RW${shared ? html` <span class="mark">shared</span>` : nothing}</td>
    <td>${stateBadge(state)}${problem === undefined ? nothing : html`<small class="problem">${problem}</small>`}</td>
  </tr>`;
}

function filters(
  { search, role, app }: Query,
  roles: Readonly<Record<string, number>>,
  change: (changed: Partial<Query>) => void,
): TemplateResult {
  return html`<form class="filters" role="search" aria-label="Volumes" @submit=${(event: Event) => event.preventDefault()}>
    <label>
      <span>Search</span>
      <input
        type="search"
        id="search"
        placeholder="Part of a name or description"
        .value=${search}
        @input=${whenRested((text) => change({ search: text }))}
        aria-keyshortcuts="/"
      />
    </label>
    <label>
      <span>Role</span>
      <input list="roles" autocomplete="off" placeholder="All" .value=${role} @change=${typed((text) => change({ role: text }))} />
    </label>
    <datalist id="roles">
      ${Object.entries(roles).map(([name, count]) => html`<option value=${name}>${number(count)}</option>`)}
    </datalist>
    <label>
      <span>App</span>
      <input autocomplete="off" placeholder="All" .value=${app} @change=${typed((text) => change({ app: text }))} />
    </label>
  </form>`;
}

function stateFilter(
  current: string,
  counts: NonNullable<VolumesJson["counts"]>,
  change: (changed: Partial<Query>) => void,
): TemplateResult {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const others = (Object.keys(counts) as VolumeJson["state"][]).filter((state) => !STATES.includes(state));
  const option = (state: string, label: string, count: number): TemplateResult =>
    html`<button type="button" aria-pressed=${current === state} @click=${() => change({ state })}>
      ${label} <span class="count">${number(count)}</span>
    </button>`;
  return html`<div class="states" role="group" aria-label="Status">
    ${option("", "All", all)} ${[...STATES, ...others].map((state) => option(state, titled(state), counts[state] ?? 0))}
  </div>`;
}

function emptyView(): TemplateResult {
  return html`<div class="welcome">
    <p>This node has no volumes yet.</p>
    <p><a class="button primary" href=${linkTo("create")}>Create the first one</a></p>
    <p class="muted">On the command line:</p>
    <p>${command("holdfast reserve ads --size 512M")}</p>
    <p>${command("holdfast create ads/db --size 512M --path data")}</p>
  </div>`;
}

function asText({ offset, sort, order, ...filter }: Query): Record<string, string> {
  return {
    ...filter,
    ...(sort === "role" && order === "asc" ? {} : { sort, order }),
    ...(offset === 0 ? {} : { offset: String(offset) }),
  };
}

function typed(change: (text: string) => void): (event: Event) => void {
  return (event) => change((event.target as HTMLInputElement).value.trim());
}

let typing: ReturnType<typeof setTimeout> | undefined;

function whenRested(change: (text: string) => void): (event: Event) => void {
  return (event) => {
    const { value } = event.target as HTMLInputElement;
    clearTimeout(typing);
    typing = setTimeout(() => change(value.trim()), TYPING_MS);
  };
}
