/** Small pieces that several pages show. */
import { html, nothing, svg, type TemplateResult } from "lit-html";
import type { VolumeJson } from "../faces/http/wire.ts";
import { bytes, local, number, relative, toBytes } from "./format.ts";
import { linkTo } from "./route.ts";

const TONES: Readonly<Record<VolumeJson["state"], string>> = {
  adopting: "busy",
  copying: "busy",
  detached: "calm",
  attaching: "busy",
  attached: "good",
  detaching: "busy",
  lingering: "warn",
  damaged: "bad",
  destroying: "busy",
  retained: "calm",
  collecting: "busy",
};

/** `Attached`, with a mark that does not stand on colour alone. */
export function stateBadge(state: VolumeJson["state"]): TemplateResult {
  return html`<span class="badge ${TONES[state]}">${titled(state)}</span>`;
}

export function titled(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** A moment, how far away it is, and exactly when on pointing at it. */
export function moment(iso: string): TemplateResult {
  return html`<time datetime=${iso} title=${local(iso)}>${relative(iso, Date.now())}</time>`;
}

/** `ads/db`, where the role steps back. Direction marks in a name end with it. */
export function volumeName({ role, id }: Pick<VolumeJson, "role" | "id">): TemplateResult {
  return html`<bdi class="name"><span class="role">${role}/</span>${id}</bdi>`;
}

export function volumeLink(volume: Pick<VolumeJson, "role" | "id" | "uuid" | "state">): TemplateResult {
  const isRetired = ["retained", "collecting", "destroying"].includes(volume.state);
  const path = [volume.role, volume.id, ...(isRetired ? [volume.uuid] : [])];
  return html`<a href=${linkTo("volume", path)}>${volumeName(volume)}</a>`;
}

/** What has yet to be measured. */
export function unknown(): TemplateResult {
  return html`<span class="muted" title="Not yet measured"><span aria-hidden="true">–</span><span class="unseen">not yet measured</span></span>`;
}

/** A bar beside the figure, which says the same. */
export function useBar(usedBytes: number | undefined, sizeMb: number): TemplateResult {
  if (usedBytes === undefined) return unknown();
  const part = usedBytes / toBytes(sizeMb);
  const tone = part > 1 ? "bad" : part > 0.9 ? "warn" : "good";
  const percent = Math.round(part * 100);
  return html`<span class="use" title="${percent} % of ${number(sizeMb)} MiB"
    ><svg class="bar ${tone}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="ground" width="100" height="8"></rect>
      ${svg`<rect class="fill" width=${Math.min(part * 100, 100)} height="8"></rect>`}
    </svg>
    <span>${bytes(usedBytes)}</span></span
  >`;
}

export interface Column {
  readonly label: string;
  /** What the daemon sorts by; without it the column cannot be sorted. */
  readonly sort?: string;
  readonly numeric?: boolean;
}

/** Sorted columns are buttons, and tell a screen reader their direction. */
export function columnHead(
  { label, sort, numeric }: Column,
  current: { readonly sort: string; readonly order: string },
  choose: (sort: string, order: string) => void,
): TemplateResult {
  const type = numeric === true ? "number" : "";
  if (sort === undefined) return html`<th scope="col" class=${type}>${label}</th>`;
  const isCurrent = current.sort === sort;
  const next = isCurrent && current.order === "asc" ? "desc" : "asc";
  const direction = isCurrent ? (current.order === "asc" ? "ascending" : "descending") : "none";
  return html`<th scope="col" class=${type} aria-sort=${direction}>
    <button type="button" class="sort" @click=${() => choose(sort, next)}>
      <span>${label}</span><span class="arrow" aria-hidden="true">${isCurrent ? (current.order === "asc" ? "▲" : "▼") : ""}</span>
    </button>
  </th>`;
}

export interface Paging {
  readonly offset: number;
  readonly limit: number;
  readonly total: number;
  readonly go: (offset: number) => void;
}

export function pager({ offset, limit, total, go }: Paging): TemplateResult | typeof nothing {
  if (total <= limit && offset === 0) return nothing;
  const last = Math.max(0, Math.floor((total - 1) / limit) * limit);
  const step = (label: string, to: number, isOff: boolean) =>
    html`<button type="button" ?disabled=${isOff} @click=${() => go(to)}>${label}</button>`;
  return html`<nav class="pager" aria-label="Pages">
    ${step("First", 0, offset === 0)} ${step("Previous", Math.max(0, offset - limit), offset === 0)}
    <span>${number(Math.min(offset + 1, total))}–${number(Math.min(offset + limit, total))} of ${number(total)}</span>
    ${step("Next", offset + limit, offset + limit >= total)} ${step("Last", last, offset >= last)}
  </nav>`;
}

/** A term and what it says; nothing where there is nothing to say. */
export function fact(term: string, value: unknown): TemplateResult | typeof nothing {
  return value === undefined || value === "" ? nothing : html`<div><dt>${term}</dt><dd>${value}</dd></div>`;
}

/** A command to paste: one click selects it. */
export function command(line: string): TemplateResult {
  return html`<code class="command">${line}</code>`;
}
