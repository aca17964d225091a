/**
 * Makes `NAME.json` beside every `NAME.proto` of the faces: `node scripts/protos.ts`. The daemon reads the JSON, so that no
 * proto file is parsed on a node; `test/faces/csi/proto.test.ts` says whether they belong together.
 */
import { globSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";

const ROOT = join(import.meta.dirname, "..");

/** Every proto file of the faces, absolute. */
export function protoFiles(): readonly string[] {
  return globSync("src/faces/**/*.proto", { cwd: ROOT })
    .sort()
    .map((file) => join(ROOT, file));
}

/** What the JSON beside a proto file must be. */
export function descriptorsOf(file: string): string {
  const root = new protobuf.Root().loadSync(file, { keepCase: true });
  return `${JSON.stringify(root.toJSON())}\n`;
}

/** Where it lies. */
export function jsonOf(file: string): string {
  return file.replace(/\.proto$/, ".json");
}

if (import.meta.main) for (const file of protoFiles()) writeFileSync(jsonOf(file), descriptorsOf(file));
