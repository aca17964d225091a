import { Copy } from "./copy.ts";
import { permissions } from "./permissions.ts";
import { scopes } from "./scopes.ts";
import { uses } from "./uses.ts";
const names = ["commit that is answered", "mark that a power", "another namespace shows", "bundle's", "sandbox that is", "moved while it is deleted"];
const c = Copy.make();
try {
  for (const m of [...permissions, ...scopes, ...uses].filter((x) => names.some((n) => x.name.includes(n)))) console.log(m.name, "->", (await c.whyNotCaught(m)) ?? "caught");
} finally { c.remove(); }
