/** Whose is this? A description and labels, which people write and programs may look for. */
import { html } from "lit-html";
import type { VolumeJson } from "../faces/http/wire.ts";
import { nameOf } from "./actions.ts";
import { send, volumePath } from "./api.ts";
import type { Question } from "./context.ts";
import { parseLabels, printLabels } from "./labels.ts";

export function describeQuestion(volume: VolumeJson): Question {
  let description = volume.description ?? "";
  let labels = printLabels(volume.labels ?? {});
  return {
    title: `Describe ${nameOf(volume)}`,
    body: html`
      <label for="description">Description</label>
      <input
        id="description"
        .value=${description}
        @input=${(event: InputEvent) => {
          description = (event.target as HTMLInputElement).value;
        }}
      />
      <label for="labels">Labels, one on a line: <code>team=ads</code></label>
      <textarea
        id="labels"
        rows="4"
        spellcheck="false"
        .value=${labels}
        @input=${(event: InputEvent) => {
          labels = (event.target as HTMLTextAreaElement).value;
        }}
      ></textarea>
    `,
    confirm: "Save",
    run: async () => {
      const given = parseLabels(labels);
      const isNone = Object.keys(given).length === 0;
      await send("PUT", `${volumePath(volume.role, volume.id)}/note`, {
        description: description.trim() === "" ? null : description.trim(),
        labels: isNone ? null : given,
      });
      return `Described ${nameOf(volume)}`;
    },
  };
}
