/** Figures and times as people read them. */

const BYTES_PER_MIB = 1024 * 1024;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const figures = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** `1,536.5` */
export function number(value: number): string {
  return figures.format(value);
}

/** `1.5 GiB` */
export function bytes(value: number): string {
  const power = Math.min(Math.floor(Math.log(Math.max(value, 1)) / Math.log(1024)), UNITS.length - 1);
  const scaled = value / 1024 ** power;
  return `${scaled >= 1000 ? whole.format(scaled) : short.format(scaled)} ${UNITS[power] ?? "B"}`;
}

/** Sizes come in MiB. */
export function mib(value: number): string {
  return bytes(value * BYTES_PER_MIB);
}

export function toBytes(sizeMb: number): number {
  return sizeMb * BYTES_PER_MIB;
}

/** `3 min ago`, `in 2 days` */
export function relative(iso: string, now: number): string {
  const distance = Date.parse(iso) - now;
  const away = span(Math.abs(distance));
  if (away === undefined) return distance > 0 ? "in a moment" : "just now";
  return distance > 0 ? `in ${away}` : `${away} ago`;
}

/** `undefined` for less than half a minute. */
function span(ms: number): string | undefined {
  if (ms < MINUTE_MS / 2) return undefined;
  if (ms < HOUR_MS) return `${Math.max(1, Math.round(ms / MINUTE_MS))} min`;
  return ms < 2 * DAY_MS ? `${Math.round(ms / HOUR_MS)} h` : `${Math.round(ms / DAY_MS)} days`;
}

/** `2026-01-02 03:04:05`, as the clock where the reader is shows it. */
export function local(iso: string): string {
  const date = new Date(iso);
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

/** `1 volume`, `2 volumes` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** A word for a POSIX shell that means exactly this text. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
