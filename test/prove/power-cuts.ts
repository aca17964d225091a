/**
 * Power cuts: a machine with Debian's kernel, a disk with ext4, XFS or btrfs, the real daemon and clients at work, and
 * its plug pulled at a random moment, again and again. After each boot what was acknowledged must be there.
 *
 * What a cut takes is what the guest had in its own memory: files and directories whose pages and journal were not yet
 * written, so every sync that is missing. What had reached the disk stays, in the order in which it came: a kernel that
 * forgets to flush its disk's own cache would not be seen. That the rest of it would be seen is shown by the same daemon
 * with syncs that do nothing, which has to lose.
 */
import { whyNoGuest } from "../guest/wanted.ts";
import { cutPower } from "./power-cuts/run.ts";
import type { Protocol } from "./protocol.ts";

export const powerCuts: Protocol = {
  name: "power-cuts",
  title: "the plug pulled at random moments, on ext4, XFS and btrfs",
  unit: "cuts",
  target: 60,
  share: 2,
  unavailable: () => (whyNoGuest === undefined ? undefined : `it ${whyNoGuest}`),
  run: cutPower,
};
