/** What is around every page: where one can go, whether the page is up to date, and what was just done. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { StatusJson } from "../faces/http/wire.ts";
import type { Done } from "./context.ts";
import { number } from "./format.ts";
import type { Contact } from "./live.ts";
import { linkTo, type Place } from "./route.ts";

export interface Frame {
  readonly host: string;
  readonly principal: string;
  readonly place: Place;
  readonly status: StatusJson | undefined;
  readonly contact: Contact;
  /** Another version runs than the one that this page came from. */
  readonly isOutdated: boolean;
  readonly notice: Notice | undefined;
  readonly dismiss: () => void;
  readonly undo: (undo: NonNullable<Done["undo"]>) => void;
}

export interface Notice extends Done {
  readonly isFailure: boolean;
}

const LINKS: readonly { readonly place: Place; readonly label: string; readonly also: readonly Place[] }[] = [
  { place: "volumes", label: "Volumes", also: ["volume", "create"] },
  { place: "apps", label: "Apps", also: ["app"] },
  { place: "node", label: "Node", also: [] },
  { place: "trash", label: "Trash", also: [] },
  { place: "health", label: "Health", also: [] },
];

const CONTACTS: Readonly<Record<Contact, { readonly text: string; readonly tone: string }>> = {
  connecting: { text: "Connecting", tone: "calm" },
  live: { text: "Live", tone: "good" },
  polling: { text: "Up to date", tone: "good" },
  lost: { text: "Not reachable, trying again", tone: "bad" },
};

export function frameView(frame: Frame, content: TemplateResult): TemplateResult {
  const { text, tone } = CONTACTS[frame.contact];
  return html`
    <a class="skip" href="#main" @click=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href=${linkTo("volumes")}>Holdfast</a>
      <nav aria-label="Main">
        <ul>
          ${LINKS.map((link) => navigation(frame, link))}
        </ul>
      </nav>
      <span class="space"></span>
      <span class="where"
        >${frame.host}${frame.principal === "" ? nothing : html` <span class="muted">as ${frame.principal}</span>`}</span
      >
      <span class="badge ${tone}" role="status">${text}</span>
    </header>
    ${frame.isOutdated ? html`<p class="banner" role="status">Another version of Holdfast runs now. <a href="/ui/">Load it</a></p>` : nothing}
    <main id="main" tabindex="-1">${content}</main>
    <div class="notices" aria-live="polite">${frame.notice === undefined ? nothing : noticeView(frame, frame.notice)}</div>
  `;
}

function navigation({ place, status }: Frame, { place: target, label, also }: (typeof LINKS)[number]): TemplateResult {
  const isHere = place === target || also.includes(place);
  const count = badgeOf(target, status);
  return html`<li>
    <a href=${linkTo(target)} aria-current=${isHere ? "page" : "false"}
      >${label}${count === 0 ? nothing : html` <span class="count ${target === "health" ? "bad" : ""}">${number(count)}</span>`}</a
    >
  </li>`;
}

function badgeOf(place: Place, status: StatusJson | undefined): number {
  if (status === undefined) return 0;
  if (place === "health") return status.problems.length;
  if (place === "trash") return status.volumes.retained + status.volumes.collecting + status.volumes.destroying;
  if (place !== "volumes") return 0;
  return Object.values(status.volumes).reduce((sum, count) => sum + count, 0) - badgeOf("trash", status);
}

function noticeView({ dismiss, undo }: Frame, { text, undo: back, isFailure }: Notice): TemplateResult {
  return html`<div class="notice ${isFailure ? "bad" : "good"}" role=${isFailure ? "alert" : "status"}>
    <span>${text}</span>
    ${back === undefined ? nothing : html`<button type="button" @click=${() => undo(back)}>${back.label}</button>`}
    <button type="button" aria-label="Dismiss" @click=${dismiss}>✕</button>
  </div>`;
}

/** The address after # is the place; the content is gone to by hand. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
