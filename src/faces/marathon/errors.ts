/** How `/v2` refuses: Marathon's form and status, and ours beside it for programs that know it. */
import { violationsOf } from "../../domain/app-error.ts";
import type { HoldfastError } from "../../domain/error.ts";
import type { AppErrorJson } from "../http/app-wire.ts";
import { type RefusalForm, STATUS } from "../http/errors.ts";

const UNPROCESSABLE = 422;

export const MARATHON_FORM: RefusalForm = Object.freeze({
  mediaType: "application/json; charset=utf-8",
  status: (error: HoldfastError) => (violationsOf(error).length > 0 ? UNPROCESSABLE : STATUS[error.code]),
  body: marathonBody,
});

function marathonBody(error: HoldfastError): AppErrorJson {
  const violations = violationsOf(error);
  const details = [...Map.groupBy(violations, ({ path }) => path)].map(([path, found]) => ({
    path,
    errors: found.map(({ error: text }) => text),
  }));
  return {
    message: violations.length > 0 ? "Object is not valid" : error.message,
    ...(details.length === 0 ? {} : { details }),
    error: { code: error.code, message: error.message },
  };
}
