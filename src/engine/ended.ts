/**
 * The end of containers that have a process of their own: their mount namespace, and with it every mount, goes when
 * the last of their processes does. Nobody tells us; the kernel says when the first process has ended.
 */
import { loseInstances } from "../domain/app-members.ts";
import { setAttachments } from "../domain/attach.ts";
import { messageOf } from "../domain/error.ts";
import type { Attachment, Container, ContainerProcess } from "../domain/records.ts";
import type { ContainerId, Incarnation } from "../domain/units.ts";
import type { HeldMount } from "../ports/holders.ts";
import { mountedAt } from "./attach.ts";
import { momentNow } from "./moment.ts";
import { attachmentKey } from "./observations.ts";
import type { Parts } from "./parts.ts";

const RELEASE = { durable: false, releases: true } as const;

/** A namespace may outlive its container's first process by moments: so often it is looked at again, and when. */
const LOOKS_AGAIN_MS = [20, 50, 100, 200, 400];

/** Takes a container off the books if its process has ended. */
export async function endIfOver(parts: Parts, id: ContainerId): Promise<void> {
  if (!isOver(parts, id)) return;
  await parts.serial.run(id, async () => {
    const container = parts.ledger.state.containers.get(id);
    if (container !== undefined) await endContainer(parts, container);
  });
}

/**
 * What mount namespaces still show of it lingers; everything else is over. A container whose process lives is left
 * alone. The caller has the container to itself.
 * @param seen what was seen since it ended; looked for when absent
 */
export async function endContainer(
  parts: Parts,
  container: Container,
  seen?: MountsSeen,
): Promise<"over" | "lingering" | "alive"> {
  const { id, process, attachments } = container;
  if (process === undefined || !parts.processes.hasEnded(process)) return "alive";
  const isHeld = heldIn(parts, container, seen ?? (await lookElsewhere(parts, attachments)));
  const over = attachments.filter((attachment) => !isHeld(attachment));
  for (const attachment of over) await tidy(parts, container, attachment);
  const left = attachments.filter(isHeld).map((attachment) => ({ ...attachment, phase: "lingering" as const }));
  await parts.ledger.transact({ ...RELEASE, because: `its process ${process.pid} has ended` }, (tx) => {
    setAttachments(tx, id, left);
    loseInstances(tx, container, momentNow(parts));
  });
  if (left.length > 0) return "lingering";
  parts.log.info({ container: id, pid: process.pid }, "Released a container that has ended");
  return "over";
}

/** `unknown` when it cannot be told, which counts as held. */
type MountsSeen = readonly HeldMount[] | "unknown";

async function lookElsewhere(parts: Parts, attachments: readonly Attachment[]): Promise<MountsSeen> {
  try {
    return await parts.holders.mounts([...new Set(attachments.map(({ uuid }) => uuid))], "elsewhere");
  } catch (error) {
    parts.log.warn({ error }, "Cannot tell what the namespaces of ended containers still show");
    return "unknown";
  }
}

/**
 * Of a volume that nobody else has, every mount counts: a process may have taken it along into another namespace.
 * Otherwise the others' do not.
 */
function heldIn(
  parts: Parts,
  { id, process }: Container,
  seen: MountsSeen,
): (attachment: Pick<Attachment, "uuid">) => boolean {
  if (seen === "unknown") return () => true;
  const isAlone = (uuid: Incarnation) => parts.ledger.state.containersOf(uuid).every((other) => other.id === id);
  return ({ uuid }) =>
    seen.some((mount) => mount.uuid === uuid && (mount.namespace === process?.mountNamespace || isAlone(uuid)));
}

async function tidy(parts: Parts, container: Container, attachment: Attachment): Promise<void> {
  parts.observations.mounts.delete(attachmentKey(container.id, attachment.uuid));
  try {
    await parts.mounter.clear(mountedAt(parts, container, attachment));
  } catch (error) {
    parts.log.warn({ error, container: container.id }, "Cannot clear a mountpoint of a container that has ended");
  }
}

function isOver(parts: Parts, id: ContainerId): boolean {
  const process = parts.ledger.state.containers.get(id)?.process;
  return process !== undefined && parts.processes.hasEnded(process);
}

/** Waits for the ends of all containers that have a process; those that end together are looked at together. */
export class Endings {
  readonly #parts: Parts;
  readonly #watched = new Map<ContainerId, { readonly process: ContainerProcess; readonly cancel: () => void }>();
  readonly #due = new Set<ContainerId>();
  #releasing: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Watches what is recorded of this container now, and nothing else of it. */
  watch(id: ContainerId): void {
    const process = this.#parts.ledger.state.containers.get(id)?.process;
    const watched = this.#watched.get(id);
    if (watched !== undefined && process !== undefined && isSameProcess(watched.process, process)) return;
    watched?.cancel();
    this.#watched.delete(id);
    if (process === undefined || this.#stopped) return;
    const cancel = this.#parts.processes.watch(process, () => {
      this.#watched.delete(id);
      this.#release(id, LOOKS_AGAIN_MS);
    });
    this.#watched.set(id, { process, cancel });
  }

  watchAll(): void {
    for (const { id } of this.#parts.ledger.state.containers.values()) {
      try {
        this.watch(id);
      } catch (error) {
        // The reconcile notices its end.
        this.#parts.log.error({ container: id }, `Cannot wait for the end of a container: ${messageOf(error)}`);
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const { cancel } of this.#watched.values()) cancel();
    this.#watched.clear();
  }

  /** What lingers longer than that is left to the reconcile. */
  #release(id: ContainerId, [delayMs, ...later]: readonly number[]): void {
    this.#due.add(id);
    this.#releasing ??= this.#releaseDue().finally(() => {
      this.#releasing = undefined;
    });
    void this.#releasing.then(() => {
      // It may have started anew meanwhile.
      if (!isOver(this.#parts, id)) this.watch(id);
      else if (delayMs !== undefined) this.#parts.clock.after(delayMs, () => this.#release(id, later));
    });
  }

  async #releaseDue(): Promise<void> {
    // Those that end in the same moment are told one after the other.
    await Promise.resolve();
    while (this.#due.size > 0 && !this.#stopped) {
      const due = [...this.#due].filter((id) => isOver(this.#parts, id));
      this.#due.clear();
      const ended = due.flatMap((id) => this.#parts.ledger.state.containers.get(id) ?? []);
      const seen = await lookElsewhere(
        this.#parts,
        ended.flatMap(({ attachments }) => attachments),
      );
      await Promise.all(ended.map((container) => this.#end(container, seen)));
    }
  }

  async #end({ id, process }: Container, seen: MountsSeen): Promise<void> {
    try {
      await this.#parts.serial.run(id, async () => {
        const container = this.#parts.ledger.state.containers.get(id);
        // What was seen says nothing about a container that took this one's place.
        if (container?.process === undefined || process === undefined) return;
        if (isSameProcess(container.process, process)) await endContainer(this.#parts, container, seen);
      });
    } catch (error) {
      this.#parts.log.error({ error, container: id }, "Cannot release a container that has ended");
    }
  }
}

function isSameProcess(left: ContainerProcess, right: ContainerProcess): boolean {
  return left.pid === right.pid && left.startTime === right.startTime;
}
