/**
 * Load that lasts: many clients with many volumes on a small disk, a daemon that is killed again and again, a disk that
 * fills up and empties. What was acknowledged is there after each restart; a daemon that lives longer holds no more
 * memory and descriptors late than early; and when all is destroyed and collected, nothing of it is left anywhere.
 */
import { mayMount } from "../e2e/privileges.ts";
import type { Protocol } from "./protocol.ts";
import { soakNode } from "./soak/run.ts";

export const soak: Protocol = {
  name: "soak",
  title: "200 clients, kill -9 again and again, a disk that fills up and empties",
  unit: "operations",
  target: 150_000,
  share: 3,
  unavailable: () => (mayMount ? undefined : "it needs root with CAP_SYS_ADMIN"),
  run: soakNode,
};
