/** Makes a volume larger or smaller. */
import { html } from "lit-html";
import type { VolumeJson } from "../faces/http/wire.ts";
import { nameOf } from "./actions.ts";
import { get, Refusal, send } from "./api.ts";
import type { Question } from "./context.ts";
import { mib } from "./format.ts";
import { type PoolJson, resizing, type VolumeResource } from "./operations.ts";
import { ruleOfSizeMib } from "./rules.ts";

const UNUSABLE = 400;

export function resizeQuestion(volume: VolumeJson): Question {
  const name = nameOf(volume);
  let wanted = String(volume.sizeMb);
  return {
    title: `Resize ${name}`,
    body: html`<label for="size">Size (MiB)</label>
      <input
        id="size"
        inputmode="decimal"
        autocomplete="off"
        .value=${wanted}
        @input=${(event: InputEvent) => {
          wanted = (event.target as HTMLInputElement).value.trim();
        }}
      />
      <p class="muted">
        More is taken of role ${volume.role}'s free disk, and reserved where that is not enough. What becomes free stays reserved for
        it.
      </p>`,
    confirm: "Resize",
    run: async () => {
      const wrong = ruleOfSizeMib(wanted);
      if (wrong !== undefined) throw new Refusal(UNUSABLE, `Cannot resize ${name}: the size must be ${wrong}`);
      const { resources } = await get<{ readonly resources: readonly PoolJson[] }>("/v1/resources?free=true");
      const operations = resizing(volume.resource as VolumeResource, Number(wanted), resources);
      if (operations.length > 0) await send("POST", "/v1/operations", { operations });
      return `Resized ${name} to ${mib(Number(wanted))}`;
    },
  };
}
