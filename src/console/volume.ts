/** One volume: who has it and since when, what it takes, where it is, what happened to it, and what can be done with it. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { ContainerJson, ContainersJson, VolumeJson } from "../faces/http/wire.ts";
import { deleteQuestion, destroyQuestion, markButton, nameOf, restoreButton } from "./actions.ts";
import { get, getVolumes, Refusal, volumePath } from "./api.ts";
import type { Context, Show } from "./context.ts";
import { bytes, number, quoted } from "./format.ts";
import { observe, useGraph } from "./graph.ts";
import { type History, historyView, readHistory } from "./history.ts";
import { describeQuestion } from "./note.ts";
import { command, fact, moment, stateBadge, volumeName } from "./parts.ts";
import { resizeQuestion } from "./resize.ts";
import { linkTo } from "./route.ts";

interface Found {
  readonly volume: VolumeJson;
  readonly containers: readonly ContainerJson[];
  readonly events: History;
}

export async function volumePage(context: Context): Promise<Show> {
  const [role = "", id = "", uuid] = context.route.path;
  const volume = uuid === undefined ? await get<VolumeJson>(volumePath(role, id)) : await incarnation(uuid);
  const [containers, events] = await Promise.all([containersOf(volume), readHistory({ uuid: volume.uuid })]);
  const now = Date.now();
  observe(volume, now);
  return () => volumeView(context, { volume, containers, events }, now);
}

/** A certain one of those that had this name: once it is restored, it is the live one. */
async function incarnation(uuid: string): Promise<VolumeJson> {
  const { volumes } = await getVolumes({ search: uuid, offset: 0, limit: 1 });
  const [volume] = volumes;
  if (volume === undefined)
    throw new Refusal(404, "There is no such volume any more: its content was deleted for good");
  return volume;
}

async function containersOf({ uuid, containers }: VolumeJson): Promise<readonly ContainerJson[]> {
  if (containers.length === 0) return [];
  const all = await get<ContainersJson>("/v1/containers");
  return all.containers.filter(({ volumes }) => volumes.some((attachment) => attachment.uuid === uuid));
}

function volumeView(context: Context, found: Found, now: number): TemplateResult {
  const { volume } = found;
  return html`
    <nav aria-label="Breadcrumb" class="crumbs">
      ${
        volume.retiredAt === undefined
          ? html`<a href=${linkTo("volumes")}>Volumes</a>`
          : html`<a href=${linkTo("trash")}>Trash</a>`
      }
    </nav>
    <header class="title">
      <h1 tabindex="-1">${volumeName(volume)}</h1>
      ${stateBadge(volume.state)}
      <span class="space"></span>
      ${buttons(context, volume)}
    </header>
    ${volume.problem === undefined ? nothing : html`<p class="alert" role="alert">${volume.problem}</p>`}
    ${volume.description === undefined ? nothing : html`<p class="description">${volume.description}</p>`}
    ${labels(volume)}
    <div class="columns">
      <section aria-labelledby="facts">
        <h2 id="facts">Volume</h2>
        ${facts(context, volume)}
      </section>
      <section aria-labelledby="use">
        <h2 id="use">Use</h2>
        ${useGraph(volume, now)}
        <dl>
          ${fact("Used", volume.usedBytes === undefined ? "not yet known" : bytes(volume.usedBytes))}
          ${fact("Files and directories", volume.inodes === undefined ? undefined : number(volume.inodes))}
          ${fact("Held to its size", volume.enforced ? "by the kernel" : "by nothing: it is only measured")}
        </dl>
        <h2>Who has it</h2>
        ${holders(volume, found.containers)}
      </section>
    </div>
    ${historyView(found.events)}
  `;
}

