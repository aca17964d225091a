/**
 * Root on the same machine, who mounts and unmounts what belongs to the daemon. Remembers what holds which volumes, and
 * which containers are not as they were acknowledged any more.
 */
import { existsSync, mkdirSync, renameSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { ExecaError } from "execa";
import { errnoOf } from "../../../src/host/disk-error.ts";
import { MS, mount, UMOUNT, umount2 } from "../../../src/host/syscalls.ts";
import { run } from "../../e2e/run.ts";
import type { Chance } from "../../simulation/chance.ts";
import { startResident } from "../../support/resident.ts";
import { CONTAINERS, type Node, type Seen } from "./node.ts";

/** Something that keeps volumes until it ends. */
interface Hold {
  readonly uuids: () => readonly string[];
  readonly end: () => Promise<void>;
}

export class Adversary {
  /** Containers whose mounts may be anything by now. */
  readonly touched = new Set<string>();
  readonly #node: Node;
  readonly #chance: Chance;
  readonly #holds: Hold[] = [];
  #count = 0;

  constructor(node: Node, chance: Chance) {
    this.#node = node;
    this.#chance = chance;
  }

  /** Incarnations that somebody has, whatever the daemon thinks. */
  held(): ReadonlySet<string> {
    return new Set(this.#holds.flatMap(({ uuids }) => uuids()));
  }

  /** Does something; says what. */
  async act(): Promise<string> {
    if (this.#chance.percent(20)) return this.#undo();
    const [move, make] = this.#chance.pick(Object.entries(this.#moves));
    const target = this.#target();
    if (target === undefined) return `${move}: nothing to do it to`;
    try {
      const done = await make(target);
      return `${move} ${target.path}${done === false ? ": not now" : ""}`;
    } catch (error) {
      // What is busy or gone is so for an adversary too.
      const errno = errnoOf(error);
      if (errno === undefined && !(error instanceof ExecaError)) throw error;
      return `${move} ${target.path}: ${errno ?? "refused"}`;
    }
  }

  /** Ends everything that is its own, and gives the sandboxes their names back. */
  async stop(): Promise<void> {
    for (const hold of this.#holds.splice(0)) await hold.end();
    for (const container of CONTAINERS) this.#nameBack(container);
    for (const { path, uuid } of this.#node.mounts().toReversed()) {
      if (uuid === undefined) umount2(path, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    }
  }

  /** A move that says `false` was not possible. */
  readonly #moves: Readonly<Record<string, (target: Seen) => Promise<unknown>>> = {
    cover: async (target: Seen) => {
      this.#touch(target);
      mount("none", target.path, "tmpfs", 0);
    },
    stack: async (target: Seen) => {
      this.#touch(target);
      mount(target.path, target.path, null, MS.BIND);
    },
    bindForeign: async (target: Seen) => {
      this.#touch(target);
      mount(join(this.#node.dir, "foreign"), target.path, null, MS.BIND);
    },
    unmount: async (target: Seen) => {
      this.#touch(target);
      umount2(target.path, UMOUNT.NOFOLLOW);
    },
    unmountLazily: async (target: Seen) => {
      this.#touch(target);
      umount2(target.path, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
    },
    bindElsewhere: async (target: Seen) => {
      const path = this.#newDirectory("elsewhere");
      mount(target.path, path, null, MS.BIND);
      const end = async () => umount2(path, UMOUNT.NOFOLLOW | UMOUNT.DETACH);
      // Of several mounts at a place it is the uppermost, whichever was chosen.
      const uuid = this.#topAt(path)?.uuid;
      if (uuid !== undefined) this.#holds.push({ uuids: () => [uuid], end });
    },
    moveAway: async (target: Seen) => {
      this.#touch(target);
      await run("mount", "--move", target.path, this.#newDirectory("moved"));
    },
    remountReadOnly: async (target: Seen) => {
      this.#touch(target);
      await run("mount", "-o", "remount,bind,ro", target.path);
    },
    keepInNamespace: async () => {
      const { pid, stop } = await startResident(":", { ownNamespace: true });
      // What lies on a directory that is removed outside goes there too.
      this.#holds.push({ uuids: () => this.#node.mounts(pid).flatMap(({ uuid }) => uuid ?? []), end: stop });
    },
    sitInside: async (target: Seen) => {
      if (target.uuid === undefined || this.#topAt(target.path)?.uuid !== target.uuid) return false;
      return this.#sit(`cd "${target.path}"`, target.uuid, false);
    },
    sitInNamespaceAndLeave: async (target: Seen) => {
      if (target.uuid === undefined || this.#topAt(target.path)?.uuid !== target.uuid) return false;
      return this.#sit(`cd "${target.path}" && umount -l "${target.path}"`, target.uuid, true);
    },
    renameSandbox: async (target: Seen) => {
      const container = CONTAINERS.find((name) => target.path.startsWith(`${this.#node.sandbox(name)}/`));
      if (container === undefined || existsSync(`${this.#node.sandbox(container)}.aside`)) return false;
      this.touched.add(container);
      renameSync(this.#node.sandbox(container), `${this.#node.sandbox(container)}.aside`);
      return true;
    },
    removeElsewhere: async (target: Seen) => {
      this.#touch(target);
      // In a namespace that does not have the mount, its mountpoint is a directory like any other.
      const script = `umount -l "${target.path}" && rmdir "${target.path}"`;
      await run("unshare", "-m", "--propagation", "private", "sh", "-c", script);
    },
    removeMountpoint: async (target: Seen) => {
      this.#touch(target);
      umount2(target.path, UMOUNT.NOFOLLOW);
      rmdirSync(target.path);
    },
  };

  /** A sandbox gets its name back, or something that it holds is let go. */
  async #undo(): Promise<string> {
    const container = this.#chance.pick(CONTAINERS);
    if (this.#nameBack(container)) return `name ${container} back`;
    const [hold] = this.#holds.splice(this.#chance.below(this.#holds.length + 1), 1);
    await hold?.end();
    return hold === undefined ? "wait" : "let something go";
  }

  /** A mount in a sandbox. */
  #target(): Seen | undefined {
    const own = this.#node.mounts().filter(({ path }) => containerAt(this.#node, path) !== undefined);
    return own.length === 0 ? undefined : this.#chance.pick(own);
  }

  #touch({ path }: Seen): void {
    const container = containerAt(this.#node, path);
    if (container !== undefined) this.touched.add(container);
  }

  #topAt(path: string): Seen | undefined {
    return this.#node.mounts().findLast((mounted) => mounted.path === path);
  }

  async #sit(script: string, uuid: string, ownNamespace: boolean): Promise<void> {
    const { stop } = await startResident(script, { ownNamespace });
    this.#holds.push({ uuids: () => [uuid], end: stop });
  }

  #nameBack(container: string): boolean {
    const path = this.#node.sandbox(container);
    if (!existsSync(`${path}.aside`) || existsSync(path)) return false;
    renameSync(`${path}.aside`, path);
    return true;
  }

  #newDirectory(kind: string): string {
    this.#count += 1;
    const path = join(this.#node.dir, `${kind}-${this.#count}`);
    mkdirSync(path, { recursive: true });
    return path;
  }
}

/** The container in whose sandbox, renamed or not, a path lies. */
function containerAt(node: Node, path: string): string | undefined {
  return CONTAINERS.find(
    (name) => path.startsWith(`${node.sandbox(name)}/`) || path.startsWith(`${node.sandbox(name)}.aside/`),
  );
}
