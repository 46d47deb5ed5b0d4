/** Numbers, times and sizes as people read them. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Up to `digits` significant digits, without trailing zeros; exponents outside 1e-4 … 1e7. */
export function formatNumber(value: number, digits = 5): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return minus(value.toLocaleString("en-US"));
  if (size >= 1e7 || size < 1e-4) {
    const [mantissa = "", exponent = ""] = value.toExponential(digits - 1).split("e");
    return `${minus(trimZeros(mantissa))}e${minus(exponent.replace("+", ""))}`;
  }
  return minus(trimZeros(value.toPrecision(digits)));
}

/** Whole counts with a suffix: 950, 12.3k, 4.56M. */
export function formatCount(value: number): string {
  const size = Math.abs(value);
  if (size < 10_000) return value.toLocaleString("en-US");
  const [unit, suffix]: readonly [number, string] =
    size >= 1e9 ? [1e9, "B"] : size >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${trimZeros((value / unit).toPrecision(3))}${suffix}`;
}

/** A length of time: `850ms`, `12s`, `3m 20s`, `2h 5m`, `4d 3h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) return `−${formatDuration(-seconds)}`;
  if (seconds < 1) return seconds === 0 ? "0s" : `${Math.round(seconds * 1000)}ms`;
  const whole = Math.round(seconds);
  if (whole < MINUTE) return seconds < 10 ? `${trimZeros(seconds.toFixed(1))}s` : `${whole}s`;
  if (whole < HOUR) return pair(Math.floor(whole / MINUTE), "m", whole % MINUTE, "s");
  if (whole < DAY) return pair(Math.floor(whole / HOUR), "h", Math.floor((whole % HOUR) / MINUTE), "m");
  return pair(Math.floor(whole / DAY), "d", Math.floor((whole % DAY) / HOUR), "h");
}

/** How long ago: `just now`, `4m ago`, `3h ago`, `5d ago`, then the date. */
export function formatAgo(iso: string | null, nowMillis: number): string {
  if (iso === null) return "–";
  const time = parseTime(iso);
  if (Number.isNaN(time)) return "–";
  const seconds = (nowMillis - time) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < HOUR) return `${Math.max(1, Math.round(seconds / MINUTE))}m ago`;
  if (seconds < DAY) return `${Math.round(seconds / HOUR)}h ago`;
  if (seconds < 14 * DAY) return `${Math.round(seconds / DAY)}d ago`;
  return new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

/** Date and time of day in the viewer's zone. */
export function formatTime(iso: string | null): string {
  if (iso === null) return "–";
  const time = parseTime(iso);
  if (Number.isNaN(time)) return iso;
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

/** Milliseconds since 1970 of a server timestamp; times without a zone are UTC. */
export function parseTime(iso: string): number {
  const zoned = /(?:Z|[+-]\d\d:?\d\d)$/.test(iso) ? iso : `${iso}Z`;
  return Date.parse(zoned);
}

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = "B";
  for (const next of units) {
    if (size < 1000) break;
    size /= 1000;
    unit = next;
  }
  return `${trimZeros(size.toPrecision(3))} ${unit}`;
}

export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function pair(first: number, firstUnit: string, second: number, secondUnit: string): string {
  return second === 0 ? `${first}${firstUnit}` : `${first}${firstUnit} ${second}${secondUnit}`;
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function minus(text: string): string {
  return text.replace("-", "−");
}
