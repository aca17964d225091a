/** A disk as two bars: what of it is promised to whom, and what lies on it. Every part is also in the words below. */
import { html, nothing, svg, type TemplateResult } from "lit-html";
import type { DiskJson } from "../faces/http/wire.ts";
import { bytes, mib, toBytes } from "./format.ts";

export interface Part {
  readonly name: string;
  /** Bytes. */
  readonly value: number;
  /** Its colour. */
  readonly tone: "volumes" | "reserved" | "retained" | "other" | "free";
}

/** Of what the operator declared. */
export function promisedParts({ declaredMb, reservedMb, volumesMb, pinnedMb }: DiskJson): readonly Part[] {
  return [
    { name: "Under volumes", value: toBytes(volumesMb), tone: "volumes" },
    { name: "Reserved, under no volume", value: toBytes(Math.max(0, reservedMb - volumesMb)), tone: "reserved" },
    { name: "Pinned in the trash", value: toBytes(pinnedMb), tone: "retained" },
    { name: "Not reserved", value: toBytes(Math.max(0, declaredMb - reservedMb - pinnedMb)), tone: "free" },
  ];
}

/** Of the file system. */
export function usedParts({
  totalBytes,
  freeBytes,
  usedByVolumesBytes,
  usedByRetainedBytes,
}: DiskJson): readonly Part[] {
  const other = Math.max(0, totalBytes - freeBytes - usedByVolumesBytes - usedByRetainedBytes);
  return [
    { name: "Content of volumes", value: usedByVolumesBytes, tone: "volumes" },
    { name: "Content in the trash", value: usedByRetainedBytes, tone: "retained" },
    { name: "Everything else", value: other, tone: "other" },
    { name: "Free", value: freeBytes, tone: "free" },
  ];
}

export function diskPicture(disk: DiskJson): TemplateResult {
  return html`
    ${bar(`Promised, of ${mib(disk.declaredMb)} declared`, promisedParts(disk))}
    ${bar(`On the file system, of ${bytes(disk.totalBytes)}`, usedParts(disk))}
  `;
}

function bar(title: string, parts: readonly Part[]): TemplateResult {
  const total = Math.max(
    1,
    parts.reduce((sum, { value }) => sum + value, 0),
  );
  let start = 0;
  const pieces = parts.map((part) => {
    const x = start;
    start += (part.value / total) * 1000;
    return { ...part, x, width: start - x };
  });
  return html`<figure class="disk">
    <figcaption>${title}</figcaption>
    <svg viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true">
      ${pieces.map(({ tone, x, width }) => svg`<rect class=${tone} x=${x} width=${width} height="20"></rect>`)}
    </svg>
    <ul class="legend">
      ${parts.map(({ name, value, tone }) =>
        value === 0 && tone !== "free"
          ? nothing
          : html`<li><span class="swatch ${tone}" aria-hidden="true"></span>${name} <strong>${bytes(value)}</strong></li>`,
      )}
    </ul>
  </figure>`;
}
