/** Which container a process belongs to, as far as the path of its control group tells. */

/** Where engines put a container's id, 64 hexadecimal digits; the first that matches says who it is. */
const PLACES: readonly (readonly [engine: string, pattern: RegExp])[] = [
  ["docker", /\/docker[/-]([0-9a-f]{64})/],
  ["podman", /\/libpod-([0-9a-f]{64})/],
  ["cri-o", /\/crio-([0-9a-f]{64})/],
  ["containerd", /(?:\/cri-containerd-|:cri-containerd:)([0-9a-f]{64})/],
  ["kubernetes", /\/kubepods.*\/([0-9a-f]{64})/],
];

/** The container engine and its id of the container; empty when the path is nobody's that we know. */
export function containerOf(cgroup: string): { readonly engine?: string; readonly container?: string } {
  for (const [engine, pattern] of PLACES) {
    const container = pattern.exec(cgroup)?.[1];
    if (container !== undefined) return { engine, container };
  }
  return {};
}
