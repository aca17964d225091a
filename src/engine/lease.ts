/**
 * A disk that may have to be let go of while it is used: counts the calls that are under way, and refuses every further
 * one once it has ended. So a disk is closed when nobody acts on its descriptors any more, and not before.
 */
import { HoldfastError } from "../domain/error.ts";
import type { Disk } from "../ports/disk.ts";

export interface Lease {
  /** The disk for everybody else. */
  readonly disk: Disk;
  /** Why no new volumes are made on it: a phrase for people, `undefined` for no reason. */
  refuseVolumes(reason: string | undefined): void;
  /** Every further call is refused from now on. Resolves with what may be closed when those under way have come back. */
  end(): Promise<Disk>;
}

type Method = (...args: unknown[]) => unknown;

export function leaseDisk(disk: Disk): Lease {
  const underWay = new Set<Promise<unknown>>();
  const methods = new Map<PropertyKey, Method>();
  let isOver = false;
  let refusal: string | undefined;

  const call = (name: PropertyKey, method: Method, args: unknown[]): unknown => {
    // What is given back too late is found again as what it is: a directory that nobody uses.
    if (isOver && name === "giveBack") return undefined;
    if (isOver) throw new HoldfastError("unavailable", `Cannot use disk ${disk.root}: it has gone away`);
    if (name === "take" && refusal !== undefined) return Promise.reject(noVolumes(disk, refusal));
    const result = method.apply(disk, args);
    if (!(result instanceof Promise)) return result;
    const ended = result.catch(() => undefined).finally(() => underWay.delete(ended));
    underWay.add(ended);
    return result;
  };

  const proxy = new Proxy(disk, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const known = methods.get(name);
      if (known !== undefined) return known;
      const method: Method = (...args) => call(name, value as Method, args);
      methods.set(name, method);
      return method;
    },
  });
  return {
    disk: proxy,
    refuseVolumes(reason) {
      refusal = reason;
    },
    async end() {
      isOver = true;
      await Promise.all(underWay);
      return disk;
    },
  };
}

function noVolumes({ root }: Disk, reason: string): HoldfastError {
  return new HoldfastError("insufficient", `Cannot make volumes on disk ${root}: ${reason}`);
}
