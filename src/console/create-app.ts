/** Marathon's form: an app's id, its instances, and the volumes that each of them gets. */
import { html, nothing, type TemplateResult } from "lit-html";
import { send } from "./api.ts";
import type { Context } from "./context.ts";
import { type Field, fieldView, isRight, touchAll, untouch } from "./field.ts";
import { counted, mib } from "./format.ts";
import { appDefinition, type PoolJson } from "./operations.ts";
import { linkTo } from "./route.ts";
import { ruleOfAppId, ruleOfInstances, ruleOfPathAmong, ruleOfRole, ruleOfSizeMib } from "./rules.ts";

interface Draft {
  id: string;
  role: string;
  instances: string;
  volumes: { size: string; path: string }[];
}

const empty = (): Draft => ({ id: "", role: "", instances: "1", volumes: [{ size: "", path: "data" }] });

let draft = empty();

export function appForm(context: Context, pools: readonly PoolJson[]): TemplateResult {
  const general = generalFields(context);
  const rows = draft.volumes.map((_volume, index) => volumeFields(context, index));
  const fields = [...general, ...rows.flat()];
  const isReady = isRight(fields);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    touchAll(fields);
    context.draw();
    if (isReady) await create(context);
  };
  return html`<form class="form" novalidate @submit=${submit} aria-label="A stateful app">
    ${general.map(fieldView)}
    <fieldset>
      <legend>Persistent Local Volumes</legend>
      ${rows.map(
        (row, index) =>
          html`<div class="volume-row" role="group" aria-label="Volume ${index + 1}">
            ${row.map(fieldView)}
            ${
              rows.length === 1
                ? nothing
                : html`<button type="button" aria-label="Remove volume ${index + 1}" @click=${() => remove(index)}>Remove</button>`
            }
          </div>`,
      )}
      <button type="button" @click=${add}>Add another volume</button>
    </fieldset>
    <p class="preview" aria-live="polite">${isReady ? preview(pools) : "Nothing is made before everything above is right."}</p>
    <div class="actions">
      <a class="button" href=${linkTo("apps")}>Cancel</a>
      <button type="submit" class="primary">Create</button>
    </div>
  </form>`;

  function add(): void {
    draft.volumes.push({ size: "", path: "" });
    context.draw();
  }

  function remove(index: number): void {
    draft.volumes.splice(index, 1);
    context.draw();
  }
}

function generalFields(context: Context): readonly Field[] {
  const change = (key: "id" | "role" | "instances") => (text: string) => {
    draft[key] = text;
    context.draw();
  };
  return [
    {
      name: "app-id",
      label: "ID",
      hint: "A path of lower-case letters, digits, dots and hyphens, for example /sesame/samson.",
      value: draft.id,
      rule: ruleOfAppId,
      change: change("id"),
    },
    {
      name: "app-role",
      label: "Role",
      hint: "Whose disk it is. Left empty: marathon.",
      value: draft.role,
      rule: (text) => (text === "" ? undefined : ruleOfRole(text)),
      change: change("role"),
    },
    {
      name: "app-instances",
      label: "Instances",
      hint: "How many containers get volumes of their own.",
      value: draft.instances,
      rule: ruleOfInstances,
      change: change("instances"),
      numeric: true,
    },
  ];
}

function volumeFields(context: Context, index: number): readonly Field[] {
  const volume = draft.volumes[index] ?? { size: "", path: "" };
  const before = draft.volumes.slice(0, index).map(({ path }) => path);
  return [
    {
      name: `volume-${index}-size`,
      label: "Size (MiB)",
      hint: "A number greater than 0.",
      value: volume.size,
      rule: ruleOfSizeMib,
      change: (text) => {
        volume.size = text;
        context.draw();
      },
      numeric: true,
    },
    {
      name: `volume-${index}-path`,
      label: "Container Path",
      hint: "A single directory name: not nested, no slashes.",
      value: volume.path,
      rule: ruleOfPathAmong(before),
      change: (text) => {
        volume.path = text;
        context.draw();
      },
    },
  ];
}

function preview(pools: readonly PoolJson[]): string {
  const instances = Number(draft.instances);
  const each = draft.volumes.reduce((sum, { size }) => sum + Number(size), 0);
  const free = pools
    .filter(({ reservations = [] }) => reservations.length === 0)
    .reduce((sum, { scalar }) => sum + (scalar?.value ?? 0), 0);
  const made = `It makes ${counted(instances * draft.volumes.length, "volume")}, ${mib(instances * each)} in all`;
  return `${made}, of ${mib(free)} that are not reserved; they cannot be changed later.`;
}

async function create(context: Context): Promise<void> {
  const { id, role, instances, volumes } = draft;
  const app = {
    id: id.startsWith("/") ? id : `/${id}`,
    role,
    instances: Number(instances),
    volumes: volumes.map(({ size, path }) => ({ sizeMib: Number(size), containerPath: path })),
  };
  const isDone = await context.attempt(async () => {
    await send("POST", "/v2/apps", appDefinition(app));
    return `Created ${app.id}`;
  });
  if (!isDone) return;
  draft = empty();
  untouch();
  context.go(linkTo("app", [app.id]));
}
