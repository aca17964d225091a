/**
 * Without one of the questions whether somebody has a volume, or wants it kept.
 *
 * Not here is what is asked twice, and what the second question refuses with the same code: a destroy of what a container
 * has (the lifecycle's table), one path for two volumes (the mounter), a collection of what a container has (no such
 * volume can be destroyed).
 */
import type { Mutant } from "./mutant.ts";

export const uses: readonly Mutant[] = [
  {
    name: "a destroy of what is protected",
    file: "domain/decide.ts",
    find: "if (volume.protected === true) {",
    replace: "if (volume.protected === true && volume.size < 0) {",
    test: "engine/marks.test.ts",
  },
  {
    name: "a destroy of what somebody holds",
    file: "domain/decide.ts",
    find: "const holder = context.heldBy(volume.uuid);",
    replace: "const holder = [context.heldBy(volume.uuid)][1];",
    test: "domain/decide.test.ts",
  },
  {
    name: "a destroy of what took the name meanwhile",
    file: "engine/perform.ts",
    find: `if (!uuids.includes(uuid) && !isNew(uuid)) return "whoever has taken its name meanwhile";`,
    replace: "",
    test: "engine/perform.test.ts",
  },
  {
    name: "an exclusive volume for two containers",
    file: "domain/attach.ts",
    find: "if (code === undefined) return;",
    replace: `if (code === undefined || code === "in_use") return;`,
    test: "engine/attach.test.ts",
  },
  {
    name: "an exclusive volume that another namespace shows",
    file: "engine/in-use.ts",
    find: "if (held !== undefined) throw",
    replace: "if (held !== undefined && volume.shared) throw",
    test: "engine/attach.test.ts",
  },
  {
    name: "the kernel's word that nobody has the volume, before it is mounted",
    file: "host/bind-attach.ts",
    find: "    if (request.alone === true) requireShownNowhere(request, action);\n",
    replace: "",
    test: "linux/alone.test.ts",
  },
  {
    name: "the kernel's word that nobody else has the volume, before it is unmounted",
    file: "host/bind-detach.ts",
    find: "      if (alone) requireShownHere(mounted, action);\n",
    replace: "",
    test: "linux/alone.test.ts",
  },
  {
    name: "one container id in two places",
    file: "domain/attach.ts",
    find: "  requireSamePlace(before, wanted);\n",
    replace: "",
    test: "engine/attach.test.ts",
  },
  {
    name: "a collection of what is live",
    file: "engine/collect.ts",
    find: `if (volume.phase === "live") return refuse("in_use", "it is live, destroy it first");`,
    replace: `if (volume.phase === "live") return;`,
    test: "engine/collect.test.ts",
  },
  {
    name: "a collection of what is pinned",
    file: "engine/collect.ts",
    find: `if (volume.phase === "retained" && volume.pinned === true) refuse(`,
    replace: `if (volume.phase === "live" && volume.pinned === true) refuse(`,
    test: "engine/marks.test.ts",
  },
  {
    name: "a collection of what somebody holds",
    file: "engine/collect.ts",
    find: `if (hold !== undefined) refuse("in_use", hold);`,
    replace: "",
    test: "engine/collect.test.ts",
  },
  {
    name: "a collection of another directory in its place",
    file: "engine/collect.ts",
    find: "if (!isExpected && !sameDirectory(volume.directory, found.directory)) {",
    replace: "if (!isExpected && !sameDirectory(volume.directory, volume.directory)) {",
    test: "engine/collect.test.ts",
  },
  {
    name: "a collection where nobody can tell who holds it",
    file: "engine/holds.ts",
    find: "return () => reason;",
    replace: 'return () => (reason === "" ? reason : undefined);',
    test: "engine/collect.test.ts",
  },
  {
    name: "an age by the wall clock",
    file: "domain/collect.ts",
    find: "return notedMs + Math.max(0, moment.bootTimeMs - retired.bootTimeMs);",
    replace: "return moment.now - retired.at;",
    test: "domain/collect.test.ts",
  },
  {
    name: "a lingering volume that is free while it is held",
    file: "engine/reconcile.ts",
    find: "return (await isHeld(parts, attachment.uuid)) ? attachment : undefined;",
    replace: "return (await isHeld(parts, attachment.uuid)) && false ? attachment : undefined;",
    test: "engine/reconcile.test.ts",
  },
  {
    name: "an id that may be used for other content",
    file: "engine/perform.ts",
    find: "if (known !== undefined && known.request !== identity.request) {",
    replace: 'if (known !== undefined && known.request === "") {',
    test: "engine/perform.test.ts",
  },
  {
    name: "a request that is done twice under one id",
    file: "engine/perform.ts",
    find: "      if (earlier !== undefined) return earlier;\n      decision",
    replace: "      decision",
    test: "engine/perform.test.ts",
  },
  {
    name: "a commit that is answered before it is stored",
    file: "engine/perform.ts",
    find: "const kind = { durable: true, releases",
    replace: "const kind = { durable: false, releases",
    test: "engine/perform.test.ts",
  },
  {
    name: "a mark that a power cut takes away",
    file: "engine/marks.ts",
    find: "ledger.transact({ durable: true, by",
    replace: "ledger.transact({ durable: false, by",
    test: "engine/marks.test.ts",
  },
  {
    name: "a restore that a power cut takes away",
    file: "engine/restore.ts",
    find: "await ledger.transact({ durable: true, by",
    replace: "await ledger.transact({ durable: false, by",
    test: "engine/restore.test.ts",
  },
  {
    name: "disk that is reserved twice",
    file: "domain/decide.ts",
    find: "if (exclusive ? free === wanted.size : free >= wanted.size) return;",
    replace: "if (exclusive || free >= 0) return;",
    test: "domain/decide.test.ts",
  },
];
