/** What happened to a volume or an app, from the daemon's audit trail, newest first. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { EventJson, EventsJson } from "../faces/http/wire.ts";
import { get, Refusal } from "./api.ts";
import { local } from "./format.ts";
import { titled } from "./parts.ts";

const SHOWN_MAX = 100;

/** `undefined` where the daemon cannot say. */
export type History = readonly EventJson[] | undefined;

export async function readHistory(about: { readonly uuid: string } | { readonly app: string }): Promise<History> {
  try {
    const search = new URLSearchParams({ ...about, limit: String(SHOWN_MAX) });
    return (await get<EventsJson>(`/v1/events?${search}`)).events.toReversed();
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

export function historyView(events: History): TemplateResult {
  return html`<section aria-labelledby="history">
    <h2 id="history">History</h2>
    ${events === undefined ? missing("The history cannot be read now.") : events.length === 0 ? missing("Nothing is remembered.") : table(events)}
  </section>`;
}

function missing(text: string): TemplateResult {
  return html`<p class="muted">${text}</p>`;
}

function table(events: readonly EventJson[]): TemplateResult {
  return html`<table class="history">
    <thead>
      <tr>
        <th scope="col">When</th>
        <th scope="col">What</th>
        <th scope="col">By</th>
      </tr>
    </thead>
    <tbody>
      ${events.map(
        ({ at, type, by, container, message }) =>
          html`<tr>
            <td><time datetime=${at}>${local(at)}</time></td>
            <td>
              ${titled(type.replaceAll("-", " "))}${container === undefined ? nothing : html` <bdi>${container}</bdi>`}
              ${message === undefined ? nothing : html` <span class="muted">${message}</span>`}
            </td>
            <td><bdi>${by}</bdi></td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}
