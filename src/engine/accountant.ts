/**
 * Keeps the accounts of space in the background: what every volume takes, and whether the kernel holds it to its size.
 * One volume at a time is looked at file by file, by a thread that lets everybody else go first: those that nobody
 * counts, again and again, each as seldom as its size asks for; and those that escaped from their quota.
 */
import { messageOf } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import { sourceKey } from "../domain/resource.ts";
import { accountVolumes } from "./accounts.ts";
import { enlistVolume } from "./hold.ts";
import type { Parts } from "./parts.ts";

const PASS_MS = 30_000;
/** A pass ends after so long: accounts come first. */
const LOOKING_MS = 20_000;
/** A volume is looked into again at the earliest after so long, and after so many times what that took. */
const LOOK_AGAIN_MS = 5 * 60_000;
const REST_FACTOR = 50;
/** What the kernel holds to its size is looked into so often, while containers have it: they may change what is theirs. */
const AUDIT_AGAIN_MS = 60 * 60_000;

export class Accountant {
  readonly #parts: Parts;
  readonly #stopping = new AbortController();
  #cancel: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancel?.();
    await this.#running;
  }

  #run(): void {
    this.#running = this.#pass()
      .catch((error: unknown) => this.#parts.log.error({ error }, "Cannot keep the accounts of volumes"))
      .then(() => {
        if (!this.#stopping.signal.aborted) this.#cancel = this.#parts.clock.after(PASS_MS, () => this.#run());
      });
  }

  async #pass(): Promise<void> {
    const parts = this.#parts;
    await accountVolumes(parts);
    forgetGone(parts);
    const endMs = parts.clock.bootTimeMs() + LOOKING_MS;
    let looked = 0;
    for (const volume of dueVolumes(parts)) {
      if (this.#stopping.signal.aborted || parts.clock.bootTimeMs() >= endMs) break;
      await this.#lookInto(volume);
      looked += 1;
    }
    if (looked > 0) await accountVolumes(parts);
  }

  /** Not under the volume's own lock: nobody shall wait for it, and a directory that moves meanwhile stays open. */
  async #lookInto({ uuid }: Volume): Promise<void> {
    const parts = this.#parts;
    const { signal } = this.#stopping;
    const startedMs = parts.clock.bootTimeMs();
    try {
      const volume = await parts.ledger.read((state) => state.volumes.get(uuid));
      const disk = volume === undefined ? undefined : parts.disks.get(sourceKey(volume.source));
      if (volume === undefined || disk === undefined) return;
      const isCounted = disk.enforcement.by !== "nothing";
      const usage = isCounted ? await enlistVolume(parts, volume, signal) : await disk.measure(volume, { signal });
      if (usage !== undefined) parts.observations.measured.set(uuid, usage);
    } catch (error) {
      if (!signal.aborted)
        parts.log.warn({ volume: uuid, error }, `Cannot look into volume ${uuid}: ${messageOf(error)}`);
    } finally {
      const atMs = parts.clock.bootTimeMs();
      parts.observations.lookedInto.set(uuid, { atMs, tookMs: atMs - startedMs });
    }
  }
}

/** Volumes to be looked into now: those that escaped or were never looked at, then whoever waits longest. */
function dueVolumes(parts: Parts): readonly Volume[] {
  const { observations } = parts;
  const nowMs = parts.clock.bootTimeMs();
  const isDue = (volume: Volume): boolean => {
    const restMs = restOf(parts, volume);
    const look = observations.lookedInto.get(volume.uuid);
    if (restMs === undefined || look === undefined) return restMs !== undefined;
    return nowMs - look.atMs >= Math.max(restMs, look.tookMs * REST_FACTOR);
  };
  const lookedAtMs = ({ uuid }: Volume): number => observations.lookedInto.get(uuid)?.atMs ?? 0;
  const rank = ({ uuid }: Volume): number => (observations.loose.has(uuid) ? 0 : 1);
  return [...parts.ledger.state.volumes.values()]
    .filter(isDue)
    .sort((left, right) => rank(left) - rank(right) || lookedAtMs(left) - lookedAtMs(right));
}

/** How long a volume may go without a look; `undefined` when it needs none. */
function restOf({ disks, observations, ledger }: Parts, volume: Volume): number | undefined {
  const disk = disks.get(sourceKey(volume.source));
  if (disk === undefined || volume.origin !== undefined || volume.copying !== undefined) return undefined;
  if (volume.phase === "retained" && disk.enforcement.by === "nothing") return Number.POSITIVE_INFINITY;
  if (volume.phase !== "live") return undefined;
  if (disk.enforcement.by === "nothing" || observations.loose.has(volume.uuid)) return LOOK_AGAIN_MS;
  return ledger.state.containersOf(volume.uuid).length > 0 ? AUDIT_AGAIN_MS : undefined;
}

function forgetGone({ observations, ledger }: Parts): void {
  const { volumes } = ledger.state;
  const { measured, lookedInto, loose, nearlyFull, useHistory } = observations;
  for (const map of [measured, lookedInto, loose, nearlyFull, useHistory]) {
    for (const uuid of map.keys()) if (!volumes.has(uuid)) map.delete(uuid);
  }
}
