/** What an operator must look at, each with what to do, and what is damaged. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { StatusJson, VolumesJson } from "../faces/http/wire.ts";
import { get, getVolumes } from "./api.ts";
import type { Show } from "./context.ts";
import { counted, number } from "./format.ts";
import { volumeLink } from "./parts.ts";
import { linkTo } from "./route.ts";

const SHOWN_MAX = 50;

export async function healthPage(): Promise<Show> {
  const [status, damaged] = await Promise.all([
    get<StatusJson>("/v1/status"),
    getVolumes({ state: "damaged", offset: 0, limit: SHOWN_MAX }),
  ]);
  return () => healthView(status, damaged);
}

function healthView({ problems, notices }: StatusJson, damaged: VolumesJson): TemplateResult {
  const total = damaged.total ?? 0;
  return html`
    <header class="title"><h1 tabindex="-1">Health</h1></header>
    ${
      problems.length === 0
        ? html`<p class="well"><span class="badge good">Well</span> Nothing needs to be looked at.</p>`
        : html`<section aria-labelledby="problems">
            <h2 id="problems">${counted(problems.length, "problem")} to look at</h2>
            <ul class="problems">
              ${problems.slice(0, SHOWN_MAX).map((problem) => html`<li>${problem}</li>`)}
              ${problems.length > SHOWN_MAX ? html`<li>and ${number(problems.length - SHOWN_MAX)} more</li>` : nothing}
            </ul>
          </section>`
    }
    ${
      total === 0
        ? nothing
        : html`<section aria-labelledby="damaged">
            <h2 id="damaged">${counted(total, "damaged volume")}</h2>
            <table>
              <thead>
                <tr>
                  <th scope="col">ID</th>
                  <th scope="col">What is wrong, and what to do</th>
                </tr>
              </thead>
              <tbody>
                ${damaged.volumes.map(
                  (volume) =>
                    html`<tr>
                      <th scope="row" class="id">${volumeLink(volume)}</th>
                      <td>${volume.problem}</td>
                    </tr>`,
                )}
              </tbody>
            </table>
            ${total > SHOWN_MAX ? html`<p><a href=${linkTo("volumes", [], { state: "damaged" })}>All of them</a></p>` : nothing}
          </section>`
    }
    ${
      notices.length === 0
        ? nothing
        : html`<section aria-labelledby="notices">
            <h2 id="notices">Good to know</h2>
            <ul class="problems">
              ${notices.map((notice) => html`<li class="calm">${notice}</li>`)}
            </ul>
          </section>`
    }
  `;
}
