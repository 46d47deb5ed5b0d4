/** Values that are more than plain ones: objects with a `_type`, such as tables, images and histograms. */

import { type ExtendedJson, type ExtendedObject, isExtendedObject } from "../api/extended-json";

export interface StoredValue {
  /** One line that says what it is. */
  readonly text: string;
  /** Name of the run's file that has the content, if there is one. */
  readonly file: string | null;
}

/** What to show of a typed object; null for any other value. */
export function storedValue(value: ExtendedJson): StoredValue | null {
  if (!isExtendedObject(value)) return null;
  const type = value.get("_type");
  if (typeof type !== "string") return null;
  const path = value.get("path");
  return { text: textOf(type, value), file: typeof path === "string" ? path : null };
}

function textOf(type: string, value: ExtendedObject): string {
  switch (type) {
    case "table-file":
    case "incremental-table-file":
      return named("table", value, "nrows", "ncols");
    case "image-file":
      return named("image", value, "width", "height");
    case "histogram": {
      const counts = value.get("values");
      return Array.isArray(counts) ? `histogram · ${counts.length} bins` : "histogram";
    }
    case "bigint":
      return String(value.get("value"));
    default:
      return type.replace(/-file$/, "");
  }
}

function named(name: string, value: ExtendedObject, first: string, second: string): string {
  const [a, b] = [value.get(first), value.get(second)];
  return typeof a === "number" && typeof b === "number" ? `${name} · ${a} × ${b}` : name;
}
