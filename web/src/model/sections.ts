/** Metrics → panels, grouped in sections by the part of the key before the first `/`. */

import type { MediaKind } from "../api/media";
import type { MetricMap } from "../api/runs";

export interface Section {
  readonly name: string;
  /** Numeric metrics. */
  readonly keys: readonly string[];
  /** Keys whose values are more than numbers. */
  readonly media: readonly MediaKey[];
}

export interface MediaKey {
  readonly key: string;
  readonly kind: MediaKind;
}

/** Section of the keys without a prefix. */
export const PLAIN_SECTION = "Charts";

const INTERNAL = new Set(["_step", "_runtime", "_timestamp", "_absolute_runtime", "_label", "_rank"]);

/** Metrics of the runs as sections: keys without prefix first, then prefixes by name. Media are left out unless wanted. */
export function sectionsOf(
  metrics: readonly MetricMap[],
  search: (key: string) => boolean,
  withMedia = false,
): Section[] {
  const groups = new Map<string, Group>();
  for (const map of metrics) {
    for (const [key, { numeric, media }] of map) {
      const shown = numeric || (withMedia && media !== null);
      if (!shown || INTERNAL.has(key) || key.startsWith("_wandb") || !search(key)) continue;
      const slash = key.indexOf("/");
      const name = slash > 0 ? key.slice(0, slash) : PLAIN_SECTION;
      const group = groups.get(name) ?? { keys: new Set(), media: new Map() };
      groups.set(name, group);
      if (numeric) group.keys.add(key);
      if (withMedia && media !== null) group.media.set(key, media);
    }
  }
  return [...groups]
    .map(([name, { keys, media }]) => ({
      name,
      keys: [...keys].sort(naturalOrder),
      media: [...media].map(([key, kind]) => ({ key, kind })).sort((a, b) => naturalOrder(a.key, b.key)),
    }))
    .sort((a, b) => rank(a.name) - rank(b.name) || naturalOrder(a.name, b.name));
}

interface Group {
  readonly keys: Set<string>;
  readonly media: Map<string, MediaKind>;
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

/** Order in which `layer2` comes before `layer10`. */
export function naturalOrder(a: string, b: string): number {
  return COLLATOR.compare(a, b);
}

function rank(name: string): number {
  return name === PLAIN_SECTION ? 0 : 1;
}
