/** Tells who an HTTP caller is. */
import type { Actor } from "../domain/operation.ts";
import type { Principal } from "../domain/units.ts";

export interface Authenticator {
  /** False where no credentials are configured: then every caller is anonymous. */
  readonly required: boolean;
  /**
   * The actor for an `Authorization` header, `undefined` when it is missing, malformed or wrong. Takes the same time
   * for an unknown principal as for a wrong secret.
   */
  authenticate(authorization: string | undefined): Promise<Actor | undefined>;
  /** A mark of the secret that a principal has, another one for another secret; `undefined`: there is no such principal. */
  secretMark(principal: Principal): string | undefined;
}
