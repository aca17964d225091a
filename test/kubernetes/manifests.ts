/** The files of `scripts/kubernetes`. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";

const FOLDER = path.resolve(import.meta.dirname, "../../scripts/kubernetes");

export const manifestFiles = {
  folder: FOLDER,
  driver: path.join(FOLDER, "csi-driver.yaml"),
  storageClass: path.join(FOLDER, "storage-class.yaml"),
  daemonSet: path.join(FOLDER, "daemon-set.yaml"),
  examples: globSync(path.join(FOLDER, "examples/*.yaml")).sort(),
} as const;

/** What the overlays change of the DaemonSet, by the overlay's name. */
export const overlays: readonly (readonly [name: string, patch: string])[] = [
  ["snapshots", read("snapshots/snapshotter.yaml")],
  ["watched", read("watched/listen.yaml")],
];

function read(file: string): string {
  return readFileSync(path.join(FOLDER, file), "utf8");
}
