import { describe, expect, test } from "vitest";
import { codeOf, HoldfastError } from "../../src/domain/error.ts";
import type { Transaction } from "../../src/domain/node.ts";
import type { OperationRecord } from "../../src/domain/records.ts";
import type { WallMs } from "../../src/domain/units.ts";
import { Ledger } from "../../src/engine/ledger.ts";
import type { Store } from "../../src/ports/store.ts";
import { createMemoryStore } from "../fakes/memory-store.ts";
import { outcomeOf, settle } from "./rig.ts";

const DURABLE = { durable: true } as const;

async function openLedger(store: Store = createMemoryStore()): Promise<Ledger> {
  const ledger = new Ledger(store, [], () => {});
  await ledger.open();
  return ledger;
}

function put(key: string) {
  const record: OperationRecord = { id: key, by: "ops", at: 1 as WallMs, request: "[]", operations: [] };
  return (tx: Transaction): string => {
    tx.set("operations", key, record);
    return key;
  };
}

const keysIn = (ledger: Ledger) => [...ledger.state.operations.keys()];

describe("Ledger.transact", () => {
  test("takes everything back and throws when the decision is refused", async () => {
    const ledger = await openLedger();
    const refused = ledger.transact(DURABLE, (tx) => {
      put("a")(tx);
      throw new HoldfastError("invalid", "No");
    });
    await expect(refused).rejects.toThrow("No");
    expect(keysIn(ledger)).toEqual([]);
  });

  test("throws memory away when the commit fails, and goes on with what is stored", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    await ledger.transact(DURABLE, put("a"));
    store.failCommit(1);
    expect(await outcomeOf(ledger.transact(DURABLE, put("b")))).toBe("unavailable");
    expect(keysIn(ledger)).toEqual(["a"]);
    await ledger.transact(DURABLE, put("c"));
    expect(keysIn(ledger)).toEqual(["a", "c"]);
  });

  test("refuses everything that was decided on a commit that fails", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    store.failCommit(1);
    const outcomes = await Promise.all([
      outcomeOf(ledger.transact(DURABLE, put("a"))),
      outcomeOf(ledger.transact(DURABLE, put("b"))),
    ]);
    expect(outcomes).toEqual(["unavailable", "unavailable"]);
    expect(keysIn(ledger)).toEqual([]);
  });

  test("decides again when it changed nothing because of something that was never committed", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    store.failCommit(1);
    const lost = outcomeOf(ledger.transact(DURABLE, put("a")));
    const seen = ledger.transact(DURABLE, (tx) => tx.state.operations.has("a"));
    expect([await lost, await seen]).toEqual(["unavailable", false]);
  });

  test("decides again when it was refused because of something that was never committed", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    store.failCommit(1);
    const lost = outcomeOf(ledger.transact(DURABLE, put("a")));
    const second = ledger.transact(DURABLE, (tx) => {
      if (tx.state.operations.has("a")) throw new HoldfastError("conflict", "Taken");
      return put("b")(tx);
    });
    expect([await lost, await second]).toEqual(["unavailable", "b"]);
  });

  test("answers only when the commit has ended", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    const release = store.hold();
    let answered = false;
    const done = ledger.transact(DURABLE, put("a")).then(() => {
      answered = true;
    });
    await settle();
    expect(answered).toBe(false);
    release();
    await done;
  });
});

describe("Ledger after a reload that failed", () => {
  async function stuckLedger() {
    const inner = createMemoryStore();
    let broken = true;
    const store: Store = {
      ...inner,
      reload: () => (broken ? Promise.reject(new HoldfastError("unavailable", "Unreadable")) : inner.reload()),
    };
    const ledger = await openLedger(store);
    inner.failCommit(1);
    await outcomeOf(ledger.transact(DURABLE, put("a")));
    return {
      ledger,
      repair: () => {
        broken = false;
      },
    };
  }

  test("shows nothing that was not committed", async () => {
    const { ledger } = await stuckLedger();
    expect(await outcomeOf(ledger.read((state) => state.operations.size))).toBe("unavailable");
  });

  test("decides nothing on top of what was not committed", async () => {
    const { ledger } = await stuckLedger();
    expect(await outcomeOf(ledger.transact(DURABLE, put("b")))).toBe("unavailable");
    expect(await outcomeOf(ledger.rehearse(put("b")))).toBe("unavailable");
  });

  test("reads again, and goes on when that succeeds", async () => {
    const { ledger, repair } = await stuckLedger();
    repair();
    expect(await ledger.read((state) => state.operations.size)).toBe(0);
    expect(await ledger.transact(DURABLE, put("b"))).toBe("b");
  });

  test("can be closed", async () => {
    const { ledger } = await stuckLedger();
    await expect(ledger.close()).resolves.toBeUndefined();
  });
});

describe("Ledger.rehearse", () => {
  test("leaves nothing behind, whether it is refused or not", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    expect(await ledger.rehearse(put("a"))).toBe("a");
    expect(keysIn(ledger)).toEqual([]);
    expect(store.commits).toEqual([]);
  });
});

describe("Ledger.read", () => {
  test("looks again when what it saw was never committed", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    store.failCommit(1);
    const lost = ledger.transact(DURABLE, put("a")).catch(codeOf);
    const seen = ledger.read((state) => state.operations.size);
    expect([await lost, await seen]).toEqual(["unavailable", 0]);
  });

  test("waits for the commit of what it shows", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    const release = store.hold();
    const committing = ledger.transact(DURABLE, put("a"));
    let seen: number | undefined;
    const reading = ledger
      .read((state) => state.operations.size)
      .then((size) => {
        seen = size;
      });
    await settle();
    expect(seen).toBeUndefined();
    release();
    await Promise.all([committing, reading]);
    expect(seen).toBe(1);
  });
});

describe("Ledger revisions", () => {
  test("a revision is never given out twice, though the operation that took it failed", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    store.failCommit(1);
    let first = 0;
    await outcomeOf(
      ledger.transact(DURABLE, (tx) => {
        first = ledger.nextRevision();
        return put("a")(tx);
      }),
    );
    expect(ledger.nextRevision()).toBe(first + 1);
  });
});

describe("Ledger.noteLabelled", () => {
  test("a note that was counted before a failed commit is not stored after it", async () => {
    const store = createMemoryStore();
    const ledger = await openLedger(store);
    store.failCommit(1);
    const lost = outcomeOf(ledger.transact(DURABLE, put("a")));
    const release = store.hold();
    await settle();
    const noted = ledger.noteLabelled(7);
    release();
    await Promise.all([lost, noted]);
    expect(store.contents().labelledThrough).toBe(0);
  });
});
