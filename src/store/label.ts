/**
 * Labels: what lies beside a volume's content, and at the root of a disk, so that a checkpoint can be rebuilt. One JSON
 * document for people, then one line with its checksum for machines:
 *
 *   {
 *     "holdfast": "volume",
 *     "version": 4,
 *     "volume": { ... }
 *   }
 *   crc32 0a1b2c3d
 */
import { crc32 } from "node:zlib";
import { HoldfastError } from "../domain/error.ts";
import type { Volume } from "../domain/records.ts";
import type { NodeLabel } from "../ports/disk.ts";
import { type Form, integer, object, oneOf } from "./form.ts";
import { nodeLabel, parseText, volumeLabel } from "./schema.ts";

const VERSION = 4;
/** The oldest that is still read: what came since may be missing. */
const OLDEST = 1;
const CHECKSUM_LINE = /^crc32 ([0-9a-f]{8})\n$/;

interface VolumeDocument {
  readonly holdfast: "volume";
  readonly version: number;
  readonly volume: Volume;
}

interface NodeDocument {
  readonly holdfast: "node";
  readonly version: number;
  readonly node: NodeLabel;
}

const volumeDocument = object<VolumeDocument>({ holdfast: oneOf("volume"), version: integer(), volume: volumeLabel });
const nodeDocument = object<NodeDocument>({ holdfast: oneOf("node"), version: integer(), node: nodeLabel });

/** A volume's label; it says neither when the volume was first attached nor where it was adopted from. */
export function encodeVolumeLabel(volume: Volume): Buffer {
  const { firstAttachedAt: _first, origin: _origin, copying: _copying, ...labelled } = volume;
  return seal({ holdfast: "volume", version: VERSION, volume: labelled } satisfies VolumeDocument);
}

/** @throws `damaged` when the label is torn, changed, of another kind or of a newer version */
export function decodeVolumeLabel(bytes: Buffer): Volume {
  return unseal("volume", volumeDocument, bytes).volume;
}

export function encodeNodeLabel(label: NodeLabel): Buffer {
  return seal({ holdfast: "node", version: VERSION, node: label } satisfies NodeDocument);
}

/** @throws `damaged` when the label is torn, changed, of another kind or of a newer version */
export function decodeNodeLabel(bytes: Buffer): NodeLabel {
  return unseal("node", nodeDocument, bytes).node;
}

function seal(document: object): Buffer {
  const text = `${JSON.stringify(document, undefined, 2)}\n`;
  return Buffer.from(`${text}crc32 ${checksum(text)}\n`);
}

function unseal<Document>(kind: string, form: Form<Document>, bytes: Buffer): Document {
  const text = bytes.toString("utf8");
  const end = text.lastIndexOf("crc32 ");
  const document = text.slice(0, end);
  if (CHECKSUM_LINE.exec(text.slice(end))?.[1] !== checksum(document))
    throw damagedLabel(kind, "its checksum is wrong");
  const version = Number(versionOf(document));
  if (!(version >= OLDEST && version <= VERSION))
    throw damagedLabel(kind, `it has version ${version} and this program knows ${VERSION}`);
  const parsed = parseText(form, document);
  if (!parsed.ok) throw damagedLabel(kind, parsed.reason);
  return parsed.value;
}

/** Read before the form is judged: another version has another form. */
function versionOf(document: string): unknown {
  try {
    return (JSON.parse(document) as { version?: unknown } | null)?.version;
  } catch {
    return undefined;
  }
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

function damagedLabel(kind: string, reason: string): HoldfastError {
  return new HoldfastError("damaged", `Cannot read the ${kind}'s label: ${reason}`);
}
