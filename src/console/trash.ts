/** What was destroyed and can still be brought back: until when, how to keep it, and how to be rid of it. */
import { html, nothing, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import type { GcJson, VolumeJson, VolumePageQuery, VolumesJson } from "../faces/http/wire.ts";
import { deleteQuestion, markButton, nameOf, restoreButton } from "./actions.ts";
import { getVolumes, send } from "./api.ts";
import type { Context, Show } from "./context.ts";
import { bytes, counted, number } from "./format.ts";
import { type Column, columnHead, moment, pager, stateBadge, unknown, volumeLink } from "./parts.ts";
import { linkTo } from "./route.ts";

const PAGE_VOLUMES = 50;

const COLUMNS: readonly Column[] = [
  { label: "ID", sort: "role" },
  { label: "Size (MiB)", sort: "size", numeric: true },
  { label: "Takes", sort: "used", numeric: true },
  { label: "Destroyed", sort: "retiredAt" },
  { label: "Collected", sort: "dueAt" },
  { label: "Status" },
];

interface Query {
  readonly sort: string;
  readonly order: string;
  readonly offset: number;
}

/** What collection would take now, once somebody asked. */
let preview: GcJson | undefined;

export async function trashPage(context: Context): Promise<Show> {
  const { sort = "dueAt", order = "asc", offset = "0" } = context.route.query;
  const query = { sort, order, offset: Math.max(0, Number(offset) || 0) };
  const found = await getVolumes({ ...query, retired: true, limit: PAGE_VOLUMES } as VolumePageQuery);
  return () => trashView(context, query, found);
}

function trashView(context: Context, query: Query, { volumes, total = 0 }: VolumesJson): TemplateResult {
  const change = (changed: Partial<Query>): void => {
    const { sort, order, offset } = { ...query, offset: 0, ...changed };
    context.go(linkTo("trash", [], { sort, order, ...(offset === 0 ? {} : { offset: String(offset) }) }), {
      replace: true,
    });
  };
  return html`
    <header class="title">
      <h1 tabindex="-1">Trash</h1>
      <span class="space"></span>
      <button type="button" @click=${() => void dryRun(context)}>What would be collected now?</button>
    </header>
    ${summary(context, total)} ${previewView(context)}
    ${total === 0 ? html`<div class="welcome"><p>Nothing was destroyed that is still on disk.</p></div>` : table()}
  `;

  function table(): TemplateResult {
    return html`<div class="scroll" role="region" aria-label="Trash" tabindex="0">
        <table>
          <caption class="unseen">
            Destroyed volumes, ${number(total)} in all
          </caption>
          <thead>
            <tr>
              ${COLUMNS.map((column) => columnHead(column, query, (sort, order) => change({ sort, order })))}
              <th scope="col"><span class="unseen">Actions</span></th>
            </tr>
          </thead>
          <tbody>
            ${repeat(
              volumes,
              ({ uuid }) => uuid,
              (volume) => row(context, volume),
            )}
          </tbody>
        </table>
      </div>
      ${pager({ offset: query.offset, limit: PAGE_VOLUMES, total, go: (offset) => change({ offset }) })}`;
  }
}

function summary({ status }: Context, total: number): TemplateResult | typeof nothing {
  if (status === undefined || total === 0) return nothing;
  const takes = status.disks.reduce((sum, { usedByRetainedBytes }) => sum + usedByRetainedBytes, 0);
  const { dueWithinDay, next } = status.collection;
  const [first] = next;
  return html`<p class="summary">
    ${counted(total, "destroyed volume")}${takes === 0 ? "" : html`, with ${bytes(takes)} of content`}.
    ${
      first?.dueAt === undefined
        ? nothing
        : html`The next one is collected ${moment(first.dueAt)}; ${number(dueWithinDay)} within a day, as full as the disks are now.`
    }
  </p>`;
}

function row(context: Context, volume: VolumeJson): TemplateResult {
  const { sizeMb, usedBytes, retiredAt, dueAt, pinned, state, problem } = volume;
  return html`<tr>
    <th scope="row" class="id">${volumeLink(volume)}</th>
    <td class="number">${number(sizeMb)}</td>
    <td class="number">${usedBytes === undefined ? unknown() : bytes(usedBytes)}</td>
    <td>${retiredAt === undefined ? nothing : moment(retiredAt)}</td>
    <td>${pinned === true ? "never: it is pinned" : dueAt === undefined ? nothing : moment(dueAt)}</td>
    <td>${stateBadge(state)}${problem === undefined ? nothing : html`<small class="problem">${problem}</small>`}</td>
    <td class="row-actions" role="group" aria-label=${nameOf(volume)}>
      ${restoreButton(context, volume)}
      ${pinned === true ? markButton(context, volume, "unpin", "Unpin") : markButton(context, volume, "pin", "Pin")}
      <button type="button" class="danger" @click=${() => context.ask(deleteQuestion(volume))}>Delete…</button>
    </td>
  </tr>`;
}

async function dryRun(context: Context): Promise<void> {
  await context.attempt(async () => {
    preview = await send<GcJson>("POST", "/v1/gc", { dryRun: true });
    return `${counted(preview.would?.length ?? 0, "volume")} would be collected now`;
  });
}

/** So many are named of what may be thousands. */
const NAMED_MAX = 20;

function previewView(context: Context): TemplateResult | typeof nothing {
  if (preview === undefined) return nothing;
  const { would = [], kept } = preview;
  const close = (): void => {
    preview = undefined;
    context.draw();
  };
  const list = (items: GcJson["kept"]) =>
    html`<ul>
      ${items.slice(0, NAMED_MAX).map(({ role, id, reason }) => html`<li><bdi>${role}/${id}</bdi>${reason === undefined ? "" : `: ${reason}`}</li>`)}
      ${items.length > NAMED_MAX ? html`<li>and ${number(items.length - NAMED_MAX)} more</li>` : nothing}
    </ul>`;
  return html`<section class="card" aria-label="What would be collected now">
    <h2>${would.length === 0 ? "Nothing would be collected now" : `${counted(would.length, "volume")} would be collected now`}</h2>
    ${would.length === 0 ? nothing : list(would)}
    ${kept.length === 0 ? nothing : html`<h3>${counted(kept.length, "volume")} would stay</h3>${list(kept)}`}
    <div class="actions"><button type="button" @click=${close}>Close</button></div>
  </section>`;
}
