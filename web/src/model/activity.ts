import { parseTime } from "./format";

const DAY_MILLIS = 86_400_000;

/** How many of the runs started in each of the last `days` periods of 24 hours, oldest first. */
export function activityByDay(
  runs: readonly { readonly createdAt: string }[],
  days: number,
  nowMillis: number,
): number[] {
  const counts = Array.from({ length: days }, () => 0);
  for (const { createdAt } of runs) {
    const age = Math.floor((nowMillis - parseTime(createdAt)) / DAY_MILLIS);
    const at = days - 1 - Math.max(0, age);
    const before = counts[at];
    if (before !== undefined) counts[at] = before + 1;
  }
  return counts;
}
