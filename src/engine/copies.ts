/**
 * COPY: a volume whose content is another one's.
 *
 *   there is room        reserved and created, durably, as `copying`: its name and its size are taken
 *   the content comes    in the background, a few copies at a time, whether or not somebody waits
 *   all of it is there   durable, then committed: with this it is a volume, or a snapshot
 *
 * Whatever ends that early, a crash too, ends it in one way: what there is goes to trash and is collected, and what was
 * reserved for it is given back. The same request again joins what is under way; why a copy failed that nobody waited
 * for is told to the next who asks.
 */
import { HoldfastError, messageOf } from "../domain/error.ts";
import { freeOf, type Transaction } from "../domain/node.ts";
import { type Actor, actorName } from "../domain/operation.ts";
import type { Volume } from "../domain/records.ts";
import { poolKey, sourceKey } from "../domain/resource.ts";
import { type Incarnation, type MilliMb, ZERO_MB } from "../domain/units.ts";
import { NO_LABEL } from "./adopt-decide.ts";
import { goOnCollecting } from "./collect.ts";
import { type CopyPlan, findCopy, planCopy, refused, requireMayCopy, requireSource } from "./copy-decide.ts";
import type { CopyRequest } from "./engine.ts";
import { diskOfVolume, rootOf } from "./handed-ports.ts";
import { holdToSize } from "./hold.ts";
import { usageOf } from "./measure.ts";
import { momentNow } from "./moment.ts";
import type { RunningCopy } from "./observations.ts";
import type { Parts } from "./parts.ts";
import { performOperations } from "./perform.ts";

const COPIES_AT_ONCE = 4;
/** Of so many names it is remembered why their copies failed. */
const FAILURES_MAX = 1_000;

/** Why a copy failed that nobody waited for any more. */
interface Failure {
  readonly request: string;
  readonly error: unknown;
}

export class Copies {
  readonly #parts: Parts;
  readonly #stopping = new AbortController();
  readonly #failures = new Map<string, Failure>();
  readonly #waiting: (() => void)[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #active = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Begins or joins a copy and waits for its end as long as the request says. Returns the new volume. */
  async copy(actor: Actor, request: CopyRequest): Promise<Incarnation> {
    const parts = this.#parts;
    requireMayCopy(parts, actor, request);
    const name = `${request.role}/${request.id}`;
    const uuid = await parts.serial.run(`/copy ${name}`, async () => {
      const existing = await parts.ledger.read((state) => findCopy(state, request)?.uuid);
      if (existing !== undefined) return existing;
      this.#tellFailure(name, request);
      return this.#begin(actor, request);
    });
    await this.#wait(uuid, request);
    return uuid;
  }

  /** Throws away what was begun and is not going on: by a crash, or because it could not be thrown away then. */
  async settle(): Promise<void> {
    const { ledger, observations } = this.#parts;
    const left = [...ledger.state.volumes.values()]
      .filter(isCopying)
      .filter(({ uuid }) => !observations.copies.has(uuid));
    for (const volume of left) {
      await this.#throwAway(volume);
      this.#inBackground(this.#collect(volume));
    }
  }

