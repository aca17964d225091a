/** Images for containerd without a registry: a directory as one layer, in the form of `docker save`. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { makeRoot } from "../e2e/oci.ts";
import { run } from "../e2e/run.ts";

const PACKAGE = path.resolve(import.meta.dirname, "../../scripts/package");

/** Does nothing for ever; also what kubelet starts before a pod's containers. */
export const PAUSE_IMAGE = "localhost/busybox:1";

/** Makes the image of nothing but busybox; the tar file can be imported. */
export async function makeBusyboxImage(dir: string): Promise<string> {
  const root = path.join(dir, "busybox");
  await makeRoot(root);
  await run("chroot", root, "/bin/busybox", "--install", "-s", "/bin");
  return packImage({ dir: path.join(dir, "busybox-image"), root, name: PAUSE_IMAGE, command: ["sleep", "1000000"] });
}

/** The image of the DaemonSet, as the Containerfile makes it, on nothing but the libraries of this machine. */
export async function makeDriverImage(dir: string, name: string): Promise<string> {
  const root = path.join(dir, "driver");
  await makeRoot(root);
  await run("chroot", root, "/bin/busybox", "--install", "-s", "/bin");
  await run("sh", PACKAGE, "--tree", path.join(root, "opt/holdfast"));
  for (const library of await librariesOf(path.join(root, "opt/holdfast/bin/node"))) {
    await run("install", "-D", library, path.join(root, library));
  }
  await mkdir(path.join(root, "usr/local/bin"), { recursive: true });
  await symlink("/opt/holdfast/bin/holdfast", path.join(root, "usr/local/bin/holdfast"));
  return packImage({
    dir: path.join(dir, "driver-image"),
    root,
    name,
    command: ["daemon"],
    entrypoint: ["/usr/local/bin/holdfast"],
  });
}

/** Where the machine has them. */
async function librariesOf(program: string): Promise<readonly string[]> {
  const lines = (await run("ldd", program)).split("\n");
  return lines.flatMap((line) => /(?<file>\/\S+) \(0x/.exec(line)?.groups?.["file"] ?? []);
}

interface ImageSpec {
  /** Where parts and result go. */
  readonly dir: string;
  readonly root: string;
  /** With its tag. */
  readonly name: string;
  readonly command: readonly string[];
  /** What the arguments of a container are given to. */
  readonly entrypoint?: readonly string[];
}

/** @returns a tar file */
async function packImage({ dir, root, name, command, entrypoint = [] }: ImageSpec): Promise<string> {
  await mkdir(dir);
  await run("tar", "--create", "--file", path.join(dir, "layer.tar"), "--directory", root, ".");
  const layer = await digestOf(path.join(dir, "layer.tar"));
  const config = JSON.stringify({
    architecture: { x64: "amd64", arm64: "arm64" }[process.arch as string],
    os: "linux",
    config: { Entrypoint: entrypoint, Cmd: command, Env: ["PATH=/usr/local/bin:/bin"] },
    rootfs: { type: "layers", diff_ids: [`sha256:${layer}`] },
  });
  const configFile = `${createHash("sha256").update(config).digest("hex")}.json`;
  await writeFile(path.join(dir, configFile), config);
  const manifest = [{ Config: configFile, RepoTags: [name], Layers: ["layer.tar"] }];
  await writeFile(path.join(dir, "manifest.json"), JSON.stringify(manifest));
  const image = `${dir}.tar`;
  await run("tar", "--create", "--file", `${image}.new`, "--directory", dir, "manifest.json", configFile, "layer.tar");
  await rename(`${image}.new`, image);
  return image;
}

async function digestOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}
