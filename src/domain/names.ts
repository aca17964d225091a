/**
 * The names that people and runtimes choose. Every name is well-formed Unicode without control characters, so that two
 * names never become one on disk and none of them can play tricks on a terminal or in a path.
 */
import { parseString } from "./json.ts";
import { refuse, show } from "./refusal.ts";
import type { ContainerId, ContainerPath, Incarnation, Principal, Role, VolumeId } from "./units.ts";

/** What Linux allows a file name: bytes of UTF-8. */
const NAME_BYTES_MAX = 255;

const CONTROL = /\p{Cc}/u;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const encoder = new TextEncoder();

/**
 * A role by Mesos's rules: components divided by `/`, none of them empty, `.`, `..`, `*` or with a leading `-`, and no
 * white space. At most 255 bytes, because a role is one directory below `volumes/roles`.
 * @throws `invalid` anything else, also `*`, which means unreserved and is no role
 */
export function parseRole(value: unknown, what = "the role"): Role {
  const text = parseName(value, what);
  if (text === "*") refuse(what, show(text), "a role (* means unreserved)");
  if (text.includes(" ")) refuse(what, show(text), "no white space");
  for (const component of text.split("/")) {
    if (component === "") refuse(what, show(text), "no empty component between slashes");
    if (component === "*" || isDots(component)) refuse(what, show(text), `no component ${show(component)}`);
    if (component.startsWith("-")) refuse(what, show(text), "no component that begins with -");
  }
  return text as Role;
}

/**
 * A persistence id by Mesos's rules: not `.` or `..`, no `/`, no `\`.
 * @throws `invalid` anything else
 */
export function parseVolumeId(value: unknown, what = "the volume id"): VolumeId {
  const text = parseComponent(value, what);
  if (text.includes("\\")) refuse(what, show(text), "no backslash");
  return text as VolumeId;
}

/**
 * One component of a path below a sandbox.
 * @throws `invalid` anything else
 */
export function parseContainerPath(value: unknown, what = "the container path"): ContainerPath {
  return parseComponent(value, what) as ContainerPath;
}

/** @throws `invalid` what is empty or has control characters */
export function parsePrincipal(value: unknown, what = "the principal"): Principal {
  return parseVisible(value, what) as Principal;
}

/** @throws `invalid` what is empty, longer than 255 bytes, or has a slash or control characters */
export function parseContainerId(value: unknown, what = "the container id"): ContainerId {
  const text = parseName(value, what);
  if (text.includes("/")) refuse(what, show(text), "no slash");
  return text as ContainerId;
}

/** @throws `invalid` what is not a UUID in lower case */
export function parseIncarnation(value: unknown, what = "the incarnation"): Incarnation {
  const text = parseString(value, what);
  return UUID.test(text) ? (text as Incarnation) : refuse(what, show(text), "a UUID in lower case");
}

/** Whether `child` lies below `parent`: `eng/web` below `eng`. No role lies below itself. */
export function isStrictSubRole(parent: string, child: string): boolean {
  return child.startsWith(`${parent}/`);
}

function parseComponent(value: unknown, what: string): string {
  const text = parseName(value, what);
  if (isDots(text)) refuse(what, show(text), "neither . nor ..");
  if (text.includes("/")) refuse(what, show(text), "one path component, without slashes");
  return text;
}

function parseName(value: unknown, what: string): string {
  const text = parseVisible(value, what);
  const bytes = encoder.encode(text).length;
  if (bytes > NAME_BYTES_MAX) refuse(what, `${bytes} bytes long`, `at most ${NAME_BYTES_MAX} bytes`);
  return text;
}

function parseVisible(value: unknown, what: string): string {
  const text = parseString(value, what);
  if (text === "") refuse(what, "empty", "at least one character");
  if (CONTROL.test(text)) refuse(what, show(text), "no control characters");
  return text;
}

function isDots(text: string): boolean {
  return text === "." || text === "..";
}
