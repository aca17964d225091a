/** The content of a volume, which lies under `volumes` or under `trash` and may be moved from one to the other. */
import { closeSync } from "node:fs";
import { HoldfastError } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import type { DiskPlaces, Place } from "./disk-places.ts";
import { contentOf, SCOPE } from "./incarnation.ts";
import { AT, isErrno, O, openat2, type Stat, statx } from "./syscalls.ts";

type Places = Pick<DiskPlaces, "volumes" | "trash">;

/** Open for reading. `undefined` when there is none, or something else, or something is mounted over it. */
export function withContent<Result>(
  places: Places,
  volume: Pick<Volume, "uuid" | "phase">,
  work: (contentFd: number) => Result,
): Result | undefined {
  const fd = firstIn(places, volume, (place) =>
    openat2(place.fd, contentOf(volume.uuid), { flags: O.RDONLY | O.DIRECTORY, resolve: SCOPE }),
  );
  if (fd === undefined) return undefined;
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

/** What is there, by its path; `undefined` when there is nothing, or something is mounted over it. */
export function examineVolume(places: Places, volume: Pick<Volume, "uuid" | "phase">): Stat | undefined {
  const found = firstIn(places, volume, (place) => {
    const stat = statx(place.fd, contentOf(volume.uuid), AT.SYMLINK_NOFOLLOW);
    return { stat, isOurs: stat.mountId === place.mountId };
  });
  return found?.isOurs === true ? found.stat : undefined;
}

/** Under which of the two it is; `volumes` when under neither. */
export function placeNameOf(places: Places, volume: Pick<Volume, "uuid" | "phase">): "volumes" | "trash" {
  return (
    firstIn(places, volume, (place, name) => {
      statx(place.fd, contentOf(volume.uuid), AT.SYMLINK_NOFOLLOW);
      return name;
    }) ?? "volumes"
  );
}

export function missingContent(action: string): HoldfastError {
  return new HoldfastError("damaged", `${action}: its directory is missing`);
}

function firstIn<Result>(
  { volumes, trash }: Places,
  { phase }: Pick<Volume, "phase">,
  work: (place: Place, name: "volumes" | "trash") => Result,
): Result | undefined {
  const inTrash = phase === "retained" || phase === "collecting";
  const [first, second] = inTrash ? ([trash, volumes] as const) : ([volumes, trash] as const);
  return (
    attempt(() => work(first, first === trash ? "trash" : "volumes")) ??
    attempt(() => work(second, second === trash ? "trash" : "volumes"))
  );
}

function attempt<Result>(work: () => Result): Result | undefined {
  try {
    return work();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) return undefined;
    throw error;
  }
}
