/** What can be asked, by whatever door, and what the model says about it. */
import type { ErrorCode } from "../../../src/domain/error.ts";
import { type AskedAttach, attach, detach } from "./containers.ts";
import { type AskedDocker, createDocker, mountDocker, mustMean, removeDocker, unmountDocker } from "./docker.ts";
import { type AskedList, performList } from "./operations.ts";
import { type Model, nameOfCaller, Refusal, type Who } from "./reference.ts";
import { type Collection, collect, type Mark, mark, restore, type Which } from "./volumes.ts";

export type Ask =
  | { readonly ask: "operations"; readonly list: AskedList }
  | { readonly ask: "outcome"; readonly by: Who; readonly id: string }
  | { readonly ask: "restore"; readonly by: Who; readonly which: Which; readonly as?: string }
  | { readonly ask: "mark"; readonly by: Who; readonly mark: Mark; readonly which: Which }
  | { readonly ask: "gc"; readonly by: Who; readonly dryRun: boolean; readonly uuids?: readonly string[] }
  | { readonly ask: "attach"; readonly wanted: AskedAttach }
  | { readonly ask: "detach"; readonly container: string; readonly force: boolean }
  | { readonly ask: "docker create"; readonly wanted: AskedDocker }
  | { readonly ask: "docker remove" | "docker get"; readonly name: string }
  | { readonly ask: "docker mount" | "docker unmount"; readonly name: string; readonly borrower: string };

export interface Expected {
  readonly code: ErrorCode | "done";
  readonly collection?: Collection;
}

/** What is to be answered; the model is as it is afterwards. */
export function answerOf(model: Model, request: Ask): Expected {
  if (callerOf(request) === "nobody") return { code: "unauthenticated" };
  const before = structuredClone(model);
  try {
    return apply(model, request);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // Books that were settled on the way stay settled.
    const settled = model.containers;
    Object.assign(model, before, { containers: settled });
    return { code: error.code };
  }
}

function apply(model: Model, request: Ask): Expected {
  switch (request.ask) {
    case "operations":
      performList(model, request.list);
      break;
    case "outcome": {
      const { by, id } = request;
      // The superuser sees everybody's.
      const isKnown = model.outcomes.some((one) => one.id === id && (by === "root" || one.by === nameOfCaller(by)));
      if (!isKnown) throw new Refusal("no_such_operation", id);
      break;
    }
    case "restore":
      restore(model, request.by, request.which, request.as);
      break;
    case "mark":
      mark(model, request.by, request.mark, request.which);
      break;
    case "gc":
      return { code: "done", collection: collect(model, request.by, request) };
    case "attach":
      attach(model, request.wanted);
      break;
    case "detach":
      return { code: detach(model, request.container, request.force) };
    case "docker create":
      createDocker(model, request.wanted);
      break;
    case "docker remove":
      removeDocker(model, request.name);
      break;
    case "docker get":
      mustMean(model, request.name);
      break;
    case "docker mount":
      mountDocker(model, request.name, request.borrower);
      break;
    case "docker unmount":
      unmountDocker(model, request.name, request.borrower);
      break;
  }
  return { code: "done" };
}

export function callerOf(request: Ask): Who {
  if ("by" in request) return request.by;
  return request.ask === "operations" ? request.list.by : "root";
}
