import { describe, expect, it } from "vitest";
import { containerOf } from "../../src/domain/container-of-cgroup.ts";

const ID = "3f4e1b2a".repeat(8);

describe("containerOf", () => {
  it.each([
    ["", {}],
    ["/", {}],
    ["/user.slice/user-1000.slice/session-1.scope", {}],
    [`/docker/${ID.slice(1)}`, {}],
    [`/docker/${ID}`, { engine: "docker", container: ID }],
    [`/system.slice/docker-${ID}.scope`, { engine: "docker", container: ID }],
    [`/machine.slice/libpod-${ID}.scope/container`, { engine: "podman", container: ID }],
    [`/libpod_parent/libpod-${ID}`, { engine: "podman", container: ID }],
    [`/kubepods.slice/kubepods-pod1.slice/crio-${ID}.scope`, { engine: "cri-o", container: ID }],
    [`/kubepods.slice/kubepods-pod1.slice/cri-containerd-${ID}.scope`, { engine: "containerd", container: ID }],
    [`/kubepods/burstable/pod1/${ID}`, { engine: "kubernetes", container: ID }],
  ])("of %s", (cgroup, expected) => {
    expect(containerOf(cgroup)).toEqual(expected);
  });
});
