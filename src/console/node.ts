/** The node: its disks as pictures, what roles have reserved of them, and what it is. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { DiskJson, StatusJson } from "../faces/http/wire.ts";
import { get } from "./api.ts";
import type { Context, Show } from "./context.ts";
import { bytes, mib, number } from "./format.ts";
import type { PoolJson } from "./operations.ts";
import { fact, moment } from "./parts.ts";
import { diskPicture } from "./picture.ts";
import { linkTo } from "./route.ts";

export async function nodePage({ host }: Context): Promise<Show> {
  const [status, { resources }] = await Promise.all([
    get<StatusJson>("/v1/status"),
    get<{ readonly resources: readonly PoolJson[] }>("/v1/resources?free=true"),
  ]);
  return () => nodeView(host, status, resources);
}

function nodeView(host: string, status: StatusJson, pools: readonly PoolJson[]): TemplateResult {
  return html`
    <header class="title"><h1 tabindex="-1">${host}</h1></header>
    ${status.disks.map(diskView)}
    <div class="columns">
      <section aria-labelledby="reserved">
        <h2 id="reserved">Reserved and free to use</h2>
        ${poolTable(pools)}
      </section>
      <section aria-labelledby="facts">
        <h2 id="facts">Node</h2>
        <dl>
          ${fact("Agent id", html`<code>${status.agentId}</code>`)} ${fact("Version", status.version)}
          ${fact("Started", moment(status.startedAt))} ${fact("Containers with volumes", number(status.containers))}
          ${fact("Mounts by", status.mountBackend)}
          ${fact(
            "Recovery",
            `${number(Math.round(status.recovery.durationMs))} ms: ${number(status.recovery.adopted)} mounts taken over, ` +
              `${number(status.recovery.completed)} things completed`,
          )}
        </dl>
      </section>
    </div>
  `;
}

function diskView(disk: DiskJson): TemplateResult {
  const { enforcement, unmeasured } = disk;
  return html`<section class="card" aria-label="Disk ${disk.root}">
    <h2>
      <code>${disk.root}</code> <small>${disk.source.type}, ${disk.fileSystem}</small>
    </h2>
    ${diskPicture(disk)}
    <p class="muted">
      ${
        enforcement.by === "nothing"
          ? `Volumes are measured and not held to their sizes${enforcement.reason === undefined ? "" : `: ${enforcement.reason}`}.`
          : `Volumes are held to their sizes by ${enforcement.by}.`
      }
      Live volumes may still fill ${bytes(disk.promisedBytes)}.
      ${unmeasured === 0 ? nothing : `${number(unmeasured)} volumes have yet to be measured.`}
    </p>
  </section>`;
}

function poolTable(pools: readonly PoolJson[]): TemplateResult {
  const reserved = pools.filter(({ reservations = [] }) => reservations.length > 0);
  if (reserved.length === 0) return html`<p class="muted">No role has reserved disk that lies under no volume.</p>`;
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Role</th>
        <th scope="col">Principal</th>
        <th scope="col" class="number">Free</th>
      </tr>
    </thead>
    <tbody>
      ${reserved.map(({ reservations = [], scalar }) => {
        const level = reservations.at(-1);
        return html`<tr>
          <th scope="row"><a href=${linkTo("volumes", [], { role: level?.role })}>${level?.role}</a></th>
          <td>${level?.principal ?? ""}</td>
          <td class="number">${mib(scalar?.value ?? 0)}</td>
        </tr>`;
      })}
    </tbody>
  </table>`;
}
