/** A store that opens empty and then fails at everything: what stands on it must refuse, not pretend. */
import { type ErrorCode, HoldfastError } from "../../src/domain/error.ts";
import type { Store } from "../../src/ports/store.ts";
import { createMemoryStore, type MemoryStoreOptions } from "./memory-store.ts";

export function createFailingStore(code: ErrorCode = "unavailable", options: MemoryStoreOptions = {}): Store {
  const store = createMemoryStore(options);
  const fail = (action: string) => Promise.reject(new HoldfastError(code, `Cannot ${action}: this store always fails`));
  return {
    open: () => store.open(),
    commit: () => fail("commit"),
    reload: () => fail("reload"),
    ping: () => store.ping(),
    close: () => store.close(),
  };
}
