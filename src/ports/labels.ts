/**
 * What lies beside the content: redundant copies of the checkpoint's records, from which it can be rebuilt. The store
 * knows their form, the disk only their bytes.
 */
import type { Volume } from "../domain/records.ts";
import type { NodeLabel } from "./disk.ts";

export interface LabelCodec {
  encodeVolume(volume: Volume): Buffer;
  /** @throws `damaged` when the bytes are no intact label of a volume */
  decodeVolume(bytes: Buffer): Volume;
  encodeNode(label: NodeLabel): Buffer;
  /** @throws `damaged` when the bytes are no intact label of a disk */
  decodeNode(bytes: Buffer): NodeLabel;
}
