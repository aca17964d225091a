/** The stateful apps of the node. */
import { html, type TemplateResult } from "lit-html";
import type { AppJson, AppsJson } from "../faces/http/app-wire.ts";
import { get } from "./api.ts";
import { volumesOf } from "./app.ts";
import type { Show } from "./context.ts";
import { mib, number } from "./format.ts";
import { linkTo } from "./route.ts";

export async function appsPage(): Promise<Show> {
  const { apps } = await get<AppsJson>("/v2/apps");
  return () => appsView(apps);
}

function appsView(apps: readonly AppJson[]): TemplateResult {
  return html`
    <header class="title">
      <h1 tabindex="-1">Apps</h1>
      <span class="space"></span>
      <a class="button primary" href=${linkTo("create", ["app"])}>Create</a>
    </header>
    ${apps.length === 0 ? html`<div class="welcome"><p>No stateful app has volumes here.</p></div>` : table(apps)}
  `;
}

function table(apps: readonly AppJson[]): TemplateResult {
  return html`<div class="scroll" role="region" aria-label="Apps" tabindex="0">
    <table>
      <caption class="unseen">
        Apps, ${number(apps.length)} in all
      </caption>
      <thead>
        <tr>
          <th scope="col">ID</th>
          <th scope="col">Role</th>
          <th scope="col" class="number">Running</th>
          <th scope="col" class="number">Instances</th>
          <th scope="col">Volumes of each</th>
        </tr>
      </thead>
      <tbody>
        ${apps.map(
          (app) =>
            html`<tr>
              <th scope="row" class="id"><a href=${linkTo("app", [app.id])}><bdi>${app.id}</bdi></a></th>
              <td>${app.role}</td>
              <td class="number">${number(app.tasksRunning)}</td>
              <td class="number">${number(app.instances)}</td>
              <td>
                ${volumesOf(app).map(
                  ({ containerPath, persistent }) =>
                    html`<span class="pair"><bdi>${containerPath}</bdi> ${mib(persistent.size)}</span> `,
                )}
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
