/** As much of it as the test uses; it has no types of its own. */
declare module "mesos-framework" {
  import type { EventEmitter } from "node:events";
  import type { ClientRequest } from "node:http";

  interface Id {
    readonly value: string;
  }

  export class Scheduler extends EventEmitter {
    constructor(options: object);
    readonly frameworkId: string;
    readonly httpRequest: ClientRequest;
    subscribe(): void;
    accept(offers: readonly Id[], operations: readonly object[], filters: object): void;
    decline(offers: readonly Id[], filters: object): void;
    revive(): void;
    reconcile(taskId: string, agentId: string): void;
    teardown(): void;
  }

  // biome-ignore lint/suspicious/noExplicitAny: classes that it makes of Mesos's own definitions
  export const Mesos: { getMesos(): any };
}
