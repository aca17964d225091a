/** How a path tells that it leads to the content of a volume, wherever the disk lies, also in trash. */
import type { Incarnation } from "../domain/units.ts";

export const CONTENT_PATH = /\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/content(?![^/ ])/g;

/** The incarnations whose content a path is, or lies in. */
export function incarnationsIn(path: string): readonly Incarnation[] {
  return Array.from(path.matchAll(CONTENT_PATH), ([, uuid]) => uuid as Incarnation);
}
