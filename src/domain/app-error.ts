/** How app definitions are refused: like Marathon, with every place that is wrong and why. */
import { HoldfastError } from "./error.ts";

/** `path` as Marathon writes it: `/container/volumes(0)/persistent/size`. */
export interface Violation {
  readonly path: string;
  readonly error: string;
}

/** The violations are in the details, as two lists of the same length: `paths` and `errors`. */
export function notValid(violations: readonly Violation[]): HoldfastError {
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  return new HoldfastError("invalid", `Cannot take the app: ${first?.path} ${first?.error}${more}`, {
    details: { paths: violations.map(({ path }) => path), errors: violations.map(({ error }) => error) },
  });
}

/** What `notValid` put into an error; none for any other one. */
export function violationsOf({ details }: HoldfastError): readonly Violation[] {
  const [paths, errors] = [details?.["paths"], details?.["errors"]];
  if (!Array.isArray(paths) || !Array.isArray(errors)) return [];
  return paths.map((path, index) => ({ path: String(path), error: String(errors[index]) }));
}
