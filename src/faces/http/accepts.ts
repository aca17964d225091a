/** The Accept header, of which only one thing matters: whether JSON will do. */
import { HoldfastError } from "../../domain/error.ts";
import { errorBody } from "./errors.ts";

/** What goes with a 406. */
export const NOT_ACCEPTABLE = errorBody(
  new HoldfastError("unsupported_media_type", "Cannot answer in a type that is accepted: only application/json"),
);

export function acceptsJson(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === "") return true;
  return accept.split(",").some((range) => {
    const [type, ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const refused = parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
    return !refused && (type === "*/*" || type === "application/*" || type === "application/json");
  });
}
