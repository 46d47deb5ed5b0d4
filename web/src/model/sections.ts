/** Metrics → panels, grouped in sections by the part of the key before the first `/`. */

import type { MetricMap } from "../api/runs";

export interface Section {
  readonly name: string;
  readonly keys: readonly string[];
}

/** Section of the keys without a prefix. */
export const PLAIN_SECTION = "Charts";

const INTERNAL = new Set(["_step", "_runtime", "_timestamp", "_absolute_runtime", "_label", "_rank"]);

/** Numeric metrics of the runs as sections: keys without prefix first, then prefixes by name. */
export function sectionsOf(metrics: readonly MetricMap[], search: (key: string) => boolean): Section[] {
  const groups = new Map<string, Set<string>>();
  for (const map of metrics) {
    for (const [key, info] of map) {
      if (!info.numeric || INTERNAL.has(key) || key.startsWith("_wandb") || !search(key)) continue;
      const slash = key.indexOf("/");
      const name = slash > 0 ? key.slice(0, slash) : PLAIN_SECTION;
      const group = groups.get(name);
      if (group === undefined) groups.set(name, new Set([key]));
      else group.add(key);
    }
  }
  return [...groups]
    .map(([name, keys]) => ({ name, keys: [...keys].sort(naturalOrder) }))
    .sort((a, b) => rank(a.name) - rank(b.name) || naturalOrder(a.name, b.name));
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Order in which `layer2` comes before `layer10`. */
export function naturalOrder(a: string, b: string): number {
  return COLLATOR.compare(a, b);
}

function rank(name: string): number {
  return name === PLAIN_SECTION ? 0 : 1;
}
