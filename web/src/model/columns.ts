/** Columns of the runs table: what config and summary of the runs hold, the most common first. */

import type { ExtendedJson, ExtendedObject } from "../api/extended-json";
import { naturalOrder } from "./sections";
import { flatten } from "./tree";

/** Most columns of each kind: a table of thousands of columns serves nobody. */
export const MAX_COLUMNS = 60;

export type CellValue = ExtendedJson | undefined;

/** Keys of the leaves of all objects, the ones in most objects first, then by name. */
export function commonKeys(objects: readonly ExtendedObject[]): string[] {
  const counts = new Map<string, number>();
  for (const object of objects) {
    for (const key of flatten(object).keys()) {
      if (!key.startsWith("_")) counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return [...counts]
    .sort(([a, countA], [b, countB]) => countB - countA || naturalOrder(a, b))
    .slice(0, MAX_COLUMNS)
    .map(([key]) => key);
}

/** Order of cells of any type: numbers, then text; NaN after the numbers. */
export function compareCells(a: CellValue, b: CellValue): number {
  const [rankA, rankB] = [cellRank(a), cellRank(b)];
  if (rankA !== rankB) return rankA - rankB;
  if (rankA === 0) return Number(a) - Number(b);
  return naturalOrder(String(a), String(b));
}

function cellRank(value: CellValue): number {
  if (typeof value === "number") return Number.isNaN(value) ? 1 : 0;
  if (typeof value === "bigint" || typeof value === "boolean") return 0;
  return typeof value === "string" ? 2 : 3;
}
