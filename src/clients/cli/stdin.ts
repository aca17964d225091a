import { HoldfastError } from "../../domain/error.ts";
import { type JsonObject, parseObject } from "../../domain/json.ts";

/** What another program writes to our standard input: one JSON object. @throws `invalid` anything else */
export function parseInput(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = text.trim() === "" ? "it is empty, expected JSON" : "it is not JSON";
    throw new HoldfastError("invalid", `Cannot parse ${what}: ${reason}`, { cause });
  }
  return parseObject(value, what);
}
