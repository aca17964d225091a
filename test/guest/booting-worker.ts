/** Boots a guest, says the process that runs it, and does not care for it any more. */
import { bootGuest } from "./guest.ts";

const guest = await bootGuest();
console.log(guest.pid);
await guest.run("sleep 1000", { timeoutMs: 1_000_000 });
