/** What every store must do, whatever it stands on. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Store, StoreContents } from "../../src/ports/store.ts";
import {
  removeVolume,
  SAMPLE_HEADER,
  sampleUuid,
  sampleVolume,
  setApp,
  setContainer,
  setDisk,
  setOperation,
  setReservation,
  setSandbox,
  setVolume,
} from "./samples.ts";

/** Somewhere that a store's content lies. */
export interface StorePlace {
  /** A store on this content; again after the last one was closed. The header is `SAMPLE_HEADER`. */
  store(): Store;
  remove(): Promise<void>;
}

const DURABLE = { durable: true };
const SOFT = { durable: false };

export function storeContract(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`${name} keeps the store's contract`, () => {
    let place: StorePlace;
    let store: Store;
    let first: StoreContents;

    beforeEach(async () => {
      place = await makePlace();
      store = place.store();
      first = await store.open();
    });

    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    async function reopened(): Promise<StoreContents> {
      await store.close();
      store = place.store();
      return store.open();
    }

    it("refuses everything once it is closed", async () => {
      await store.close();
      await expect(store.commit([setVolume(1)], DURABLE)).rejects.toMatchObject({ code: "unavailable" });
      await expect(store.ping()).rejects.toMatchObject({ code: "unavailable" });
    });

    it("answers a ping in its turn behind the commits, and stores nothing for it", async () => {
      const order: string[] = [];
      const commit = store.commit([setVolume(1)], DURABLE).then(() => order.push("commit"));
      await store.ping().then(() => order.push("ping"));
      await commit;
      expect(order).toEqual(["commit", "ping"]);
      expect(sizes(await reopened())).toMatchObject({ volumes: 1 });
    });

    it("opens with its header and nothing else", () => {
      expect(first.header).toEqual(SAMPLE_HEADER);
      expect(sizes(first)).toEqual({
        reservations: 0,
        volumes: 0,
        containers: 0,
        operations: 0,
        disks: 0,
        sandboxes: 0,
        apps: 0,
      });
      expect(first.damaged).toEqual([]);
      expect(first.labelledThrough).toBe(0);
    });

    it.each([
      ["durable", DURABLE],
      ["soft", SOFT],
    ])("gives every kind of record of a %s commit back as it was", async (_, options) => {
      const others = [setReservation(), setContainer(), setOperation(), setDisk(), setSandbox(), setApp()];
      const changes = [setVolume(1), setVolume(2), ...others];
      await store.commit(changes, options);
      const { records } = await reopened();
      for (const { table, key, value } of changes) expect(records[table].get(key)).toEqual(value);
      const kinds = { reservations: 1, containers: 1, operations: 1, disks: 1, sandboxes: 1, apps: 1 };
      expect(sizes({ records })).toEqual({ ...kinds, volumes: 2 });
    });

    it("applies the changes of a transaction in their order", async () => {
      await store.commit([setVolume(1), removeVolume(1), setVolume(2), removeVolume(2), setVolume(2)], DURABLE);
      expect([...(await reopened()).records.volumes.keys()]).toEqual([sampleUuid(2)]);
    });

    it("takes removing what is not there as done", async () => {
      await store.commit([removeVolume(7)], DURABLE);
      expect((await reopened()).records.volumes.size).toBe(0);
    });

    it("applies waiting commits in the order they were made", async () => {
      const revisions = Array.from({ length: 100 }, (_, revision) => revision);
      const done: number[] = [];
      await Promise.all(
        revisions.map(async (revision) => {
          const value = { ...sampleVolume(1), revision };
          await store.commit([{ table: "volumes", key: value.uuid, value }], { durable: revision % 3 === 0 });
          done.push(revision);
        }),
      );
      expect(done).toEqual(revisions);
      expect((await reopened()).records.volumes.get(sampleUuid(1))?.revision).toBe(99);
    });

    it("stores a hundred commits that are made at once", async () => {
      await Promise.all(Array.from({ length: 100 }, (_, number) => store.commit([setVolume(number)], DURABLE)));
      expect((await reopened()).records.volumes.size).toBe(100);
    });

    it("moves labelledThrough with a commit, also with an empty one", async () => {
      await store.commit([setVolume(1)], { durable: true, labelledThrough: 5 });
      await store.commit([], { durable: false, labelledThrough: 9 });
      await store.commit([setVolume(2)], DURABLE);
      expect((await reopened()).labelledThrough).toBe(9);
    });

    it("stores what a record was when commit was called", async () => {
      const value = { ...sampleVolume(1) };
      const committed = store.commit([{ table: "volumes", key: value.uuid, value }], DURABLE);
      Object.assign(value, { revision: 1000 });
      await committed;
      expect((await store.reload()).records.volumes.get(value.uuid)?.revision).toBe(1);
    });

    it("reloads what was committed before", async () => {
      const committed = store.commit([setVolume(1)], SOFT);
      const reloaded = store.reload();
      await committed;
      expect((await reloaded).records.volumes.size).toBe(1);
    });

    it("finishes the commits that were made before it is closed", async () => {
      const committed = Promise.all([store.commit([setVolume(1)], SOFT), store.commit([setVolume(2)], DURABLE)]);
      await store.close();
      await committed;
      expect((await reopened()).records.volumes.size).toBe(2);
    });
  });
}

function sizes({ records }: Pick<StoreContents, "records">): Record<string, number> {
  return Object.fromEntries(Object.entries(records).map(([table, rows]) => [table, rows.size]));
}
