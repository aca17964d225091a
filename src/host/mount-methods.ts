/** What a mount backend does, synchronously; the asynchronous port is put around it, in this thread or another. */
import type { DetachOptions, Mounted, MountedAt, Mounter, MountFinding, MountRequest } from "../ports/mounter.ts";

/** As in `Mounter`. A type, so that it is a plain record of functions. */
export type MountMethods = {
  readonly attach: (request: MountRequest) => Mounted;
  readonly detach: (mounted: MountedAt, options: DetachOptions) => void;
  readonly inspect: (mounted: MountedAt) => MountFinding;
  readonly clear: (target: MountedAt) => void;
};

/** The port over a backend in the calling thread. */
export function mounterOf(backend: Mounter["backend"], methods: MountMethods): Mounter {
  return {
    backend,
    attach: async (request) => methods.attach(request),
    detach: async (mounted, options) => methods.detach(mounted, options),
    inspect: async (mounted) => methods.inspect(mounted),
    clear: async (target) => methods.clear(target),
    close: async () => {},
  };
}
