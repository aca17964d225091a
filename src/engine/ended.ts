/**
 * The end of containers that have a process of their own: their mount namespace, and with it every mount, goes when
 * the last of their processes does. Nobody tells us; the kernel says when the first process has ended.
 */
import { setAttachments } from "../domain/attach.ts";
import type { Attachment, Container } from "../domain/records.ts";
import type { ContainerId, Incarnation } from "../domain/units.ts";
import { mountedAt } from "./attach.ts";
import { attachmentKey } from "./observations.ts";
import type { Parts } from "./parts.ts";

const RELEASE = { durable: false, releases: true } as const;

/** A namespace may outlive its container's first process by moments: so often it is looked at again, and when. */
const LOOKS_AGAIN_MS = [20, 50, 100, 200, 400];

/** Takes a container off the books if its process has ended. */
export async function endIfOver(parts: Parts, id: ContainerId): Promise<void> {
  const process = parts.ledger.state.containers.get(id)?.process;
  if (process === undefined || !parts.processes.hasEnded(process)) return;
  await parts.serial.run(id, async () => {
    const container = parts.ledger.state.containers.get(id);
    if (container !== undefined) await endContainer(parts, container);
  });
}

/**
 * What its mount namespace still shows lingers; everything else is over. A container whose process lives is left
 * alone. The caller has the container to itself.
 */
export async function endContainer(parts: Parts, container: Container): Promise<"over" | "lingering" | "alive"> {
  const { id, process, attachments } = container;
  if (process === undefined || !parts.processes.hasEnded(process)) return "alive";
  const held = await heldInNamespace(parts, container);
  const over = attachments.filter(({ uuid }) => !held.has(uuid));
  for (const attachment of over) await tidy(parts, container, attachment);
  await parts.ledger.transact(RELEASE, (tx) =>
    setAttachments(
      tx,
      id,
      attachments
        .filter(({ uuid }) => held.has(uuid))
        .map((attachment) => ({ ...attachment, phase: "lingering" as const })),
    ),
  );
  if (held.size > 0) return "lingering";
  parts.log.info({ container: id, pid: process.pid }, "Released a container that has ended");
  return "over";
}

/** Which of its volumes the container's mount namespace still shows; unknown means all. */
async function heldInNamespace(parts: Parts, { id, process, attachments }: Container): Promise<Set<Incarnation>> {
  const uuids = attachments.map(({ uuid }) => uuid);
  try {
    const mounts = await parts.holders.mounts(uuids, "elsewhere");
    const isOurs = (uuid: Incarnation) => parts.ledger.state.containersOf(uuid).every((other) => other.id === id);
    const mine = mounts.filter(
      // A namespace that no process lives in does not say which one it is.
      ({ namespace, pid, uuid }) => namespace === process?.mountNamespace || (pid === 0 && isOurs(uuid)),
    );
    return new Set(mine.map(({ uuid }) => uuid));
  } catch (error) {
    parts.log.warn({ error, container: id }, "Cannot tell what the namespace of an ended container still shows");
    return new Set(uuids);
  }
}

async function tidy(parts: Parts, container: Container, attachment: Attachment): Promise<void> {
  parts.observations.mounts.delete(attachmentKey(container.id, attachment.uuid));
  try {
    await parts.mounter.clear(mountedAt(parts, container, attachment));
  } catch (error) {
    parts.log.warn({ error, container: container.id }, "Cannot clear a mountpoint of a container that has ended");
  }
}

/** Waits for the ends of all containers that have a process. */
export class Endings {
  readonly #parts: Parts;
  readonly #watched = new Map<ContainerId, { readonly startTime: string; readonly cancel: () => void }>();
  #stopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Watches what is recorded of this container now, and nothing else of it. */
  watch(id: ContainerId): void {
    const process = this.#parts.ledger.state.containers.get(id)?.process;
    const watched = this.#watched.get(id);
    if (watched !== undefined && watched.startTime === process?.startTime) return;
    watched?.cancel();
    this.#watched.delete(id);
    if (process === undefined || this.#stopped) return;
    const cancel = this.#parts.processes.watch(process, () => {
      this.#watched.delete(id);
      void this.#end(id, LOOKS_AGAIN_MS);
    });
    this.#watched.set(id, { startTime: process.startTime, cancel });
  }

  watchAll(): void {
    for (const { id } of this.#parts.ledger.state.containers.values()) this.watch(id);
  }

  stop(): void {
    this.#stopped = true;
    for (const { cancel } of this.#watched.values()) cancel();
    this.#watched.clear();
  }

  /** What lingers longer than that is left to the reconcile. */
  async #end(id: ContainerId, [delayMs, ...later]: readonly number[]): Promise<void> {
    if (this.#stopped) return;
    try {
      await endIfOver(this.#parts, id);
    } catch (error) {
      this.#parts.log.error({ error, container: id }, "Cannot release a container that has ended");
    }
    if (delayMs === undefined || this.#parts.ledger.state.containers.get(id)?.process === undefined) return;
    this.#parts.clock.after(delayMs, () => void this.#end(id, later));
  }
}
