/** What can be done with one volume, wherever it is shown. */
import { html, type TemplateResult } from "lit-html";
import type { VolumeJson, VolumeMark } from "../faces/http/wire.ts";
import { send } from "./api.ts";
import type { Context, Done, Question } from "./context.ts";
import { mib } from "./format.ts";
import { linkTo } from "./route.ts";

type Named = Pick<VolumeJson, "role" | "id" | "uuid">;

export function nameOf({ role, id }: Named): string {
  return `${role}/${id}`;
}

export function markButton(context: Context, volume: Named, mark: VolumeMark, label: string): TemplateResult {
  const run = async (): Promise<string> => {
    await send("POST", `/v1/volumes/${mark}`, { uuid: volume.uuid });
    return `${label}: ${nameOf(volume)}`;
  };
  return html`<button type="button" @click=${() => context.attempt(run)}>${label}</button>`;
}

async function restore(volume: Named): Promise<Done> {
  await send("POST", "/v1/volumes/restore", { uuid: volume.uuid });
  return { text: `Restored ${nameOf(volume)}` };
}

export function restoreButton(context: Context, volume: Named): TemplateResult {
  const run = async (): Promise<void> => {
    if (await context.attempt(() => restore(volume))) context.go(linkTo("volume", [volume.role, volume.id]));
  };
  return html`<button type="button" class="primary" @click=${run}>Restore</button>`;
}

export function destroyQuestion(volume: VolumeJson): Question {
  const name = nameOf(volume);
  return {
    title: "Destroy this volume?",
    body: html`<p>
        Its ${mib(volume.sizeMb)} are free for role ${volume.role} at once. Its content goes to the trash and can be restored until
        it is collected.
      </p>
      ${volume.containers.length === 0 ? "" : html`<p class="problem">Containers have it now: it will be refused until they let go.</p>`}`,
    typed: name,
    confirm: "Destroy",
    danger: true,
    run: async () => {
      await send("POST", "/v1/operations", {
        operations: [{ type: "DESTROY", destroy: { volumes: [volume.resource] } }],
      });
      return { text: `Destroyed ${name}`, undo: { label: "Restore", run: () => restore(volume) } };
    },
  };
}

export function deleteQuestion(volume: Named): Question {
  const name = nameOf(volume);
  return {
    title: "Delete this content for good?",
    body: html`<p>Nobody can bring it back afterwards.</p>`,
    typed: name,
    confirm: "Delete for good",
    danger: true,
    run: async () => {
      await send("POST", "/v1/gc", { uuids: [volume.uuid] });
      return `Deleted the content of ${name} for good`;
    },
  };
}
