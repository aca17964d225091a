import { describe, expect, it } from "vitest";
import { createFailingStore } from "../fakes/failing-store.ts";
import { createMemoryStore } from "../fakes/memory-store.ts";
import { SAMPLE_HEADER, sampleUuid, setVolume } from "./samples.ts";
import { storeContract } from "./store.ts";

storeContract("the memory store", async () => {
  const store = createMemoryStore({ header: SAMPLE_HEADER });
  return { store: () => store, remove: async () => undefined };
});

describe("the memory store plays failures", () => {
  it("fails the commit that it was told to and all behind it, until reload", async () => {
    const store = createMemoryStore();
    await store.open();
    store.failCommit(2, "disk_full");
    await store.commit([setVolume(1)], { durable: true });
    await expect(store.commit([setVolume(2)], { durable: true })).rejects.toMatchObject({ code: "disk_full" });
    await expect(store.commit([setVolume(3)], { durable: true })).rejects.toMatchObject({ code: "disk_full" });
    expect([...(await store.reload()).records.volumes.keys()]).toEqual([sampleUuid(1)]);
    await store.commit([setVolume(4)], { durable: true });
    expect(store.commits).toHaveLength(2);
  });

  it("loses soft commits in a power cut, up to the last durable one", async () => {
    const store = createMemoryStore();
    await store.open();
    await store.commit([setVolume(1)], { durable: false });
    await store.commit([setVolume(2)], { durable: true, labelledThrough: 2 });
    await store.commit([setVolume(3)], { durable: false, labelledThrough: 3 });
    store.powerCut();
    const contents = await store.open();
    expect([...contents.records.volumes.keys()]).toEqual([sampleUuid(1), sampleUuid(2)]);
    expect(contents.labelledThrough).toBe(2);
  });

  it("holds commits back while it is told to", async () => {
    const store = createMemoryStore();
    await store.open();
    const release = store.hold();
    const committed = store.commit([setVolume(1)], { durable: true });
    await new Promise(setImmediate);
    expect(store.commits).toHaveLength(0);
    release();
    await committed;
    expect(store.commits).toHaveLength(1);
  });
});

describe("the failing store", () => {
  it("opens and then refuses every commit and reload", async () => {
    const store = createFailingStore("disk_full");
    expect((await store.open()).records.volumes.size).toBe(0);
    await expect(store.commit([], { durable: true })).rejects.toMatchObject({ code: "disk_full" });
    await expect(store.reload()).rejects.toMatchObject({ code: "disk_full" });
  });
});
