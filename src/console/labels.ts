/** Labels as people write them: `team=ads`, one on a line. */

export function printLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => (value === "" ? key : `${key}=${value}`))
    .join("\n");
}

/** A label may have no value. */
export function parseLabels(text: string): Readonly<Record<string, string>> {
  const lines = text.split("\n").map((line) => line.trim());
  return Object.fromEntries(
    lines
      .filter((line) => line !== "")
      .map((line) => {
        const equals = line.indexOf("=");
        return equals < 0 ? [line, ""] : [line.slice(0, equals), line.slice(equals + 1)];
      }),
  );
}
