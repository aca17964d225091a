/** Debian's own kernel, unpacked and not installed: fetched once from where apt gets packages, kept until the next `npm ci`. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { execa } from "execa";
import { run } from "../e2e/run.ts";

/** Small, made for virtual machines, and always of the newest version: it depends on the package that has the files. */
const PACKAGE = "linux-image-cloud-amd64";

const CACHE = path.resolve(import.meta.dirname, "../../node_modules/.cache/guest");

export interface Kernel {
  readonly image: string;
  readonly release: string;
  /** Has `lib/modules/RELEASE`. */
  readonly root: string;
}

export async function debianKernel(): Promise<Kernel> {
  const root = path.join(guestCache(), PACKAGE);
  if (!existsSync(root)) await unpackKernel(root);
  const [release] = readdirSync(path.join(root, "lib/modules"));
  if (release === undefined) throw new Error(`No kernel in ${root}`);
  return { root, release, image: path.join(root, `boot/vmlinuz-${release}`) };
}

/** A directory for what guests run, where they see it. */
export function guestCache(): string {
  mkdirSync(path.dirname(CACHE), { recursive: true });
  mkdirSync(CACHE, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(CACHE);
  // The guest is root's, so nobody else may have had a hand in it.
  if (uid !== 0 || (mode & 0o077) !== 0) throw new Error(`Cannot use ${CACHE}: expected root's, mode 0700`);
  return CACHE;
}

/** The modules that a kernel must load for these, in order. */
export async function modulesFor({ root, release }: Kernel, names: readonly string[]): Promise<readonly string[]> {
  const where = [`--dirname=${root}`, `--set-version=${release}`];
  const printed = await Promise.all(names.map((name) => run("modprobe", "--show-depends", ...where, name)));
  return [
    ...new Set(printed.flatMap((text) => Array.from(text.matchAll(/^insmod (\S+)/gm), ([, file]) => file ?? ""))),
  ];
}

async function unpackKernel(root: string): Promise<void> {
  const draft = mkdtempSync(path.join(CACHE, "draft-"));
  try {
    await download(draft);
    const [archive] = readdirSync(draft);
    const tree = path.join(draft, "tree");
    await run("dpkg-deb", "--extract", path.join(draft, archive ?? ""), tree);
    const [release] = readdirSync(path.join(tree, "lib/modules"));
    await run("depmod", `--basedir=${tree}`, release ?? "");
    renameSync(tree, root);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(root)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Package lists are fetched only when those at hand do not do. */
async function download(directory: string): Promise<void> {
  const once = () => downloadListed(directory);
  await once().catch(async () => {
    await run("apt-get", "update", "--quiet");
    await once();
  });
}

async function downloadListed(directory: string): Promise<void> {
  const depends = await run("apt-cache", "depends", PACKAGE);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error(`No kernel is named by ${PACKAGE}: ${depends}`);
  await execa("apt-get", ["download", "--quiet", "-o", "APT::Sandbox::User=root", name], {
    cwd: directory,
    stdin: "ignore",
  });
}
