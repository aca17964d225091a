/** Opens a damaged checkpoint as the daemon does, and says whether what it serves is what was stored. */
import { HoldfastError } from "../../../src/domain/error.ts";
import { TABLES, type Table } from "../../../src/domain/records.ts";
import type { StoreContents } from "../../../src/ports/store.ts";
import { CheckpointFile } from "../../../src/store/checkpoint-file.ts";
import { ContentsBuilder } from "../../../src/store/contents.ts";
import { addToSeal, NO_ROWS } from "../../../src/store/seal.ts";
import { explainFailure } from "../../../src/store/sqlite-error.ts";
import { SAMPLE_HEADER } from "../../contract/samples.ts";
import { canonical, type History, type Moment, recordName } from "./history.ts";

/**
 * `refused` as a whole, with the way out; `reported`, with all that is missing among the damaged; `harmless`; `earlier`,
 * all that was stored at an earlier moment; anything else is a sentence that begins with `wrong`.
 */
export type Verdict = "refused" | "reported" | "harmless" | "earlier" | `wrong: ${string}`;

const MESSAGE_CHARACTERS_MAX = 2_000;
const WAYS_OUT = /run holdfast rebuild/;

/** Without a thread, to try many. */
export function judge(directory: string, history: History): Verdict {
  try {
    return compare(read(directory), history);
  } catch (error) {
    return judgeRefusal(explainFailure(error, "read the checkpoint"));
  }
}

function read(directory: string): StoreContents {
  const file = new CheckpointFile({ directory, ballastBytes: 0 });
  try {
    const builder = new ContentsBuilder(file.path);
    let seal = NO_ROWS;
    for (const table of TABLES) {
      for (const row of file.rows(table)) {
        seal = addToSeal(seal, 1, row.crc);
        if (row.sound) builder.add(table, [row.key, row.value]);
        else builder.refuse(table, row.key, "the checksum is wrong");
      }
    }
    return builder.finish(file.header(), seal);
  } finally {
    file.close();
  }
}

function judgeRefusal(error: unknown): Verdict {
  if (!(error instanceof HoldfastError)) return `wrong: it throws ${String(error)}`;
  const { code, message } = error;
  if (code !== "damaged") return `wrong: it is refused as ${code}: ${message}`;
  if (message.length > MESSAGE_CHARACTERS_MAX) return `wrong: the refusal has ${message.length} characters`;
  return WAYS_OUT.test(message) ? "refused" : `wrong: the refusal names no way out: ${message}`;
}

/** Every record that is served was stored; what is not served is reported, or the whole is an earlier moment. */
function compare(contents: StoreContents, { moments }: History): Verdict {
  if (canonical(contents.header) !== canonical(SAMPLE_HEADER)) return "wrong: it serves another header";
  const served = momentOf(contents);
  const damaged = new Map(TABLES.map((table) => [table, contents.damaged.filter((one) => one.table === table).length]));
  for (let at = moments.length - 1; at >= 0; at -= 1) {
    const fault = differenceOf(served, moments[at] as Moment, damaged);
    if (fault !== undefined) continue;
    if (at < moments.length - 1) return "earlier";
    return contents.damaged.length > 0 ? "reported" : "harmless";
  }
  return `wrong: ${differenceOf(served, moments.at(-1) as Moment, damaged)}`;
}

function momentOf({ records }: StoreContents): Moment {
  return new Map(
    TABLES.flatMap((table) =>
      [...(records[table] as ReadonlyMap<string, unknown>)].map(
        ([key, value]) => [recordName(table, key), canonical(value)] as const,
      ),
    ),
  );
}

function differenceOf(served: Moment, stored: Moment, damaged: ReadonlyMap<Table, number>): string | undefined {
  for (const [name, value] of served) {
    if (stored.get(name) !== value) return `it serves ${name} as ${value}, stored was ${stored.get(name)}`;
  }
  for (const [table, reported] of damaged) {
    const missing = [...stored.keys()].filter((name) => name.startsWith(`${table} `) && !served.has(name));
    if (missing.length > reported) return `it does not say that it lost ${missing.join(", ")}`;
  }
  return undefined;
}
