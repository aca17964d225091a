/** One app: its instances with their volumes and whether a container has them; scaled, wiped and deleted here. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { AppAnswerJson, AppJson, TaskJson } from "../faces/http/app-wire.ts";
import { appPath, get, send } from "./api.ts";
import type { Context, Question, Show } from "./context.ts";
import { mib, number } from "./format.ts";
import { type History, historyView, readHistory } from "./history.ts";
import { fact, moment } from "./parts.ts";
import { linkTo } from "./route.ts";

export async function appPage(context: Context): Promise<Show> {
  const [id = ""] = context.route.path;
  const [{ app }, events] = await Promise.all([get<AppAnswerJson>(appPath(id)), readHistory({ app: id })]);
  return () => appView(context, app, events);
}

function appView(context: Context, app: AppJson, events: History): TemplateResult {
  const { id, instances, residency, tasks = [] } = app;
  return html`
    <nav aria-label="Breadcrumb" class="crumbs"><a href=${linkTo("apps")}>Apps</a></nav>
    <header class="title">
      <h1 tabindex="-1"><bdi>${id}</bdi></h1>
      <span class="space"></span>
      <button type="button" @click=${() => context.ask(scaleQuestion(app))}>Scale…</button>
      <button type="button" class="danger" @click=${() => context.ask(deleteQuestion(app))}>Delete…</button>
    </header>
    <div class="columns">
      <section aria-labelledby="facts">
        <h2 id="facts">App</h2>
        <dl>
          ${fact("Instances", number(instances))} ${fact("Role", app.role)}
          ${volumesOf(app).map(({ containerPath, persistent }) =>
            fact("Volume", html`<bdi>${containerPath}</bdi>, ${mib(persistent.size)}`),
          )}
          ${fact("When a container is lost", residencyText(residency))}
          ${fact("Volumes", html`<a href=${linkTo("volumes", [], { app: id })}>in the list</a>`)}
        </dl>
      </section>
      <section aria-labelledby="tasks">
        <h2 id="tasks">Instances</h2>
        ${tasks.length === 0 ? html`<p class="muted">It has no instances.</p>` : instanceTable(context, app, tasks)}
      </section>
    </div>
    ${historyView(events)}
  `;
}

/** What each instance gets. */
export function volumesOf({ container }: AppJson): readonly { containerPath: string; persistent: { size: number } }[] {
  return container.volumes as ReturnType<typeof volumesOf>;
}

function residencyText({ taskLostBehavior, relaunchEscalationTimeoutSeconds }: AppJson["residency"]): string {
  return taskLostBehavior === "WAIT_FOREVER"
    ? "its volumes wait for the next one"
    : `after ${number(relaunchEscalationTimeoutSeconds)} s a new instance may take its place`;
}

function instanceTable(context: Context, app: AppJson, tasks: readonly TaskJson[]): TemplateResult {
  return html`<table>
    <thead>
      <tr>
        <th scope="col">Instance</th>
        <th scope="col">Status</th>
        <th scope="col">Volumes</th>
        <th scope="col"><span class="unseen">Actions</span></th>
      </tr>
    </thead>
    <tbody>
      ${tasks.map(
        (task) =>
          html`<tr>
            <th scope="row" class="id">
              <bdi>${task.id}</bdi>
            </th>
            <td>${taskBadge(task)}${taskDetail(task)}</td>
            <td>
              ${task.localVolumes.map(
                ({ containerPath, persistenceId }) =>
                  html`<a class="pair" href=${linkTo("volume", [app.role, persistenceId])}><bdi>${containerPath}</bdi></a> `,
              )}
            </td>
            <td class="number">
              <button type="button" aria-label="Wipe ${task.id}" @click=${() => context.ask(wipeQuestion(app, task))}>
                Wipe…
              </button>
            </td>
          </tr>`,
      )}
    </tbody>
  </table>`;
}

/** Marathon's: whoever runs has its volumes. */
function taskBadge({ state }: TaskJson): TemplateResult {
  if (state === "TASK_RUNNING") return html`<span class="badge good">Attached</span>`;
  return html`<span class="badge ${state === "TASK_LOST" ? "warn" : "calm"}">Detached</span>`;
}

function taskDetail({ containers, startedAt, lostSince, suspended }: TaskJson): TemplateResult | typeof nothing {
  if (lostSince !== undefined) return html`<small>its container vanished ${moment(lostSince)}</small>`;
  if (suspended === true) return html`<small>kept, not used</small>`;
  if (startedAt === undefined) return nothing;
  return html`<small><bdi>${containers.join(", ")}</bdi> since ${moment(startedAt)}</small>`;
}

function scaleQuestion({ id, instances }: AppJson): Question {
  let wanted = String(instances);
  return {
    title: `Scale ${id}`,
    body: html`<label for="instances">Instances</label>
      <input
        id="instances"
        type="number"
        min="0"
        .value=${wanted}
        @input=${(event: InputEvent) => {
          wanted = (event.target as HTMLInputElement).value;
        }}
      />
      <p class="muted">Fewer instances keep their volumes, detached; more take those first.</p>`,
    confirm: "Scale",
    run: async () => {
      await send("PUT", appPath(id), { instances: Number(wanted) });
      return `Scaled ${id} to ${wanted}`;
    },
  };
}

function deleteQuestion({ id, tasks = [] }: AppJson): Question {
  return {
    title: "Delete this app?",
    body: html`<p>
      The volumes of its ${number(tasks.length)} instances are destroyed. Their content goes to the trash and can be restored until it
      is collected.
    </p>`,
    typed: id,
    confirm: "Delete",
    danger: true,
    run: async () => {
      await send("DELETE", appPath(id));
      return `Deleted ${id}`;
    },
  };
}

function wipeQuestion({ id }: AppJson, task: TaskJson): Question {
  return {
    title: "Wipe this instance?",
    body: html`<p>Its volumes are destroyed. Their content goes to the trash and can be restored until it is collected.</p>`,
    typed: task.id,
    confirm: "Wipe",
    danger: true,
    run: async () => {
      await send("DELETE", `${appPath(id)}/tasks/${encodeURIComponent(task.id)}?wipe=true`);
      return `Wiped ${task.id}`;
    },
  };
}
