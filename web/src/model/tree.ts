/** Nested values → flat rows of a searchable tree. */

import {
  type ExtendedJson,
  type ExtendedObject,
  isExtendedObject,
  showExtendedJson,
} from "../api/extended-json";
import { naturalOrder } from "./sections";
import { storedValue } from "./stored";

export interface TreeRow {
  /** Joined key path, unique within the tree. */
  readonly path: string;
  readonly name: string;
  readonly depth: number;
  /** Text of a leaf; null for a row that has children. */
  readonly value: string | null;
  /** The run's file that has the content of a leaf. */
  readonly file: string | null;
  /** How many leaves lie below. */
  readonly leaves: number;
}

/** Rows in key order, parents before children; with a search only matching leaves and their parents. */
export function treeRows(root: ExtendedObject, matches: (text: string) => boolean): TreeRow[] {
  return walk(root, "", 0, matches);
}

function walk(
  object: ExtendedObject,
  parent: string,
  depth: number,
  matches: (text: string) => boolean,
): TreeRow[] {
  const rows: TreeRow[] = [];
  const keys = [...object.keys()].sort(naturalOrder);
  for (const name of keys) {
    const path = parent === "" ? name : `${parent}.${name}`;
    const value = object.get(name) ?? null;
    const children = childrenOf(value);
    if (children === null) {
      const { text, file } = storedValue(value) ?? { text: showExtendedJson(value), file: null };
      if (matches(path) || matches(text)) rows.push({ path, name, depth, value: text, file, leaves: 1 });
      continue;
    }
    const below = walk(children, path, depth + 1, matches);
    if (below.length === 0) continue;
    const leaves = below.filter((row) => row.value !== null).length;
    rows.push({ path, name, depth, value: null, file: null, leaves });
    rows.push(...below);
  }
  return rows;
}

function childrenOf(value: ExtendedJson): ExtendedObject | null {
  return isExtendedObject(value) && value.size > 0 && storedValue(value) === null ? value : null;
}

/** Dotted paths of all leaves with their values, for table columns. */
export function flatten(object: ExtendedObject, prefix = ""): Map<string, ExtendedJson> {
  const flat = new Map<string, ExtendedJson>();
  for (const [name, value] of object) {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    const children = childrenOf(value);
    if (children === null) flat.set(path, value);
    else for (const [key, leaf] of flatten(children, path)) flat.set(key, leaf);
  }
  return flat;
}
