/** Forms and queries as Mesos decodes them. */
import { HoldfastError } from "../../domain/error.ts";

const PLUS = /\+/g;

/**
 * Divides at `&` and `;`, takes the first `=`, decodes `%XX` and `+`. A field without `=` is empty, the last one of a name
 * wins.
 * @throws `invalid` a malformed `%XX`, or bytes that are not UTF-8
 */
export function parseForm(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const part of text.split(/[&;]/)) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = equals < 0 ? part : part.slice(0, equals);
    fields.set(decode(name), equals < 0 ? "" : decode(part.slice(equals + 1)));
  }
  return fields;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replace(PLUS, " "));
  } catch (cause) {
    throw new HoldfastError("invalid", "Cannot decode the form: a %XX is malformed or not UTF-8", { cause });
  }
}
