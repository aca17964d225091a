/** The fields of an entry in the journal's own protocol. */
export function parseEntry(entry: Buffer): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let at = 0; at < entry.length; ) {
    const end = entry.indexOf("\n", at);
    const line = entry.toString("utf8", at, end);
    const equals = line.indexOf("=");
    if (equals >= 0) {
      fields[line.slice(0, equals)] = line.slice(equals + 1);
      at = end + 1;
      continue;
    }
    const start = end + 9;
    const after = start + Number(entry.readBigUInt64LE(end + 1));
    fields[line] = entry.toString("utf8", start, after);
    at = after + 1;
  }
  return fields;
}
