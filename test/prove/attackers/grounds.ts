/**
 * Where attackers race: a yard that belongs to them, and beside it a victim that nothing may happen to: a tree of root
 * to which their symlinks lead. It has the names that an operation would go on with after it was led astray.
 */
import { execFileSync } from "node:child_process";
import { chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AT, O, openat2 } from "../../../src/host/syscalls.ts";
import { getProject } from "../../../src/host/syscalls-quota.ts";
import { withDescriptors } from "../../../src/host/walk.ts";
import { ATTACKER } from "../../support/exchanger.ts";
import { MountPlace } from "../../support/mount-place.ts";

const SECRET = "nobody may touch this";
/** Of somebody else: who gives a volume to the owner of what it was led to is seen. */
const VICTIM = { uid: 4242, gid: 4242 } as const;

export class Grounds {
  readonly place = new MountPlace();
  /** On a file system of its own where one was asked for. */
  readonly base: string;
  readonly yard: string;
  readonly victim: string;
  #untouched = "";

  /** @param options `xfs`: on one whose files have project ids */
  constructor(options: { readonly xfs?: boolean } = {}) {
    try {
      this.base = options.xfs === true ? this.#mountXfs() : this.place.root;
      this.yard = join(this.base, "yard");
      this.victim = join(this.base, "victim");
      mkdirSync(this.yard);
      this.give(this.yard);
      this.protect("deep");
    } catch (error) {
      this.place.dispose();
      throw error;
    }
  }

  /** Makes directories of the victim, each with a file in it, and remembers the whole as it is to stay. */
  protect(...directories: readonly string[]): void {
    for (const directory of directories) {
      const path = join(this.victim, directory);
      mkdirSync(path, { recursive: true });
      for (let above = path; above !== this.base; above = dirname(above)) chownSync(above, VICTIM.uid, VICTIM.gid);
      writeFileSync(join(path, "secret"), SECRET);
    }
    this.#untouched = this.#look();
  }

  /** What happened to the victim. */
  harm(): string | undefined {
    const now = this.#look();
    return now === this.#untouched ? undefined : `the victim was ${this.#untouched} and is ${now}`;
  }

  /** Looks at what is more expensive to look at too. */
  harmAtTheEnd(): string | undefined {
    const changed = this.#entries().filter((path) => path.endsWith("/secret") && readFileSync(path, "utf8") !== SECRET);
    if (changed.length > 0) return `what the victim's ${changed[0]} says was changed`;
    return this.harm();
  }

  give(...paths: readonly string[]): void {
    for (const path of paths) chownSync(path, ATTACKER.uid, ATTACKER.gid);
  }

  /** A directory of the attackers in their yard. */
  directory(...names: readonly string[]): string {
    const path = join(this.yard, ...names);
    mkdirSync(path, { recursive: true });
    for (let above = path; above !== this.yard; above = dirname(above)) this.give(above);
    return path;
  }

  /** A tree of the attackers, worth deleting: `data` with files in it, and `link`, which leads to the victim. */
  fill(directory: string, files = 12): void {
    mkdirSync(join(directory, "data", "deep"), { recursive: true });
    for (let file = 0; file < files; file += 1) writeFileSync(join(directory, "data", "deep", `file-${file}`), "");
    symlinkSync(this.victim, join(directory, "link"));
    symlinkSync(join(this.victim, "deep"), join(directory, "data", "link"));
    mkdirSync(join(directory, "data", "data"));
    this.give(directory, join(directory, "data"), join(directory, "data", "deep"), join(directory, "data", "data"));
  }

  dispose(): void {
    this.place.dispose();
  }

  #mountXfs(): string {
    const [image, mounted] = [join(this.place.root, "image"), join(this.place.root, "mounted")];
    mkdirSync(mounted);
    execFileSync("truncate", ["--size", "400M", image]);
    execFileSync("mkfs.xfs", ["-q", image]);
    execFileSync("mount", ["-o", "loop", image, mounted]);
    return mounted;
  }

  /** Inode, owner, mode, change time and project of everything: nobody changes anything without one of them. */
  #look(): string {
    return this.#entries()
      .map((path) => `${path.slice(this.base.length)} ${factsOf(path)}`)
      .join("; ");
  }

  #entries(): readonly string[] {
    const below = readdirSync(this.victim, { recursive: true, encoding: "utf8" }).sort();
    return [this.victim, ...below.map((name) => join(this.victim, name))];
  }
}

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

function factsOf(path: string): string {
  const { dev, ino, uid, gid, mode, nlink, ctimeNs } = lstatSync(path, { bigint: true });
  return [dev, ino, uid, gid, mode.toString(8), nlink, ctimeNs, projectOf(path)].join(" ");
}

/** Empty where files have none. */
function projectOf(path: string): string {
  return withDescriptors((keep) => {
    const fd = keep(openat2(AT.FDCWD, path, { flags: O.RDONLY | O.NONBLOCK }));
    try {
      return String(getProject(fd).id);
    } catch {
      return "";
    }
  });
}
