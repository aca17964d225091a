/** Without one of the syncs. */
import type { Mutant } from "./mutant.ts";

const SYNCS = "host/syncs.test.ts";

function without(name: string, file: string, find: string, replace = ""): Mutant {
  return { name: `no sync of ${name}`, file, find, replace, test: SYNCS };
}

export const syncs: readonly Mutant[] = [
  without("a new work root", "host/work-root.ts", "fsyncSync(fd);"),
  without("the directory of a new work root", "host/work-root.ts", "syncDirectory(dirname(made));", "continue;"),
  without("a disk's new directories", "host/disk-places.ts", "await rootPlace.sync();", "rootPlace.made;"),
  without("the new directory of roles", "host/disk-places.ts", "if (roles.made) await volumes.sync();"),
  without("anything of a disk", "host/durable.ts", "await syncDescriptor(fd);"),
  without(
    "a spare's content",
    "host/durability.ts",
    `await syncAt(volumes.fd, contentOf(uuid), { directory: true, resolve: SCOPE });
      await syncAt(`,
    "await syncAt(",
  ),
  without(
    "a spare's directory",
    "host/durability.ts",
    `      await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
    });`,
    "    });",
  ),
  without(
    "the names of spares",
    "host/durability.ts",
    `      await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
    });
    await volumes.sync();`,
    `      await syncAt(volumes.fd, uuid, { directory: true, resolve: SCOPE });
    });`,
  ),
  without(
    "where a volume went",
    "host/durability.ts",
    "await to.sync();\n    await from.sync();",
    "await from.sync();",
  ),
  without("where a volume came from", "host/durability.ts", "    await from.sync();"),
  without(
    "where a volume went on XFS",
    "host/durability.ts",
    "syncMove(_from, to) {\n    await to.sync();",
    "syncMove() {",
  ),
  without(
    "a label",
    "host/label-files.ts",
    "if (!(await syncAt(dirFd, labelOf(uuid), { directory: false, resolve: SCOPE }))) return false;",
  ),
  without(
    "a label's name",
    "host/label-files.ts",
    "return syncsNames || syncAt(",
    "return syncsNames || dirFd > 0 || syncAt(",
  ),
  without(
    "a role's links",
    "host/label-files.ts",
    "await syncAt(places.rolesFd, role, { directory: true, resolve: SCOPE });",
  ),
  without(
    "the node's label",
    "host/small-files.ts",
    "await syncAt(dirFd, draft, { directory: false, resolve: SCOPE });",
  ),
  without("the name of the node's label", "host/small-files.ts", "await syncDescriptor(dirFd);"),
  without("the trash after a deletion", "host/directory-disk.ts", "await trash.sync();"),
  without("a removed label before the content goes", "host/purge-tree.ts", "fsyncSync(volumeFd);"),
  without("the place that an adopted directory left", "host/adoption.ts", "    await syncDescriptor(parentFd);\n"),
  without(
    "the place of an adopted directory",
    "host/adoption.ts",
    "await syncAt(volumes.fd, volume.uuid, { directory: true, resolve: SCOPE });",
  ),
  without(
    "the place that gets its directory back",
    "host/adoption.ts",
    "(parentFd) => syncDescriptor(parentFd)",
    "async () => {}",
  ),
  without("the directory of a collected sandbox", "host/sandboxes.ts", "await syncDescriptor(parent);"),
  without("a commit", "store/checkpoint-file.ts", "fdatasyncSync(this.#log());", "this.#log();"),
  without("a checkpoint's new log", "store/checkpoint-file.ts", "syncDirectory(this.#paths.directory);"),
  without("any file of the checkpoint", "store/files.ts", "fsyncSync(descriptor);"),
  without(
    "a checkpoint's new directory",
    "store/files.ts",
    "!== undefined) syncDirectory(dirname(path));",
    "!== undefined) return;",
  ),
  without("a new checkpoint", "store/successor.ts", "syncFile(paths.draft);"),
  without(
    "a new checkpoint's name",
    "store/successor.ts",
    "renameSync(paths.draft, paths.successor);\n  syncDirectory(paths.directory);",
    "renameSync(paths.draft, paths.successor);",
  ),
  without(
    "the old log's removal",
    "store/successor.ts",
    "if (removeFile(paths.log)) syncDirectory(paths.directory);",
    "removeFile(paths.log);",
  ),
  without(
    "the checkpoint's change",
    "store/successor.ts",
    "renameSync(paths.successor, paths.checkpoint);\n  syncDirectory(paths.directory);",
    "renameSync(paths.successor, paths.checkpoint);",
  ),
  without("the ballast", "store/ballast.ts", "fsyncSync(descriptor);"),
  without("the ballast's removal", "store/ballast.ts", "syncDirectory(dirname(path));"),
];
