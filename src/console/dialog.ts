/** The question before what cannot be undone by closing a window; sometimes answered by typing a name. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Context, Question } from "./context.ts";

/** The question that is open now, and what was typed. */
export interface OpenQuestion {
  readonly question: Question;
  text: string;
  isRunning: boolean;
}

export function questionView(open: OpenQuestion, context: Context, close: () => void): TemplateResult {
  const { question } = open;
  const isTyped = question.typed === undefined || open.text === question.typed;
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (!isTyped || open.isRunning) return;
    open.isRunning = true;
    context.draw();
    await context.attempt(question.run);
    close();
  };
  return html`
    <dialog aria-labelledby="question" @close=${unlessOpenAgain(close)} @click=${closeOutside}>
      <form @submit=${submit}>
        <h2 id="question">${question.title}</h2>
        <div class="body">${question.body}</div>
        ${
          question.typed === undefined
            ? nothing
            : html`
                <label for="typed">Type <strong class="name">${question.typed}</strong> to confirm</label>
                <input
                  id="typed"
                  autocomplete="off"
                  spellcheck="false"
                  .value=${open.text}
                  @input=${(event: InputEvent) => {
                    open.text = (event.target as HTMLInputElement).value;
                    context.draw();
                  }}
                />
              `
        }
        <div class="actions">
          <button type="button" @click=${close}>Cancel</button>
          <button type="submit" class=${question.danger === true ? "danger" : "primary"} ?disabled=${!isTyped || open.isRunning}>
            ${question.confirm}
          </button>
        </div>
      </form>
    </dialog>
  `;
}

/** A close is told a moment later: by then the same element may be open for the next question. */
function unlessOpenAgain(close: () => void): (event: Event) => void {
  return ({ currentTarget }) => {
    if (!(currentTarget as HTMLDialogElement).open) close();
  };
}

/** The dialog's own element is only hit beside its form. */
function closeOutside(event: MouseEvent): void {
  const dialog = event.currentTarget as HTMLDialogElement;
  if (event.target === dialog) dialog.close();
}
