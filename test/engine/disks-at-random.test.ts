/** A disk that is mounted, unmounted, replaced and hung at random, under a node that goes on working. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { sourceKey } from "../../src/domain/resource.ts";
import type { DriveSource } from "../../src/ports/drives.ts";
import { disk, volume } from "../domain/world.ts";
import { MemoryDrive } from "../fakes/memory-drives.ts";
import { ADS, outcomeOf, PEER, RECONCILE_MS, Rig, settle } from "./rig.ts";

const D1: DriveSource = { type: "PATH", root: "/d1" };
const STEPS = ["mount", "replace", "unmount", "read-only", "hang", "wait", "ask", "kill", "create", "destroy"] as const;
type Step = (typeof STEPS)[number];

class Play {
  readonly rig = new Rig({ declared: [disk(1_000), disk(1_000, [], D1)] });
  readonly right = new MemoryDrive(D1, "aaaaaaaa-0000-4000-8000-000000000001");
  readonly wrong = new MemoryDrive(D1, "bbbbbbbb-0000-4000-8000-000000000002");
  #created = 0;
  #here = "";

  async start(): Promise<void> {
    this.rig.drives.mount(this.right);
    await this.rig.engine.start();
    this.#here = (await this.rig.create("here")).uuid;
    // So that no other disk may ever take its place.
    await this.#create();
  }

  async take(step: Step): Promise<void> {
    const { drives } = this.rig;
    if (step === "mount") drives.mount(this.right);
    else if (step === "replace") drives.mount(this.wrong);
    else if (step === "unmount") drives.unmount(D1);
    else if (step === "read-only") this.right.isReadOnly = !this.right.isReadOnly;
    else if (step === "hang") drives.hang(D1);
    else if (step === "wait") await this.#pass(RECONCILE_MS);
    else if (step === "ask") await this.#patiently(this.rig.engine.reconcile());
    else if (step === "kill") await this.#patiently(this.rig.restart());
    else if (step === "create") await this.#create();
    else await this.#destroy();
  }

  /** What is true however it goes. */
  async check(): Promise<void> {
    expect(this.wrong.isUsed).toBe(false);
    const views = await this.rig.engine.volumes(PEER);
    expect(views.find((one) => one.volume.uuid === this.#here)?.state).toBe("detached");
    for (const { volume: one } of this.#onDisk()) {
      const found = [this.right.disk.examine(one.uuid), this.right.disk.examineTrash(one.uuid)];
      expect(found.filter(({ state }) => state === "present")).toHaveLength(1);
    }
  }

  /** The right disk is there, and answers: all is well by the next look. */
  async end(): Promise<void> {
    this.rig.drives.letGo(D1);
    this.right.isReadOnly = false;
    this.rig.drives.mount(this.right);
    await this.#pass(RECONCILE_MS);
    await this.#patiently(this.rig.engine.reconcile());
    const { problems, volumes } = await this.rig.engine.status(PEER);
    expect(problems).toEqual([]);
    expect([volumes.damaged, volumes.destroying]).toEqual([0, 0]);
  }

  #onDisk() {
    const { volumes } = this.rig.store.contents().records;
    return [...volumes.values()]
      .filter(({ source }) => sourceKey(source) === sourceKey(D1))
      .map((one) => ({ volume: one }));
  }

  async #create(): Promise<void> {
    this.#created += 1;
    await outcomeOf(
      this.rig.perform(
        { type: "RESERVE", resources: [disk(10, ADS, D1)] },
        { type: "CREATE", volumes: [volume(`v${this.#created}`, 10, ADS, { source: D1 })] },
      ),
    );
  }

  /** All but the first one. */
  async #destroy(): Promise<void> {
    const found = this.#onDisk().find(({ volume: one }) => one.phase === "live" && one.id !== "v1");
    if (found === undefined) return;
    const destroyed = volume(found.volume.id, 10, ADS, { source: D1 });
    await outcomeOf(this.rig.perform({ type: "DESTROY", volumes: [destroyed] }));
  }

  async #pass(durationMs: number): Promise<void> {
    this.rig.clock.advance(durationMs);
    await this.#patiently(Promise.resolve());
  }

  /** Lets time pass until it has ended, and everything behind it. */
  async #patiently(work: Promise<void>): Promise<void> {
    let isOver = false;
    const ended = work.finally(() => {
      isOver = true;
    });
    for (let turn = 0; turn < 40 || !isOver; turn += 1) {
      await settle();
      if (turn % 10 === 9) this.rig.clock.advance(500);
    }
    await ended;
  }
}

test("whatever becomes of a disk, others are served, nothing is made on a wrong one, and it comes back whole", async () => {
  const steps = fc.array(fc.constantFrom(...STEPS), { maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(steps, async (chosen) => {
      const play = new Play();
      await play.start();
      for (const step of chosen) {
        await play.take(step);
        await play.check();
      }
      await play.end();
    }),
    { numRuns: 60 },
  );
});
