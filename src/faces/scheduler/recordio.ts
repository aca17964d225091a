/** RecordIO: each record is its length in bytes as decimal digits, a newline, and so many bytes. */

/** One record of JSON. */
export function encodeRecord(value: object): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  return Buffer.concat([Buffer.from(`${json.length}\n`), json]);
}
