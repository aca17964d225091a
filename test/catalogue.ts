/**
 * The catalogue of attacks: what has been done to systems of this kind, and which tests keep it from being done here. An
 * attack is covered by tests that exist, or is not applicable for a reason.
 */

/** Titles of tests in a file, as they are written there. */
export interface Covered {
  readonly attack: string;
  readonly tests: Readonly<Record<string, readonly string[]>>;
}

export interface NotApplicable {
  readonly attack: string;
  readonly notApplicable: string;
}

const HOST_RACE = "test/linux/bind-mounter-race.test.ts";
const MOUNTER = "test/linux/bind-mounter.test.ts";
const CONTAINER = "test/linux/container-mounter.test.ts";
const PURGE = "test/linux/purge.test.ts";
const NAMES = "test/domain/names.test.ts";
const BROKEN_HTTP = "test/faces/http/broken-http.test.ts";
const SOURCE = "test/source.test.ts";

export const CATALOGUE: Readonly<Record<string, Covered | NotApplicable>> = {
  A1: {
    attack: "the mountpoint is exchanged for a symlink between look and mount (CVE-2021-30465)",
    tests: {
      [HOST_RACE]: ["cannot lead a mount astray by %s (own namespace: %s)"],
      "test/linux/container-mounter-race.test.ts": ["exchanging %s never leads a mount or a directory out"],
    },
  },
  A2: {
    attack: "a descriptor of the host leaks into a container (CVE-2024-21626)",
    tests: {
      "test/host/syscalls.test.ts": ["opens close-on-exec with the given flags and mode"],
      [CONTAINER]: ["keeps no descriptor open, whether it succeeds or not, and is home again each time"],
    },
  },
  A3: {
    attack: "the source of a bind is exchanged (CVE-2025-31133, -52565, -52881)",
    tests: {
      "test/host/walk.test.ts": [
        "calls it damaged when it is missing, replaced or a symlink, or the disk is missing",
        "compares inode, and birth time where both are known",
      ],
    },
  },
  A4: {
    attack: "the image has a symlink where the runtime mounts (CVE-2026-41579)",
    tests: {
      [CONTAINER]: ["does not climb out of the root", "refuses a process whose root is not the recorded one"],
    },
  },
  A5: {
    attack: "directories are made along an attacker's path (CVE-2024-45310)",
    tests: {
      [MOUNTER]: ["does not follow a symlink in the path of the sandbox"],
      [HOST_RACE]: ["cannot lead a mount astray by %s (own namespace: %s)"],
    },
  },
  A6: {
    attack: "a symlink in a volume is followed on the host (CVE-2017-1002101)",
    tests: {
      "test/host/walk.test.ts": ["refuses a symlink at the end, and one that leads nowhere"],
      [MOUNTER]: ["shows no mounts that lie inside the volume"],
    },
  },
  A7: {
    attack: "a path is resolved again after it was checked (CVE-2021-25741)",
    tests: {
      "test/host/walk.test.ts": ["opens a directory, whose descriptor stays with it"],
      [HOST_RACE]: ["cannot lead a mount astray by %s (own namespace: %s)"],
      [SOURCE]: ["starts no program, mount(8) neither"],
    },
  },
  A8: {
    attack: "docker cp follows a symlink out of its scope (CVE-2018-15664)",
    notApplicable: "nothing is copied into containers or out of them",
  },
  A9: {
    attack: "a race in making the mountpoint, then in the mount (CVE-2026-41568, -42306)",
    tests: {
      [HOST_RACE]: ["cannot lead a mount astray by %s (own namespace: %s)"],
      [MOUNTER]: ["puts nosuid, nodev and the mode in force"],
    },
  },
  A10: {
    attack: "a program of the container's file system is run (CVE-2026-41567)",
    tests: { [SOURCE]: ["starts no program, mount(8) neither"] },
  },
  A11: {
    attack: "a hook runs in the image's environment and working directory (CVE-2024-0132, CVE-2025-23266)",
    tests: {
      "test/clients/cli/hook.test.ts": ["prints a hook with absolute paths and an environment of its own"],
      "test/clients/oci-hook/hook.test.ts": ["sends the whole state, however it is written (%#)"],
    },
  },
  A12: {
    attack: "the container's root traces who enters its namespaces (CVE-2016-9962)",
    tests: {
      "test/linux/namespace-visit.test.ts": [
        "sees what is there, and comes home to namespace, root and working directory",
        "ends the thread that cannot come home, and does nothing more there",
      ],
    },
  },
  A13: {
    attack: "the host's program is overwritten through /proc/self/exe (CVE-2019-5736)",
    tests: { [SOURCE]: ["starts no program, mount(8) neither"] },
  },
  A14: {
    attack: "a deletion follows an exchanged symlink (CVE-2022-21658, and fs.rm)",
    tests: {
      [PURGE]: [
        "deletes symlinks, not what they lead to",
        "is not led out by a process that swaps directories for symlinks, in 300 races",
        "leaves another directory alone that gets the name of the one that is meant",
      ],
      "test/linux/sandboxes-race.test.ts": ["are cleared, or refused as in use, and never by a failure of ours"],
      [SOURCE]: ["removes and copies no tree by its path"],
    },
  },
  A15: {
    attack: "a deletion goes down into mounts (MESOS-8830, kubernetes#72257)",
    tests: {
      [PURGE]: ["stops at a %s that is mounted inside, names it, and leaves it alone"],
      "test/contract/sandboxes.ts": ["does not delete what is mounted in it"],
      "test/linux/holders.test.ts": ["a bind is seen after its volume was dropped, and after its content was deleted"],
    },
  },
  A16: {
    attack: "an id is a path upwards (CVE-2025-62878, CVE-2026-3864, CVE-2026-3865)",
    tests: {
      [NAMES]: ["refuses %j", "refuses a slash"],
      "test/contract/disk.ts": ["take hands out distinct empty directories, however many"],
      "test/faces/http/v1.test.ts": ["decodes an address once, and parses what it decoded"],
    },
  },
  A17: {
    attack: "trees too deep, too wide, with odd names or immutable files stop the collection",
    tests: {
      [PURGE]: [
        "deletes 5,000 levels of long names with few descriptors, and files on the way",
        "deletes more names than it reads at once, of files and directories mixed",
        "deletes names of any bytes and of full length",
        "deletes what is immutable or append-only, directories and files",
        "names what it may not remove, deletes the rest, and is done once it may",
      ],
    },
  },
  A18: {
    attack: "who fills faster than is deleted keeps the collection for ever",
    tests: { [PURGE]: ["gives up on somebody who keeps making new files, and says so"] },
  },
  A19: {
    attack: "two names become one by their encoding",
    tests: {
      [NAMES]: ["refuses the lone surrogate in %j"],
      "test/faces/http/v1.test.ts": ["decodes an address once, and parses what it decoded"],
      "test/contract/disk.ts": ["roles that look alike do not share symlinks"],
    },
  },
  A20: {
    attack: "names with control characters, dots, slashes, or too long",
    tests: {
      [NAMES]: ["refuses control character %i", "%s takes 255 bytes of UTF-8 and refuses 256"],
      "test/contract/disk.ts": ["take hands out distinct empty directories, however many"],
    },
  },
  A21: {
    attack: "a new volume inherits what an old one of its name left (MESOS-9544)",
    tests: {
      "test/contract/disk.ts": [
        "take hands out distinct empty directories, however many",
        "a spare that had a label is not handed out again after giveBack",
        "after a restart, a directory with content is no spare even without a label",
      ],
    },
  },
  A22: {
    attack: "a recursive chown follows what is in the volume",
    tests: {
      [MOUNTER]: [
        "gives an empty volume to the sandbox's owner, or to who was named",
        "leaves the owner of a volume with content",
      ],
      "test/linux/container-users.test.ts": [
        "lets its root write files that are root's on disk, and read them as its own",
      ],
    },
  },
  A23: {
    attack: "setuid files and device nodes of a volume are used on the host (CVE-2021-41091)",
    tests: {
      "test/host/directory-disk.test.ts": ["makes its directories private and closes what was open to others"],
      "test/host/work-root.test.ts": ["makes the directory, what lies above it, and meta, for its owner only"],
      [MOUNTER]: ["puts nosuid, nodev and the mode in force"],
      [CONTAINER]: ["puts nosuid, nodev and the mode in force, and inspect sees when they are not"],
    },
  },
  A24: {
    attack: "hard links lead out of a volume",
    tests: {
      "test/linux/census.test.ts": ["counts allocated blocks and distinct inodes"],
      [MOUNTER]: ["leaves the owner of a volume with content"],
    },
  },
  A25: {
    attack: "a FIFO, socket or device where the daemon opens a file",
    tests: {
      [PURGE]: ["neither opens nor waits for FIFOs and sockets"],
      "test/linux/census.test.ts": ["opens no FIFO, socket, device or symlink, and counts them"],
      "test/auth/credentials.test.ts": ["a directory, and a FIFO without waiting for its writer"],
    },
  },
  A26: {
    attack: "an owner leaves its project, and the quota with it",
    tests: {
      "test/linux/census.test.ts": ["finds what escaped to another project, and takes it back"],
      "test/contract/disk-sizes.ts": ["limit refuses a volume that is not in its project"],
    },
  },
  A27: {
    attack: "one tenant fills the disk, and nothing can be recorded any more",
    tests: {
      "test/store/ballast.test.ts": ["is made of really allocated blocks"],
      "test/store/full-disk.test.ts": ["opens a checkpoint without room for a new log"],
      "test/linux/directory-disk.test.ts": ["drop and labels work on a full disk, which spares make room for"],
    },
  },
  A28: {
    attack: "a container removes the mountpoint in its namespace, and the mount everywhere",
    tests: {
      [MOUNTER]: ["is fine after the container made the mount vanish from another namespace"],
      "test/engine/reconcile.test.ts": ["removed behind our back"],
    },
  },
  A29: {
    attack: "mounts spread to other namespaces and stay there",
    tests: {
      "test/linux/bind-mounter-propagation.test.ts": [
        "in a $sandbox sandbox, container $container, attached $start its start: as expected, and nothing is left",
      ],
      "test/linux/holders.test.ts": ["a mount outside a chrooted process's view is found through its neighbour"],
    },
  },
  A30: {
    attack: "a mount is made again over itself after a restart",
    tests: {
      "test/contract/mounter.ts": ["refuses a place where the same volume is, which stays"],
      "test/engine/attach.test.ts": [
        "twice at once mounts once",
        "after the mounts were made: repeated, it succeeds with exactly one mount each",
      ],
    },
  },
  A31: {
    attack: "a lazy unmount looks like an end, and processes go on writing",
    tests: {
      "test/engine/detach.test.ts": ["takes the mount away; the volume lingers and is in use"],
      "test/linux/holders.test.ts": [
        "a process is found after its mount was detached by force: working directory, file, deleted file",
      ],
      "test/engine/reconcile.test.ts": ["a half-undone mount that is not as it was made is still its container's"],
    },
  },
  A32: {
    attack: "mounts on a path in a sandbox that the task may write (MESOS-8257)",
    tests: {
      [MOUNTER]: [
        "does not follow a symlink in the place of the mountpoint",
        "does not follow a symlink in the path of the sandbox",
      ],
    },
  },
  A33: {
    attack: "the text of the mount table is chosen by attackers",
    tests: {
      "test/host/mount-table.test.ts": [
        "keeps a name that looks like the separator, and an empty source",
        "sees that the mounted directory was deleted",
        "gives back any paths, byte by byte",
      ],
    },
  },
  A34: {
    attack: "the socket is open to others for a moment, or its peer is not who it seems",
    tests: {
      "test/faces/agent-socket/socket.test.ts": [
        "has mode %o whatever the umask is, in a directory that anybody may enter",
        "is asked for once in a connection",
        "is not taken from somebody who answers",
      ],
      "test/host/syscalls.test.ts": ["peerCredentials names the peer of a unix socket"],
    },
  },
  A35: {
    attack: "a browser is made to ask (DNS rebinding, CSRF)",
    tests: {
      "test/faces/http/host.test.ts": [
        "refuses the host %s",
        "takes its own origin",
        "takes what a browser says is its own page or nobody's, and nothing else",
      ],
    },
  },
  A36: {
    attack: "the time of an answer tells a secret, or who exists",
    tests: {
      "test/auth/basic.test.ts": [
        "spends the highest cost of the file on an unknown principal",
        "refuses %s after exactly one scrypt, each time",
      ],
    },
  },
  A37: {
    attack: "something else is authorised than what is done (CVE-2026-34040)",
    tests: {
      "test/faces/http/v1.test.ts": ["hands every operation over as one frozen list"],
      "test/faces/agent-socket/container-routes.test.ts": [
        "hands the whole wish over, frozen, and answers with the container",
      ],
      [BROKEN_HTTP]: ["refuses a body of more than 1 MiB, declared or in chunks"],
    },
  },
  A38: {
    attack: "smuggled requests, endless bodies, slow clients",
    tests: {
      [BROKEN_HTTP]: [
        "answers %s with 400 and closes",
        "answers 16 KiB of headers with 431 and closes",
        "refuses a body of more than 1 MiB, declared or in chunks",
      ],
      "test/faces/http/listen.test.ts": ["ends connections beyond its limit"],
      "test/faces/http/close.test.ts": ["cuts off a client that never sends the rest"],
    },
  },
  A39: {
    attack: "JSON with __proto__, doubled keys, endless depth or numbers that are none",
    tests: {
      "test/faces/http/json.test.ts": [
        "takes 16 levels and refuses 17",
        "refuses a megabyte of brackets in one pass",
        "refuses the key in %s",
      ],
      "test/domain/json.test.ts": ["sees only own properties"],
      "test/auth/credentials.test.ts": ["a __proto__ key"],
    },
  },
  A40: {
    attack: "protobuf and gRPC",
    tests: {
      "test/faces/csi/proto.test.ts": ["the JSON beside %s is what it makes"],
      "test/faces/csi/server.test.ts": [
        "refuses a request that is larger than any can be",
        "goes on after whoever speaks no HTTP/2, or no gRPC",
      ],
    },
  },
  A41: {
    attack: "a text that a regular expression never ends with",
    tests: {
      "test/source.test.ts": ["makes no regular expression out of what it is told"],
      "test/domain/long-text.test.ts": ["is refused at once by %s"],
    },
  },
  A42: {
    attack: "lines and terminal sequences in the log, and secrets",
    tests: {
      "test/observe/log.test.ts": [
        "keeps one event on one line, whatever is in it",
        "hides the authorization and cuts what users sent",
      ],
      "test/clients/cli/text.test.ts": ["printableJson is harmless on a terminal and the same value"],
    },
  },
  A43: {
    attack: "descriptors leak to programs, the lock among them",
    tests: {
      "test/host/syscalls.test.ts": ["opens close-on-exec with the given flags and mode"],
      "test/host/lock.test.ts": ["kill -9 of the owner frees it, and its fresh mark does not hold the next one up"],
      [SOURCE]: ["starts no program, mount(8) neither"],
    },
  },
  A44: {
    attack: "programs are found by PATH and run in somebody's environment",
    tests: {
      [SOURCE]: ["starts no program, mount(8) neither"],
      "test/clients/cli/hook.test.ts": ["prints a hook with absolute paths and an environment of its own"],
    },
  },
  A45: {
    attack: "io_uring goes on with the rights of before a change of the user (CVE-2024-22017)",
    tests: { [SOURCE]: ["never changes its user"] },
  },
};
