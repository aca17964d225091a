/**
 * The console: pages that show what the daemon says and ask it to do things. It keeps nothing: the place is in the address,
 * everything else is asked for again and again while somebody looks.
 *
 * A page finds what it shows, and is drawn; each event of the daemon has it find that again. All text goes into the
 * document as text.
 */
import { html, nothing, render, type TemplateResult } from "lit-html";
import type { StatusJson } from "../faces/http/wire.ts";
import { get, Refusal } from "./api.ts";
import type { Context, Done, Show } from "./context.ts";
import { type OpenQuestion, questionView } from "./dialog.ts";
import { frameView, type Notice } from "./frame.ts";
import { type Contact, follow } from "./live.ts";
import { type Place, parseRoute, type Route } from "./route.ts";
import { volumesPage } from "./volumes.ts";

/** Finds what a page shows. All but the first page are loaded when somebody goes there. */
type Page = (context: Context) => Promise<Show>;

const PAGES: Readonly<Record<Place, () => Promise<Page>>> = {
  volumes: async () => volumesPage,
  volume: async () => (await import("./volume.ts")).volumePage,
  create: async () => (await import("./create.ts")).createPage,
  apps: async () => (await import("./apps.ts")).appsPage,
  app: async () => (await import("./app.ts")).appPage,
  node: async () => (await import("./node.ts")).nodePage,
  trash: async () => (await import("./trash.ts")).trashPage,
  health: async () => (await import("./health.ts")).healthPage,
};

const TITLES: Readonly<Record<Place, string>> = {
  volumes: "Volumes",
  volume: "Volume",
  create: "Create",
  apps: "Apps",
  app: "App",
  node: "Node",
  trash: "Trash",
  health: "Health",
};

const NOTICE_MS = 12_000;

const { host = "", principal = "", version = "" } = document.body.dataset;

let route = parseRoute(location.hash);
let show: Show | undefined;
let failure: string | undefined;
let status: StatusJson | undefined;
let contact: Contact = "connecting";
let question: OpenQuestion | undefined;
let notice: Notice | undefined;
let noticeTimer: ReturnType<typeof setTimeout> | undefined;
let isShown = false;
/** Where the focus goes once the page is there: somebody went to another place. */
let isArriving = false;

window.addEventListener("hashchange", arrive);
document.addEventListener("keydown", shortcut);
follow({
  look,
  onContact: (now) => {
    if (now === contact) return;
    contact = now;
    draw();
  },
});
draw();

function contextOf(at: Route): Context {
  return {
    host,
    principal,
    route: at,
    get status() {
      return status;
    },
    draw,
    refresh: look,
    go,
    ask,
    attempt,
  };
}

function arrive(): void {
  const before = route;
  route = parseRoute(location.hash);
  // Another order of the same list stays where it is until the new one is there.
  if (before.place !== route.place || before.path.join("/") !== route.path.join("/")) {
    show = undefined;
    isArriving = true;
    scrollTo(0, 0);
  }
  failure = undefined;
  draw();
  void look().catch(() => {});
}

function go(link: string, options?: { readonly replace?: boolean }): void {
  if (options?.replace !== true) {
    location.hash = link;
    return;
  }
  history.replaceState(null, "", link);
  arrive();
}

/** Looks for the page and the node's state. @throws what is no answer of the daemon */
async function look(): Promise<void> {
  const wanted = route;
  try {
    const page = await PAGES[wanted.place]().catch(() => {
      throw new Refusal(404, "This part of the console is not there any more: load the page again");
    });
    const found = await page(contextOf(wanted));
    if (wanted !== route) return;
    show = found;
    failure = undefined;
  } catch (error) {
    if (!isAnswer(error)) throw error;
    if (wanted !== route) return;
    show = undefined;
    failure = error.message;
  }
  draw();
  void lookAtNode();
}

/** Nobody waits for it: what it says stands beside the page. */
async function lookAtNode(): Promise<void> {
  try {
    status = await get<StatusJson>("/v1/status");
    draw();
  } catch {
    // The page says itself that the daemon does not answer.
  }
}

/** While the daemon starts and stops, the page shows what it showed. */
function isAnswer(reason: unknown): reason is Refusal {
  return reason instanceof Refusal && reason.status !== 503;
}

function draw(): void {
  document.title = `${titleOf(route)} · ${host} · Holdfast`;
  const content =
    failure !== undefined
      ? html`<header class="title"><h1 tabindex="-1">${titleOf(route)}</h1></header><p class="alert" role="alert">${failure}</p>`
      : show === undefined
        ? html`<p class="muted" aria-busy="true">Looking…</p>`
        : show();
  const frame = {
    host,
    principal,
    place: route.place,
    status,
    contact,
    isOutdated: status !== undefined && status.version !== version,
    notice,
    dismiss: () => say(undefined),
    undo: (undo: NonNullable<Done["undo"]>) => void attempt(undo.run),
  };
  render(html`${frameView(frame, content)}${openQuestionView()}`, document.body);
  const dialog = document.querySelector("dialog");
  if (dialog !== null && !dialog.open) dialog.showModal();
  if (show !== undefined && !isShown) {
    isShown = true;
    performance.mark("shown");
  }
  if (isArriving && (show !== undefined || failure !== undefined)) {
    isArriving = false;
    document.querySelector("h1")?.focus();
  }
}

function openQuestionView(): TemplateResult | typeof nothing {
  if (question === undefined) return nothing;
  const asked = question;
  return questionView(asked, contextOf(route), () => closeQuestion(asked));
}

function titleOf({ place, path }: Route): string {
  if (place === "app") return path[0] ?? TITLES.app;
  return place === "volume" ? path.slice(0, 2).join("/") : TITLES[place];
}

function ask(asked: OpenQuestion["question"]): void {
  question = { question: asked, text: "", isRunning: false };
  draw();
}

/** Closed as a dialog is, the focus goes back to where the question came from. */
function closeQuestion(asked: OpenQuestion): void {
  if (question !== asked) return;
  question = undefined;
  document.querySelector("dialog")?.close();
  draw();
}

async function attempt(work: () => Promise<Done | string>): Promise<boolean> {
  let isDone = true;
  try {
    const done = await work();
    say({ ...(typeof done === "string" ? { text: done } : done), isFailure: false });
  } catch (error) {
    isDone = false;
    say({ text: error instanceof Refusal ? error.message : "The daemon does not answer", isFailure: true });
  }
  await look().catch(() => {});
  return isDone;
}

/** What failed stays until somebody has seen it. */
function say(said: Notice | undefined): void {
  clearTimeout(noticeTimer);
  notice = said;
  if (said !== undefined && !said.isFailure) noticeTimer = setTimeout(() => say(undefined), NOTICE_MS);
  draw();
}

/** `/` goes to the search, as on many pages. */
function shortcut(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  const isTyping = target.closest("input, textarea, select, dialog") !== null;
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.getElementById("search");
  if (search === null) return;
  event.preventDefault();
  search.focus();
}
