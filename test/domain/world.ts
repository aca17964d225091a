/** A node for tests: declared disk, and operations decided against it as the engine does. */
import { type Decision, type DecisionContext, decideOperations } from "../../src/domain/decide.ts";
import { NodeState, Transaction } from "../../src/domain/node.ts";
import type { Operation } from "../../src/domain/operation.ts";
import { type DiskResource, type DiskSource, type Reservation, ROOT_DISK } from "../../src/domain/resource.ts";
import type {
  BootId,
  ContainerPath,
  Incarnation,
  MilliMb,
  Principal,
  Role,
  VolumeId,
  WallMs,
} from "../../src/domain/units.ts";

export const mb = (size: number): MilliMb => Math.round(size * 1000) as MilliMb;

export function reservedFor(role: string, principal?: string): Reservation {
  return {
    type: "DYNAMIC",
    role: role as Role,
    ...(principal === undefined ? {} : { principal: principal as Principal }),
  };
}

export function staticFor(role: string): Reservation {
  return { type: "STATIC", role: role as Role };
}

export function disk(
  sizeMb: number,
  reservations: readonly Reservation[] = [],
  source: DiskSource = ROOT_DISK,
): DiskResource {
  return { size: mb(sizeMb), source, reservations };
}

export function volume(
  id: string,
  sizeMb: number,
  reservations: readonly Reservation[],
  extra: { readonly shared?: boolean; readonly source?: DiskSource } = {},
): DiskResource {
  return {
    ...disk(sizeMb, reservations, extra.source),
    volume: {
      id: id as VolumeId,
      containerPath: "data" as ContainerPath,
      mode: "RW",
      shared: extra.shared ?? false,
    },
  };
}

export const BOOT = "11111111-1111-4111-8111-111111111111" as BootId;

export class World {
  readonly state: NodeState;
  /** Bytes that volumes take. */
  readonly used = new Map<Incarnation, number>();
  readonly held = new Map<Incarnation, string>();
  #uuids = 0;
  #revisions = 0;

  constructor(...declared: readonly DiskResource[]) {
    this.state = new NodeState(declared);
  }

  /** Decides a list; what is refused is taken back and thrown. */
  perform(...operations: readonly Operation[]): Decision {
    const tx = new Transaction(this.state);
    try {
      return decideOperations(tx, operations, this.context());
    } catch (error) {
      tx.rollback();
      throw error;
    }
  }

  context(): DecisionContext {
    return {
      by: "ops",
      now: 1_000 as WallMs,
      retirement: () => ({ at: 1_000 as WallMs, bootId: BOOT, bootTimeMs: 500 }),
      takeDirectory: () => ({ uuid: this.nextUuid(), directory: { ino: String(this.#uuids), birthNs: "1" } }),
      heldBy: (uuid) => this.held.get(uuid),
      usedBytes: ({ uuid }) => this.used.get(uuid),
      damageOf: () => undefined,
      closedTo: () => undefined,
      nextRevision: () => {
        this.#revisions += 1;
        return this.#revisions;
      },
    };
  }

  nextUuid(): Incarnation {
    this.#uuids += 1;
    return `00000000-0000-4000-8000-${String(this.#uuids).padStart(12, "0")}` as Incarnation;
  }

  /** Everything that can be observed, in a form that is equal exactly for equal nodes. */
  snapshot(): unknown {
    const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      pools: [...this.state.pools].map((pool) => ({ ...pool })).sort((a, b) => (a.key < b.key ? -1 : 1)),
      reservations: sorted(this.state.reservations),
      volumes: sorted(this.state.volumes),
      containers: sorted(this.state.containers),
      resources: [...this.state.resources()].map((resource) => JSON.stringify(resource)).sort(),
    };
  }
}
