/** What every page of the console gets: who looks, and how to do something and say what became of it. */
import type { TemplateResult } from "lit-html";
import type { StatusJson } from "../faces/http/wire.ts";
import type { Route } from "./route.ts";

export interface Context {
  readonly host: string;
  /** Empty for anybody. */
  readonly principal: string;
  readonly route: Route;
  /** Of the last seconds. */
  readonly status: StatusJson | undefined;
  /** Shows the page as it is now, for a change that needs no answer. */
  draw(): void;
  /** Asks the daemon again. */
  refresh(): Promise<void>;
  go(link: string, options?: { readonly replace?: boolean }): void;
  /** Asks before something is done. */
  ask(question: Question): void;
  /** Does it, then says what the work returns or why it failed, and shows what is now. */
  attempt(work: () => Promise<Done | string>): Promise<boolean>;
}

/** What was done, and how to take it back. */
export interface Done {
  readonly text: string;
  readonly undo?: { readonly label: string; readonly run: () => Promise<Done | string> };
}

/** What is asked before something is done. */
export interface Question {
  readonly title: string;
  readonly body: TemplateResult | string;
  /** Must be typed exactly before it is done. */
  readonly typed?: string;
  readonly confirm: string;
  readonly danger?: boolean;
  readonly run: () => Promise<Done | string>;
}

/** How a page shows what it has found. It is asked for again and again while somebody looks. */
export type Show = () => TemplateResult;
