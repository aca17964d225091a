/** Makes a volume, or a stateful app with volumes for each of its instances. */
import { html, type TemplateResult } from "lit-html";
import type { OperationBody } from "../faces/http/wire.ts";
import { get, send } from "./api.ts";
import type { Context, Show } from "./context.ts";
import { appForm } from "./create-app.ts";
import { type Field, fieldView, isRight, touchAll, untouch } from "./field.ts";
import { mib, number } from "./format.ts";
import { creating, ownReservation, type PoolJson, poolFor } from "./operations.ts";
import { linkTo } from "./route.ts";
import { ruleOfContainerPath, ruleOfId, ruleOfRole, ruleOfSizeMib } from "./rules.ts";

interface Draft {
  role: string;
  id: string;
  size: string;
  path: string;
  shared: boolean;
}

const EMPTY: Draft = { role: "", id: "", size: "", path: "data", shared: false };

let draft: Draft = { ...EMPTY };

export async function createPage(context: Context): Promise<Show> {
  const isApp = context.route.path[0] === "app";
  const { resources } = await get<{ readonly resources: readonly PoolJson[] }>("/v1/resources?free=true");
  return () => createView(isApp, isApp ? appForm(context, resources) : volumeForm(context, resources));
}

function createView(isApp: boolean, form: TemplateResult): TemplateResult {
  const tab = (label: string, link: string, isCurrent: boolean) =>
    html`<a href=${link} aria-current=${isCurrent ? "page" : "false"}>${label}</a>`;
  return html`
    <header class="title"><h1 tabindex="-1">Create</h1></header>
    <nav class="tabs" aria-label="What to create">
      ${tab("A volume", linkTo("create"), !isApp)} ${tab("A stateful app", linkTo("create", ["app"]), isApp)}
    </nav>
    ${form}
  `;
}

function volumeForm(context: Context, pools: readonly PoolJson[]): TemplateResult {
  const fields = fieldsOf(context);
  const isReady = isRight(fields);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    touchAll(fields);
    context.draw();
    if (isReady) await create(context, pools);
  };
  return html`<form class="form" novalidate @submit=${submit} aria-label="A volume">
    ${fields.map(fieldView)}
    <datalist id="known-roles">
      ${[...new Set(pools.flatMap((pool) => pool.reservations?.at(-1)?.role ?? []))].map(
        (role) => html`<option value=${role}></option>`,
      )}
    </datalist>
    <label class="check">
      <input
        type="checkbox"
        .checked=${draft.shared}
        @change=${(event: Event) => {
          draft.shared = (event.target as HTMLInputElement).checked;
          context.draw();
        }}
      />
      Several containers may have it at once
    </label>
    <p class="preview" aria-live="polite">${isReady ? preview(pools) : "Nothing is made before everything above is right."}</p>
    <div class="actions">
      <a class="button" href=${linkTo("volumes")}>Cancel</a>
      <button type="submit" class="primary">Create</button>
    </div>
  </form>`;
}

function fieldsOf(context: Context): readonly Field[] {
  const change = (key: "role" | "id" | "size" | "path") => (text: string) => {
    draft[key] = text;
    context.draw();
  };
  return [
    {
      name: "role",
      label: "Role",
      hint: "Whose disk it is, for example ads or eng/frontend.",
      value: draft.role,
      rule: ruleOfRole,
      change: change("role"),
      list: "known-roles",
    },
    {
      name: "id",
      label: "ID",
      hint: "What people call it; unique in its role.",
      value: draft.id,
      rule: ruleOfId,
      change: change("id"),
    },
    {
      name: "size",
      label: "Size (MiB)",
      hint: "A number greater than 0.",
      value: draft.size,
      rule: ruleOfSizeMib,
      change: change("size"),
      numeric: true,
    },
    {
      name: "path",
      label: "Container Path",
      hint: "Its name in a container's sandbox: one name, without slashes.",
      value: draft.path,
      rule: ruleOfContainerPath,
      change: change("path"),
    },
  ];
}

function preview(pools: readonly PoolJson[]): string {
  const sizeMib = Number(draft.size);
  const pool = poolFor(pools, draft.role, sizeMib);
  const free = unreserved(pools)?.scalar?.value ?? 0;
  if (pool !== undefined) {
    return `It takes ${mib(sizeMib)} of the ${mib(pool.scalar?.value ?? 0)} that role ${draft.role} has reserved and not used.`;
  }
  return sizeMib > free
    ? `It would reserve ${number(sizeMib)} MiB, but only ${number(free)} MiB are not reserved.`
    : `It reserves ${mib(sizeMib)} for role ${draft.role}, of ${mib(free)} that are not reserved, and creates the volume: both or neither.`;
}

function unreserved(pools: readonly PoolJson[]): PoolJson | undefined {
  return pools
    .filter(({ reservations = [] }) => reservations.length === 0)
    .sort((left, right) => (right.scalar?.value ?? 0) - (left.scalar?.value ?? 0))[0];
}

async function create(context: Context, pools: readonly PoolJson[]): Promise<void> {
  const { role, id, size, path, shared } = draft;
  const sizeMib = Number(size);
  const reserved = poolFor(pools, role, sizeMib);
  const reservations = ownReservation(role, context.principal) ?? [];
  const from = reserved ?? { ...unreserved(pools), reservations };
  const volume = { role, id, sizeMib, containerPath: path, shared, from };
  const operations: readonly OperationBody[] = creating(volume, { reserve: reserved === undefined });
  const isDone = await context.attempt(async () => {
    await send("POST", "/v1/operations", { operations });
    return `Created ${role}/${id}`;
  });
  if (!isDone) return;
  draft = { ...EMPTY };
  untouch();
  context.go(linkTo("volume", [role, id]));
}
