/**
 * Which requests mean this daemon. A page in somebody's browser can send requests here, under a name that it makes
 * resolve to us (DNS rebinding) or straight from its own origin, with the credentials the browser keeps.
 */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { HoldfastError } from "../../domain/error.ts";

/** `name:port`, `[::1]:port`; the port does not matter. */
const HOST = /^(?:\[(?<v6>[0-9A-Fa-f:.]+)\]|(?<name>[^\s:/@[\]]+))(?::\d{1,5})?$/;

/** Throws `misdirected`. With `isPage` the request is for a page that shows nothing until it asks for itself. */
type HostGuard = (headers: IncomingHttpHeaders, options?: { readonly isPage: boolean }) => void;

/**
 * Makes the check for one door.
 * @param names what the machine and its operator call this node; IP addresses and `localhost` always mean us
 */
export function hostGuard(names: readonly string[]): HostGuard {
  const allowed = new Set(["localhost", ...names.map(canonical)]);
  return (headers, options) => {
    if (!isOurs(headers.host, allowed)) {
      throw new HoldfastError("misdirected", "Cannot answer for this Host: not a name of this node, see allowedHosts");
    }
    if (options?.isPage === true && isLinkFollowed(headers)) return;
    if (isForeign(headers)) throw new HoldfastError("misdirected", "Cannot answer a request from another origin");
  };
}

function isOurs(host: string | undefined, allowed: ReadonlySet<string>): boolean {
  const groups = HOST.exec(host ?? "")?.groups;
  if (groups === undefined) return false;
  if (groups["v6"] !== undefined) return isIP(groups["v6"]) === 6;
  const name = canonical(groups["name"] ?? "");
  return allowed.has(name) || isIP(name) === 4;
}

/** Somebody followed a link to us, and the whole window is ours then. */
function isLinkFollowed(headers: IncomingHttpHeaders): boolean {
  return headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
}

function isForeign(headers: IncomingHttpHeaders): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  const { origin, host } = headers;
  return origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`;
}

function canonical(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