  /** What is under way stays half done, for the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const go of this.#waiting.splice(0)) go();
    await Promise.allSettled(this.#underWay);
  }

  #tellFailure(name: string, request: CopyRequest): void {
    const failure = this.#failures.get(name);
    this.#failures.delete(name);
    if (failure !== undefined && failure.request === essenceOf(request)) throw failure.error;
  }

  async #begin(actor: Actor, request: CopyRequest): Promise<Incarnation> {
    const parts = this.#parts;
    const plan = await parts.ledger.read((state) => planCopy(parts, state, actor, request));
    const at = parts.clock.now();
    const { role, id, uuid } = plan.source;
    const origin = { role, id, uuid, at };
    let begun: Volume | undefined;
    const complete = (volume: Volume): Volume => {
      begun = {
        ...volume,
        ...(request.snapshot ? { snapshotOf: origin } : { copyOf: origin }),
        copying: { reserved: plan.reserved },
        revision: NO_LABEL,
      };
      return begun;
    };
    const companion = {
      before: (tx: Transaction) => {
        if (requireSource(parts, tx.state, request).uuid === uuid) return;
        throw refused(request, "conflict", "another volume has its name by now");
      },
      complete,
      // From here on the source stays; it has no label yet.
      after: () => {
        if (begun !== undefined) this.#announce(begun, plan, request);
        return [];
      },
    };
    try {
      await performOperations(parts, actor, plan.operations, {}, companion);
    } catch (error) {
      if (begun !== undefined) this.#parts.observations.copies.delete(begun.uuid);
      throw error;
    }
    if (begun === undefined) throw new Error("The copy was committed without a decision");
    this.#start(begun, plan.source, { actor, request });
    return begun.uuid;
  }

  #announce({ uuid }: Volume, { source }: CopyPlan, request: CopyRequest): void {
    const totalBytes = usageOf(this.#parts, source)?.usedBytes;
    const progress = { copiedBytes: 0, ...(totalBytes === undefined ? {} : { totalBytes }) };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    const name = `${request.role}/${request.id}`;
    this.#parts.observations.copies.set(uuid, { source: source.uuid, name, progress, ended: promise, resolve, reject });
  }

  #start(volume: Volume, source: Volume, why: { readonly actor: Actor; readonly request: CopyRequest }): void {
    const { copies } = this.#parts.observations;
    const running = copies.get(volume.uuid);
    if (running === undefined) throw new Error("A copy was begun that nobody announced");
    const work = this.#run(volume, source, running)
      .then(() => this.#finish(volume, why.actor))
      .then(
        () => {
          copies.delete(volume.uuid);
          running.resolve();
        },
        async (error: unknown) => {
          await this.#fail(volume, why.request, error);
          running.reject(error);
        },
      );
    this.#inBackground(work);
  }

  /** Nobody waits for it but the stop. */
  #inBackground(work: Promise<void>): void {
    const ended = work
      .catch((error: unknown) => this.#parts.log.error({ error }, "Cannot finish with a copy"))
      .finally(() => this.#underWay.delete(ended));
    this.#underWay.add(ended);
  }

  /** Its turn comes when one of those before it is through. */
  async #run(volume: Volume, source: Volume, running: RunningCopy): Promise<void> {
    const parts = this.#parts;
    const { signal } = this.#stopping;
    if (this.#active >= COPIES_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#active += 1;
    try {
      signal.throwIfAborted();
      const from = { diskRoot: rootOf(parts.disks, source.source), volume: source };
      const onBytes = (copiedBytes: number): void => {
        running.progress = { ...running.progress, copiedBytes };
      };
      running.directory = await diskOfVolume(parts.disks, volume).copy(volume, from, { signal, onBytes });
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#active -= 1;
      else next();
    }
  }

  /** With this commit it is a volume. */
  async #finish({ uuid }: Volume, actor: Actor): Promise<void> {
    const { ledger, labeller, observations } = this.#parts;
    const directory = observations.copies.get(uuid)?.directory;
    let whole: Volume | undefined;
    try {
      await ledger.transact({ durable: true, by: actorName(actor) }, (tx) => {
        const current = tx.state.volumes.get(uuid);
        if (current?.phase !== "live" || current.copying === undefined || directory === undefined) {
          throw new HoldfastError("internal", `Cannot finish copy ${uuid}: it is not being made any more`);
        }
        const { copying: _copying, ...rest } = current;
        whole = { ...rest, ...ownerOf(tx, rest), directory, revision: ledger.nextRevision() };
        tx.set("volumes", uuid, whole);
        labeller.expect([whole]);
      });
    } catch (error) {
      if (whole !== undefined) labeller.forget([whole]);
      throw error;
    }
    if (whole === undefined) return;
    holdToSize(this.#parts, [whole]);
    labeller.write([whole]);
  }

  /** A stop is no failure: nothing is told, and the next start throws it away. */
  async #fail(volume: Volume, request: CopyRequest, error: unknown): Promise<void> {
    const { log, observations } = this.#parts;
    if (this.#stopping.signal.aborted) return;
    const name = `${request.role}/${request.id}`;
    log.warn({ error, volume: volume.uuid }, `A copy failed: ${messageOf(error)}`);
    if (this.#failures.size >= FAILURES_MAX) this.#failures.clear();
    this.#failures.set(name, { request: essenceOf(request), error });
    observations.copies.delete(volume.uuid);
    await this.#throwAway(volume);
    this.#inBackground(this.#collect(volume));
  }

  /** What cannot be thrown away now is tried again by the reconcile. */
  async #throwAway(volume: Volume): Promise<void> {
    const parts = this.#parts;
    try {
      if (!parts.disks.has(sourceKey(volume.source))) return;
      await parts.serial.run(volume.uuid, () => discard(parts, volume));
    } catch (error) {
      parts.log.error({ error, volume: volume.uuid }, "Cannot throw half a copy away now");
    }
  }

  async #collect({ uuid }: Volume): Promise<void> {
    await goOnCollecting(this.#parts, this.#stopping.signal, new Map(), (volume) => volume.uuid === uuid);
  }

  async #wait(uuid: Incarnation, request: CopyRequest): Promise<void> {
    const { ledger, observations, clock } = this.#parts;
    const running = observations.copies.get(uuid);
    if (running === undefined) {
      const volume = await ledger.read((state) => state.volumes.get(uuid));
      if (volume?.phase === "live" && volume.copying === undefined) return;
      this.#tellFailure(`${request.role}/${request.id}`, request);
      throw refused(request, "unavailable", "what an interrupted copy left is being removed, try again");
    }
    const isOver = await new Promise<boolean>((resolve) => {
      const cancel = request.waitMs === undefined ? undefined : clock.after(request.waitMs, () => resolve(false));
      void running.ended
        .catch(() => undefined)
        .then(() => {
          cancel?.();
          resolve(true);
        });
    });
    if (!isOver) return;
    if (this.#stopping.signal.aborted) throw refused(request, "unavailable", "the daemon is stopping");
    // Whoever waited was told.
    await running.ended.catch((error: unknown) => {
      this.#failures.delete(running.name);
      throw error;
    });
  }
}

/** What had an owner has him now too: nobody else becomes the owner of its top. */
function ownerOf({ state }: Transaction, { copyOf, snapshotOf }: Volume): Pick<Volume, "firstAttachedAt"> {
  const source = copyOf ?? snapshotOf;
  const firstAttachedAt = source === undefined ? undefined : state.volumes.get(source.uuid)?.firstAttachedAt;
  return firstAttachedAt === undefined ? {} : { firstAttachedAt };
}

function isCopying({ phase, copying }: Volume): boolean {
  return phase === "live" && copying !== undefined;
}

/** What makes it another request, and not how long somebody waits. */
function essenceOf({ source, role, id, snapshot, size }: CopyRequest): string {
  return JSON.stringify([source.role, source.id, role, id, snapshot, size]);
}

/** The caller has the incarnation to itself. From the commit on its name and its room are free. */
async function discard(parts: Parts, { uuid }: Volume): Promise<void> {
  const volume = await parts.ledger.read((state) => state.volumes.get(uuid));
  if (volume === undefined || !isCopying(volume)) return;
  await diskOfVolume(parts.disks, volume).discardCopy(volume);
  const { now: at, ...moment } = momentNow(parts);
  await parts.ledger.transact({ durable: true, releases: true, because: "a copy was not finished" }, (tx) => {
    const current = tx.state.volumes.get(uuid);
    if (current === undefined || !isCopying(current)) return;
    const retired = { at, ...moment, order: parts.ledger.nextRevision() };
    tx.set("volumes", uuid, { ...current, phase: "collecting", retired });
    giveBack(tx, current);
  });
  parts.labeller.reservationsChanged();
}

/** As much of what was reserved for it as is still there and free. */
function giveBack(tx: Transaction, { source, reservations, copying }: Volume): void {
  const pool = tx.state.pool(source, reservations);
  const record = tx.state.reservations.get(poolKey(source, reservations));
  if (pool === undefined || record === undefined || copying === undefined) return;
  const size = Math.min(copying.reserved, Math.max(freeOf(pool), 0), record.size);
  if (size <= 0) return;
  const left = (record.size - size) as MilliMb;
  tx.set("reservations", poolKey(source, reservations), left === ZERO_MB ? undefined : { ...record, size: left });
}
