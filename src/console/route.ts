/** Where in the console somebody is: kept in the address behind `#`, so that every place can be linked and gone back to. */

export type Place = "volumes" | "volume" | "create" | "apps" | "app" | "node" | "trash" | "health";

export interface Route {
  readonly place: Place;
  /** What is looked at: role and id of a volume, the id of an app. */
  readonly path: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

const PLACES: readonly string[] = [
  "volumes",
  "volume",
  "create",
  "apps",
  "app",
  "node",
  "trash",
  "health",
] satisfies readonly Place[];

/** What is not understood leads to the volumes. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [place = "", ...rest] = path.split("/").map(decoded);
  return {
    place: isPlace(place) ? place : "volumes",
    path: rest.filter((step) => step !== ""),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** The address of a place; parts of the query that are empty are left out. */
export function linkTo(
  place: Place,
  path: readonly string[] = [],
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => (entry[1] ?? "") !== "");
  const search = new URLSearchParams(given).toString();
  return `#/${[place, ...path].map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`;
}

function isPlace(place: string): place is Place {
  return PLACES.includes(place);
}

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}
