/** A minimal Debian with systemd, made once from the mirrors that this machine uses and kept until the next `npm ci`. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { run } from "./run.ts";

const PACKAGES = ["systemd", "systemd-sysv", "dbus", "runc", "busybox-static", "curl"];

const CACHE = path.resolve(import.meta.dirname, "../../node_modules/.cache/debian");

/** Copies the image to a directory that is not there yet. */
export async function copyDebian(to: string): Promise<void> {
  const image = await debianImage();
  await run("cp", "--archive", "--reflink=auto", image, to);
}

async function debianImage(): Promise<string> {
  const { suite, mirror } = aptSource();
  mkdirSync(path.dirname(CACHE), { recursive: true });
  mkdirSync(CACHE, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(CACHE);
  // It runs as root, so nobody else may have had a hand in it.
  if (uid !== 0 || (mode & 0o077) !== 0) throw new Error(`Cannot use ${CACHE}: expected root's, mode 0700`);
  const image = path.join(CACHE, [suite, ...PACKAGES].join("+"));
  if (existsSync(image)) return image;
  const draft = mkdtempSync(path.join(CACHE, "draft-"));
  try {
    const tree = path.join(draft, suite);
    await run("debootstrap", "--variant=minbase", `--include=${PACKAGES.join(",")}`, suite, tree, mirror);
    renameSync(tree, image);
  } catch (error) {
    // Another run was faster.
    if (!existsSync(image)) throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return image;
}

/** This machine's own release, from where it gets its own packages. */
function aptSource(): { readonly suite: string; readonly mirror: string } {
  const suite = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  const files = [
    "/etc/apt/sources.list",
    ...readdirSync("/etc/apt/sources.list.d").map((file) => `/etc/apt/sources.list.d/${file}`),
  ];
  const text = files
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8"))
    .join("\n\n");
  const mirror =
    new RegExp(`^URIs: *(\\S+)(?:(?!\\n\\n)[^])*?^Suites:.*\\b${suite}(?= |$)`, "m").exec(text)?.[1] ??
    new RegExp(`^deb (?:\\[[^\\]]*\\] )?(\\S+) ${suite} `, "m").exec(text)?.[1];
  if (suite === undefined || mirror === undefined) throw new Error("No mirror of this machine's release in /etc/apt");
  return { suite, mirror };
}
