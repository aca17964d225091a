import { expect, test } from "vitest";
import { linkTo, parseRoute } from "../../src/console/route.ts";

test.each(["", "#", "#/", "#/nowhere", "#main", "#/%zz"])("%j leads to the volumes", (hash) => {
  expect(parseRoute(hash).place).toBe("volumes");
});

test("A link leads back to what it was made of, whatever the names are", () => {
  const path = ["eng/frontend", 'a "#?%/\u202e<b>'];
  const query = { search: "a&b=c #", state: "attached" };
  expect(parseRoute(linkTo("volume", path, { ...query, app: "", role: undefined }))).toEqual({
    place: "volume",
    path,
    query,
  });
});
