/**
 * Ids of frameworks: `1b4e28ba-...-0017-5f0c...`. The last part says who it was given to, sealed with a key of the node
 * that outlives the daemon, so that nobody else can come with it, also when nothing else is remembered of the framework.
 *
 * An id that this node did not give out (a framework's own choice, another master's, or from before the key was lost)
 * proves nothing. It is taken as it is, and a framework is told apart by principal and id together: whoever comes with
 * the same id has another framework, and neither can keep the other out.
 */
import { createHmac, randomUUID } from "node:crypto";
import { type Actor, actorName } from "../../domain/operation.ts";

/** Whose an id is: `brought` where it does not say. */
type Origin = "own" | "another's" | "brought";

const KEY_MARK_CHARACTERS = 8;
const SEAL_CHARACTERS = 24;
/** What was given out, the mark of the key, and the seal. */
const FORM = /^(.+)-([0-9a-f]{8})([0-9a-f]{24})$/;

const ANONYMOUS: Actor = Object.freeze({ kind: "anonymous" });

export class FrameworkIds {
  readonly #key: Buffer;
  readonly #keyMark: string;
  readonly #run = randomUUID();
  #count = 0;

  /** @param key 32 random bytes that stay the same for as long as ids shall be known */
  constructor(key: Buffer) {
    this.#key = key;
    this.#keyMark = this.#digest("key").slice(0, KEY_MARK_CHARACTERS);
  }

  give(actor: Actor): string {
    this.#count += 1;
    const name = `${this.#run}-${String(this.#count).padStart(4, "0")}`;
    return `${name}-${this.#keyMark}${this.#seal(name, actor)}`;
  }

  originOf(id: string, actor: Actor): Origin {
    const [, name = "", keyMark, seal] = FORM.exec(id) ?? [];
    if (keyMark !== this.#keyMark) return "brought";
    if (seal === this.#seal(name, actor)) return "own";
    // Without credentials nobody can be told apart, neither when it was given out nor now.
    const isNobodys = actor.kind === "anonymous" || seal === this.#seal(name, ANONYMOUS);
    return isNobodys ? "brought" : "another's";
  }

  #seal(name: string, actor: Actor): string {
    return this.#digest(JSON.stringify([name, actor.kind, actorName(actor)])).slice(0, SEAL_CHARACTERS);
  }

  #digest(text: string): string {
    return createHmac("sha256", this.#key).update(text).digest("hex");
  }
}