function buttons(context: Context, volume: VolumeJson): TemplateResult {
  const ask = (question: Parameters<Context["ask"]>[0]) => () => context.ask(question);
  if (volume.retiredAt !== undefined) {
    return html`${restoreButton(context, volume)}
      ${volume.pinned === true ? markButton(context, volume, "unpin", "Unpin") : markButton(context, volume, "pin", "Pin")}
      <button type="button" class="danger" @click=${ask(deleteQuestion(volume))}>Delete for good…</button>`;
  }
  return html`<button type="button" @click=${ask(describeQuestion(volume))}>Describe…</button>
    <button type="button" @click=${ask(resizeQuestion(volume))}>Resize…</button>
    ${
      volume.protected === true
        ? markButton(context, volume, "unprotect", "Take protection away")
        : markButton(context, volume, "protect", "Protect")
    }
    <button type="button" class="danger" ?disabled=${volume.protected === true} @click=${ask(destroyQuestion(volume))}>
      Destroy…
    </button>`;
}

function labels({ labels: pairs = {} }: VolumeJson): TemplateResult | typeof nothing {
  const entries = Object.entries(pairs);
  if (entries.length === 0) return nothing;
  return html`<ul class="labels" aria-label="Labels">
    ${entries.map(([key, value]) => html`<li><bdi>${key}${value === "" ? nothing : html`=${value}`}</bdi></li>`)}
  </ul>`;
}

function facts({ host }: Context, volume: VolumeJson): TemplateResult {
  const { app, source } = volume;
  return html`<dl>
    ${fact("Container Path", html`<bdi>${volume.containerPath}</bdi>`)} ${fact("Mode", volume.shared ? "RW, shared" : "RW")}
    ${fact("Size (MiB)", number(volume.sizeMb))}
    ${app === undefined ? nothing : fact("Application", html`<a href=${linkTo("app", [app.id])}>${app.id}</a>`)}
    ${fact("Task Id", app?.instance)} ${fact("Host", host)} ${fact("Type", "PERSISTENT")}
    ${fact("Disk", source === undefined || source.type === "ROOT" ? "the work root's" : source.root)}
    ${fact("Path", html`<code class="path">${volume.path}</code>`)} ${fact("Creator", volume.principal)}
    ${fact("Created", html`${moment(volume.createdAt)} by ${volume.createdBy}`)}
    ${volume.retiredAt === undefined ? nothing : fact("Destroyed", moment(volume.retiredAt))}
    ${volume.dueAt === undefined ? nothing : fact("Collected", moment(volume.dueAt))}
    ${fact("Marks", [...(volume.protected ? ["protected"] : []), ...(volume.pinned ? ["pinned"] : [])].join(", "))}
    ${fact("Incarnation", html`<code>${volume.uuid}</code>`)}
  </dl>`;
}

function holders(volume: VolumeJson, containers: readonly ContainerJson[]): TemplateResult {
  const seen = volume.holders ?? [];
  if (volume.retiredAt !== undefined && seen.length === 0) return html`<p class="muted">Nobody: it was destroyed.</p>`;
  if (containers.length === 0 && seen.length === 0) return nobody(volume);
  return html`<ul class="holders">
    ${containers.map((container) => {
      const attachment = container.volumes.find(({ uuid }) => uuid === volume.uuid);
      return html`<li>
        <strong><bdi>${container.id}</bdi></strong> ${attachment?.mode === "RO" ? "reads it" : "reads and writes it"} since
        ${moment(container.since)}
        <small
          >${container.runtime === undefined ? nothing : html`${container.runtime}, `}attached by ${container.by}${
            container.sandbox === undefined ? nothing : html` in <code>${container.sandbox}</code>`
          }</small
        >
      </li>`;
    })}
    ${seen.map(
      ({ pid, command: program, mountPoint, engine, container }) =>
        html`<li>
          ${engine === undefined ? nothing : html`${engine} `}${container === undefined ? nothing : html`<bdi>${container}</bdi> `}
          <small>seen: process ${pid} (${program}) at <code>${mountPoint}</code></small>
        </li>`,
    )}
  </ul>`;
}

function nobody(volume: VolumeJson): TemplateResult {
  const name = quoted(nameOf(volume));
  return html`<p class="muted">Nobody. To give it to a container:</p>
    <p>${command(`holdfast attach ${name} --container web-1 --sandbox /srv/web-1`)}</p>`;
}
