/** A labelled input that says its rule, and what is wrong while somebody types. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Rule } from "./rules.ts";

export interface Field {
  readonly name: string;
  readonly label: string;
  /** The rule in words, always to be seen. */
  readonly hint: string;
  readonly value: string;
  readonly rule: Rule;
  readonly change: (text: string) => void;
  readonly list?: string;
  readonly placeholder?: string;
  readonly numeric?: boolean;
}

/** What was typed in: an empty field is not told off before. */
const touched = new Set<string>();

export function fieldView({
  name,
  label,
  hint,
  value,
  rule,
  change,
  list,
  placeholder,
  numeric,
}: Field): TemplateResult {
  const wrong = value === "" && !touched.has(name) ? undefined : rule(value);
  return html`<div class="field">
    <label for=${name}>${label}</label>
    <input
      id=${name}
      name=${name}
      autocomplete="off"
      spellcheck="false"
      autocapitalize="none"
      inputmode=${numeric === true ? "decimal" : "text"}
      list=${list ?? nothing}
      placeholder=${placeholder ?? ""}
      .value=${value}
      aria-invalid=${wrong === undefined ? "false" : "true"}
      aria-describedby="${name}-hint ${name}-wrong"
      @input=${(event: InputEvent) => {
        touched.add(name);
        change((event.target as HTMLInputElement).value);
      }}
    />
    <small id="${name}-hint" class="muted">${hint}</small>
    <small id="${name}-wrong" class="problem" aria-live="polite">${wrong === undefined ? nothing : `It must be ${wrong}`}</small>
  </div>`;
}

/** Also says what is missing, once somebody wants to send a form. */
export function touchAll(fields: readonly Pick<Field, "name">[]): void {
  for (const { name } of fields) touched.add(name);
}

/** A new form is not told off for the last one. */
export function untouch(): void {
  touched.clear();
}

export function isRight(fields: readonly Pick<Field, "value" | "rule">[]): boolean {
  return fields.every(({ value, rule }) => rule(value) === undefined);
}
