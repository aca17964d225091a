/** Operations from the wire, in the shape of Mesos's `Offer.Operation`: our envelope strictly, resources by Mesos's rules. */
import { z } from "zod";
import { HoldfastError } from "../../domain/error.ts";
import { fieldOf, type JsonObject, parseObject } from "../../domain/json.ts";
import { parseResource, parseResources } from "../../domain/mesos-format.ts";
import type { Operation, OperationType } from "../../domain/operation.ts";
import { parseSizeMb } from "../../domain/size.ts";
import { parseWith } from "./schema.ts";

/** Mesos's to read. */
const anything = z.unknown().optional();
const resources = z.strictObject({ resources: anything });
const volumes = z.strictObject({ volumes: anything });

const OPERATION = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("RESERVE"), reserve: resources.extend({ source: anything }) }),
  z.strictObject({ type: z.literal("UNRESERVE"), unreserve: resources }),
  z.strictObject({ type: z.literal("CREATE"), create: volumes }),
  z.strictObject({ type: z.literal("DESTROY"), destroy: volumes }),
  z.strictObject({
    type: z.literal("GROW_VOLUME"),
    grow_volume: z.strictObject({ volume: anything, addition: anything }),
  }),
  z.strictObject({
    type: z.literal("SHRINK_VOLUME"),
    shrink_volume: z.strictObject({ volume: anything, subtract: anything }),
  }),
]);

/**
 * A list of operations.
 * @throws `invalid` the first one that is wrong, with its `index` in the details
 */
export function parseOperations(values: readonly unknown[]): readonly Operation[] {
  return Object.freeze(values.map((value, index) => withIndex(index, () => parseOperation(value, index))));
}

/**
 * One operation from the fields of its Mesos message, `{resources, source?}` for RESERVE.
 * @param what the name of the operation, for refusals
 */
export function operationFrom(type: OperationType, fields: JsonObject, what: string): Operation {
  const list = (name: string) => parseResources(fieldOf(fields, name), `${what}: ${name}`);
  const one = (name: string) => parseResource(fieldOf(fields, name), `${what}: ${name}`);
  switch (type) {
    case "RESERVE": {
      const source = fieldOf(fields, "source");
      const reserve = { type, resources: list("resources") };
      return Object.freeze(isEmptyList(source) ? reserve : { ...reserve, source: list("source") });
    }
    case "UNRESERVE":
      return Object.freeze({ type, resources: list("resources") });
    case "CREATE":
    case "DESTROY":
      return Object.freeze({ type, volumes: list("volumes") });
    case "GROW_VOLUME":
      return Object.freeze({ type, volume: one("volume"), addition: one("addition") });
    case "SHRINK_VOLUME": {
      const scalar = parseObject(fieldOf(fields, "subtract"), `${what}: subtract`);
      const subtract = parseSizeMb(fieldOf(scalar, "value"), `${what}: subtract.value`);
      return Object.freeze({ type, volume: one("volume"), subtract });
    }
  }
}

function parseOperation(value: unknown, index: number): Operation {
  const what = `operation ${index + 1}`;
  const parsed = parseWith(OPERATION, value, what);
  switch (parsed.type) {
    case "RESERVE":
      return operationFrom(parsed.type, parsed.reserve, what);
    case "UNRESERVE":
      return operationFrom(parsed.type, parsed.unreserve, what);
    case "CREATE":
      return operationFrom(parsed.type, parsed.create, what);
    case "DESTROY":
      return operationFrom(parsed.type, parsed.destroy, what);
    case "GROW_VOLUME":
      return operationFrom(parsed.type, parsed.grow_volume, what);
    case "SHRINK_VOLUME":
      return operationFrom(parsed.type, parsed.shrink_volume, what);
  }
}

function withIndex<T>(index: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    throw new HoldfastError(error.code, error.message, { cause: error, details: { ...error.details, index } });
  }
}

// A repeated field of Mesos has no difference between absent and empty.
function isEmptyList(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}
