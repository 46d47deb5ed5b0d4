/** Units of measured values: what an axis, a tooltip and a panel's head say beside a number. */

import { formatNumber } from "./format";

/** How large numbers of a unit are shortened: the factor between prefixes, and the suffixes from small to large. */
interface Scale {
  readonly step: number;
  readonly suffixes: readonly string[];
  /** Power of `step` of the first suffix. */
  readonly first: number;
}

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const rate = (suffixes: readonly string[]) => suffixes.map((suffix) => `${suffix}/s`);

const SCALES = {
  number: { step: 1, suffixes: [""], first: 0 },
  percent: { step: 1, suffixes: ["%"], first: 0 },
  count: { step: 1000, suffixes: ["", "k", "M", "G", "T"], first: 0 },
  perSecond: { step: 1000, suffixes: ["/s", "k/s", "M/s", "G/s"], first: 0 },
  bytes: { step: 1024, suffixes: BINARY, first: 0 },
  bytesPerSecond: { step: 1024, suffixes: rate(BINARY), first: 0 },
  bitsPerSecond: { step: 1000, suffixes: ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"], first: 0 },
  celsius: { step: 1, suffixes: ["°C"], first: 0 },
  watts: { step: 1000, suffixes: ["W", "kW", "MW"], first: 0 },
  joules: { step: 1000, suffixes: ["J", "kJ", "MJ", "GJ"], first: 0 },
  megahertz: { step: 1, suffixes: ["MHz"], first: 0 },
  seconds: { step: 1000, suffixes: ["ns", "µs", "ms", "s"], first: -3 },
} satisfies Record<string, Scale>;

export type Unit = keyof typeof SCALES;

/** A unit, and how much of it one of the logged values is: a value in MiB is `{ unit: "bytes", factor: 2 ** 20 }`. */
export interface Measure {
  readonly unit: Unit;
  readonly factor: number;
}

export const PLAIN: Measure = { unit: "number", factor: 1 };

/** What a counter of `measure` becomes as a rate. */
export function ratePerSecond({ unit, factor }: Measure): Measure {
  const rates: Partial<Record<Unit, Unit>> = { bytes: "bytesPerSecond", count: "perSecond", joules: "watts" };
  return { unit: rates[unit] ?? "perSecond", factor };
}

/** A value with its unit: `1.5 GiB`, `87%`, `12.3 MiB/s`. */
export function formatMeasure(value: number, measure: Measure, digits = 4): string {
  const scaled = value * measure.factor;
  if (measure.unit === "number" || !Number.isFinite(scaled)) return formatNumber(value, digits);
  const { size, suffix } = scaleFor(measure.unit, Math.abs(scaled));
  return join(formatNumber(scaled / size, digits), suffix);
}

/** Labels of an axis: one prefix for all of its ticks, so that they can be compared. */
export function tickLabels(ticks: readonly (number | null)[], measure: Measure): string[] {
  const values = ticks.map((tick) => (tick === null ? null : tick * measure.factor));
  const largest = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  const { size, suffix } = scaleFor(measure.unit, largest);
  if (measure.unit === "number") return values.map((value) => (value === null ? "" : formatNumber(value, 6)));
  const labels = (digits: number) =>
    values.map((value) => {
      if (value === null) return "";
      return value === 0 ? "0" : join(formatNumber(value / size, digits), suffix);
    });
  // far from zero, ticks close together differ in their last digits only
  const apart = [4, 5, 6, 7, 8].find((digits) => allDiffer(labels(digits)));
  return labels(apart ?? 9);
}

function allDiffer(labels: readonly string[]): boolean {
  const said = labels.filter((label) => label !== "");
  return new Set(said).size === said.length;
}

/** Whether ticks should be whole powers of two of the unit. */
export function isBinary({ unit }: Measure): boolean {
  return SCALES[unit].step === 1024;
}

/** Whether an axis of the unit begins at zero: the size of a share or a rate is only seen against nothing. */
export function beginsAtZero({ unit }: Measure): boolean {
  return unit === "percent" || unit === "watts" || unit.endsWith("PerSecond") || unit === "perSecond";
}

function scaleFor(unit: Unit, size: number): { readonly size: number; readonly suffix: string } {
  const { step, suffixes, first } = SCALES[unit];
  // the power whose number has one to three digits before the point, of those that have a suffix
  const exact = step === 1 || size === 0 ? 0 : Math.floor(Math.log(size) / Math.log(step) + 1e-9);
  const power = Math.min(Math.max(exact, first), first + suffixes.length - 1);
  return { size: step ** power, suffix: suffixes[power - first] ?? "" };
}

function join(number: string, suffix: string): string {
  const tight = suffix === "" || suffix === "%" || suffix.startsWith("/") || /^[kMGT](\/s)?$/.test(suffix);
  return tight ? number + suffix : `${number} ${suffix}`;
}
