/** Plain directories that nothing holds to their sizes. */
import type { Enforcer, EnforcerParts } from "./enforcer.ts";
import { makeIncarnation, removeUnused } from "./incarnation.ts";

export function createNoEnforcer({ places, durability, census }: EnforcerParts, reason: string): Enforcer {
  const { volumes } = places;
  return {
    enforcement: { by: "nothing", reason },
    durability,
    mostSpares: () => Number.POSITIVE_INFINITY,
    claim: () => {},
    make: (uuid) => makeIncarnation(volumes.fd, uuid),
    keep: (spare) => spare,
    discard: (uuid) => removeUnused(volumes.fd, uuid),
    limit: () => {},
    looseness: () => undefined,
    usageOf: () => undefined,
    newProjectId: () => undefined,
    async enlist(_volume, { parent, name }, options) {
      return { ...(await census.measure(parent, name, options)), wrong: 0, refused: 0 };
    },
    destroy: async () => 0,
    reclaimed: async () => false,
    forget: () => {},
  };
}
