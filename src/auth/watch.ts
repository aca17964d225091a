/**
 * Tells when configuration files change. Watched are their directories, because an editor renames a new file over the
 * old one and Kubernetes swaps a symlink beside it; an event only makes it look at the files, and what counts is whether
 * they became others. Every 30 s it looks anyway: a file behind a symlink into another directory has no events here,
 * and inotify can run out.
 */
import { type BigIntStats, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { watch } from "chokidar";
import type { Log } from "../ports/log.ts";

export interface WatchOptions {
  readonly log: Log;
  /** How long it must be quiet after an event; default 200. */
  readonly debounceMs?: number;
  /** Default 30,000. */
  readonly pollMs?: number;
}

export interface FileWatcher {
  /** No call of `onChange` follows once it was called. */
  close(): Promise<void>;
}

/** Calls `onChange` with the files that were changed, replaced, made or removed since it was last called. */
export function watchFiles(
  paths: readonly string[],
  onChange: (changed: readonly string[]) => void,
  { log, debounceMs = 200, pollMs = 30_000 }: WatchOptions,
): FileWatcher {
  const files = [...new Set(paths.map((path) => resolve(path)))];
  const directories = new Set(files.map((file) => dirname(file)));
  let seen = new Map(files.map((file) => [file, fingerprint(file)]));
  let quiet: NodeJS.Timeout | undefined;

  function look(): void {
    const now = new Map(files.map((file) => [file, fingerprint(file)]));
    const changed = files.filter((file) => seen.get(file) !== now.get(file));
    seen = now;
    if (changed.length > 0) onChange(changed);
  }

  function nudge(): void {
    clearTimeout(quiet);
    quiet = setTimeout(look, debounceMs).unref();
  }

  const watcher = watch([...directories], {
    depth: 0,
    followSymlinks: false,
    ignoreInitial: true,
    ignored: (path) => !concerns(resolve(path), files, directories),
  });
  watcher.on("all", nudge);
  watcher.on("error", (error) =>
    log.warn(
      { error, directories: [...directories] },
      `Cannot watch the configuration: it is polled every ${pollMs} ms`,
    ),
  );
  const poll = setInterval(look, pollMs).unref();

  return {
    async close() {
      clearTimeout(quiet);
      clearInterval(poll);
      await watcher.close();
    },
  };
}

/** In `/etc` there may be much else; Kubernetes's symlink is called `..data`. */
function concerns(path: string, files: readonly string[], directories: ReadonlySet<string>): boolean {
  return directories.has(path) || files.includes(path) || basename(path).startsWith("..");
}

/** Another text for another file or content, also when its length and whole seconds are the same. */
function fingerprint(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    return String(error instanceof Error && "code" in error ? error.code : error);
  }
}
